"""The demo email tool: audiences with members and tags, campaigns, series, single messages."""

from __future__ import annotations

from urllib.parse import unquote

from flask import Blueprint, Response, jsonify, render_template, request

from seed_data.services.faults import refusal
from seed_data.services.shared import bearer, is_email, json_object, once, remember, require_key, services
from seed_data.services.shelf import Thing, now_text

blueprint = Blueprint("mail", __name__, url_prefix="/mail")

AUDIENCES = {"newsletter": "Newsletter", "customers": "Customers"}
TAGS = {"newsletter": ("mql", "event", "webinar"), "customers": ("vip", "post-purchase")}
CAMPAIGNS = {"spring-discount": "Spring discount 20 %", "summer-sale": "Summer sale"}
SERIES = {"post-purchase": "After the purchase", "welcome": "Welcome", "gold-tier": "Welcome to Gold"}
TEMPLATES = {"thank-you-lead": "Thank you for your message", "order-thanks": "Thank you for your order"}


@blueprint.get("/")
def index() -> str:
    shelf = services().shelf
    return render_template(
        "mail.html",
        audiences=AUDIENCES,
        campaigns=CAMPAIGNS,
        series=SERIES,
        templates=TEMPLATES,
        members=shelf.newest("mail.member", 50),
        suppressed=shelf.newest("mail.suppressed", 50),
        entries=shelf.newest("mail.entry", 50),
        messages=shelf.newest("mail.message", 50),
        calls=shelf.newest("mail.call", 15),
    )


@blueprint.before_request
def _check_key() -> Response | None:
    return require_key("mail", bearer()) if request.path.startswith("/mail/api/") else None


@blueprint.get("/api/account")
def account() -> Response:
    return jsonify({"account": {"name": "Demo mail", "plan": "pretend"}})


@blueprint.get("/api/<any(audiences, campaigns, series, templates):kind>")
def names(kind: str) -> Response:
    found = {"audiences": AUDIENCES, "campaigns": CAMPAIGNS, "series": SERIES, "templates": TEMPLATES}[kind]
    return jsonify({kind: [{"id": id_, "name": name} for id_, name in found.items()]})


@blueprint.get("/api/audiences/<audience>/tags")
def tags(audience: str) -> Response:
    if audience not in TAGS:
        return refusal(404, f"There is no audience '{audience[:60]}'.")
    return jsonify({"tags": [{"name": name} for name in TAGS[audience]]})


@blueprint.put("/api/audiences/<audience>/members/<path:email>")
def put_member(audience: str, email: str) -> Response:
    """Create or update; tags are added, merge fields that are not sent stay."""
    email, values = unquote(email).strip().lower(), json_object()
    given = values.get("tags", [])
    if audience not in AUDIENCES:
        return refusal(404, f"There is no audience '{audience[:60]}'.")
    if not is_email(email):
        return refusal(422, f"'{email[:60]}' is not an email address.")
    if unknown := [tag for tag in given if tag not in TAGS[audience]]:
        return refusal(422, f"The audience has no tag '{str(unknown[0])[:60]}'.")
    shelf, id_ = services().shelf, f"{audience}/{email}"
    with shelf.changing():
        before = shelf.get("mail.member", id_)
        member = before or {"audience": audience, "email": email, "tags": [], "merge_fields": {}}
        member["tags"] = sorted({*member["tags"], *given})
        member["merge_fields"] |= {n: v for n, v in values.get("merge_fields", {}).items() if v is not None}
        member["updated_at"] = now_text()
        shelf.put("mail.member", id_, member)
    return _answer({"member": member}, is_new=before is None)


@blueprint.put("/api/campaigns/<campaign>/suppressions/<path:email>")
def suppress(campaign: str, email: str) -> Response:
    """The campaign is not sent to this address; saying so twice changes nothing."""
    if campaign not in CAMPAIGNS:
        return refusal(404, f"There is no campaign '{campaign[:60]}'.")
    return _listed("mail.suppressed", "suppression", email, {"campaign": campaign})


@blueprint.put("/api/series/<name>/entries/<path:email>")
def enter(name: str, email: str) -> Response:
    """An address is in a series once; entering it again does not begin the series anew."""
    if name not in SERIES:
        return refusal(404, f"There is no series '{name[:60]}'.")
    fields = json_object().get("fields", {})
    return _listed("mail.entry", "entry", email, {"series": name, "fields": fields})


def _listed(kind: str, word: str, email: str, facts: Thing) -> Response:
    email, shelf = unquote(email).strip().lower(), services().shelf
    if not is_email(email):
        return refusal(422, f"'{email[:60]}' is not an email address.")
    id_ = f"{facts.get('campaign') or facts.get('series')}/{email}"
    with shelf.changing():
        before = shelf.get(kind, id_)
        row = before or {"email": email, **facts, "at": now_text()}
        if before is None:
            shelf.put(kind, id_, row)
    return _answer({word: row}, is_new=before is None)


@blueprint.post("/api/messages")
def send_message() -> Response:
    """One email.  Under an Idempotency-Key it is sent once, however often it is asked for."""
    key = request.headers.get("Idempotency-Key", "")
    values = json_object()
    if (answered := once("mail", key)) is not None:
        return _answer(answered, is_new=False)
    if not is_email(values.get("to")):
        return refusal(422, f"'{str(values.get('to'))[:60]}' is not an email address.")
    if values.get("template") not in TEMPLATES:
        return refusal(422, f"There is no template '{str(values.get('template'))[:60]}'.")
    message = {
        "to": values["to"].strip().lower(),
        "template": values["template"],
        "fields": values.get("fields", {}),
        "at": now_text(),
    }
    number = services().shelf.add("mail.message", message)
    done = {"message": {**message, "id": f"msg-{number}"}}
    remember("mail", key, done)
    return _answer(done, is_new=True)


def _answer(document: Thing, *, is_new: bool) -> Response:
    answer = jsonify(document)
    answer.status_code = 201 if is_new else 200
    return answer
