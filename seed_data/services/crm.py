"""The demo CRM: contacts by email address, lifecycle stages, loyalty tiers, 10 calls a second."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response as Answer

from seed_data.services.faults import refusal
from seed_data.services.shared import is_email, json_object, page_of, require_key, services
from seed_data.services.shelf import Thing, now_text

blueprint = Blueprint("crm", __name__, url_prefix="/crm")

STAGES = ("subscriber", "lead", "mql", "customer")
TIERS = ("bronze", "silver", "gold")
FIELDS: dict[str, tuple[str, str]] = {
    "first_name": ("First name", "string"),
    "last_name": ("Last name", "string"),
    "phone": ("Phone", "phone"),
    "company": ("Company", "string"),
    "region": ("Region", "string"),
    "stage": ("Lifecycle stage", "choice"),
    "tier": ("Loyalty tier", "choice"),
    "last_purchase_on": ("Last purchase", "date"),
    "last_order_value": ("Value of the last order", "number"),
    "orders_count": ("Number of orders", "number"),
    "last_products": ("Products of the last order", "string"),
    "source": ("Source", "string"),
}
_CHOICES = {"stage": STAGES, "tier": TIERS}
_OWN = {"last_purchase_on", "last_order_value", "orders_count", "last_products", "region", "source"}
TOPIC = "tier.changed"


@blueprint.get("/")
def index() -> str:
    kept = services()
    return render_template(
        "crm.html",
        contacts=sorted(kept.shelf.newest("crm.contact"), key=lambda one: one["updated_at"], reverse=True),
        fields=FIELDS,
        stages=STAGES,
        tiers=TIERS,
        deliveries=kept.outbox.deliveries("crm"),
        addresses=kept.outbox.addresses("crm"),
        calls=kept.shelf.newest("crm.call", 15),
    )


@blueprint.post("/contacts/<path:email>/change")
def change(email: str) -> Answer:
    """What a colleague does by hand; a new tier is reported to whoever listens."""
    before = services().shelf.get("crm.contact", email)
    wanted = {name: request.form[name] for name in ("stage", "tier") if request.form.get(name)}
    if before is None or _problem(wanted):
        flash("That contact or value is not here.", "bad")
        return redirect("/crm/")
    contact, _ = _upsert(email, wanted)
    if contact.get("tier") != before.get("tier"):
        told = services().outbox.post(
            "crm", TOPIC, {"contact": contact, "old_tier": before.get("tier"), "new_tier": contact["tier"]}
        )
        flash(f"{email} is {contact['tier']} now{', and Plumbline was told' if told else ''}.", "good")
    else:
        flash(f"{email} is saved.", "good")
    return redirect("/crm/")


def _upsert(email: str, values: Thing) -> tuple[Thing, bool]:
    """Only what is given changes; True = the contact is new."""
    shelf = services().shelf
    with shelf.changing():
        before = shelf.get("crm.contact", email)
        now = now_text()
        contact = before or {"email": email, "stage": "subscriber", "tier": "bronze", "created_at": now}
        changed = {name: value for name, value in values.items() if contact.get(name) != value}
        if changed or before is None:
            contact = {**contact, **changed, "updated_at": now}
            if "stage" in changed or before is None:
                contact["stage_changed_at"] = now
            shelf.put("crm.contact", email, contact)
    return contact, before is None


def _problem(values: Thing) -> str:
    for name, value in values.items():
        if name not in FIELDS:
            return f"There is no field '{name[:60]}'. GET /crm/api/fields lists them."
        if name in _CHOICES and value not in _CHOICES[name]:
            return f"{name} has to be one of {', '.join(_CHOICES[name])}, not '{str(value)[:60]}'."
        if FIELDS[name][1] == "number" and (isinstance(value, bool) or not isinstance(value, int | float)):
            return f"{name} has to be a number, not '{str(value)[:60]}'."
    return ""


# ------------------------------------------------------------------------------------------ API


@blueprint.before_request
def _check_key() -> Response | None:
    if not request.path.startswith("/crm/api/"):
        return None
    return require_key("crm", request.headers.get("X-Api-Key", ""))


@blueprint.get("/api/account")
def account() -> Response:
    return jsonify({"account": {"name": "Demo CRM", "contacts": len(services().shelf.newest("crm.contact"))}})


@blueprint.get("/api/fields")
def fields() -> Response:
    rows: list[Any] = [
        {"name": name, "label": label, "type": kind, "own": name in _OWN, "choices": _CHOICES.get(name, ())}
        for name, (label, kind) in FIELDS.items()
    ]
    return jsonify({"fields": rows})


@blueprint.put("/api/contacts/<path:email>")
def put_contact(email: str) -> Response:
    """Create or update; fields that are not sent stay as they are."""
    email = unquote(email).strip().lower()
    values = json_object()
    if not is_email(email):
        return refusal(422, f"'{email[:60]}' is not an email address.", code="invalid_email")
    if problem := _problem(values):
        return refusal(422, problem, code="invalid_field")
    contact, is_new = _upsert(email, values)
    answer = jsonify({"contact": contact, "created": is_new})
    answer.status_code = 201 if is_new else 200
    return answer


@blueprint.post("/api/contacts/batch")
def put_contacts(most: int = 50) -> Response:
    """Create or update several at once; one that is wrong does not keep the others."""
    rows = json_object().get("contacts")
    if not isinstance(rows, list) or not 0 < len(rows) <= most:
        return refusal(400, f"contacts has to be a list of 1 to {most} contacts.")
    results, errors = [], []
    for row in rows:
        given = row if isinstance(row, dict) else {}
        email, values = str(given.get("email", "")).strip().lower(), given.get("values") or {}
        problem = _problem(values) if isinstance(values, dict) else "values has to be an object."
        if not is_email(email) or problem:
            errors.append({"email": email, "message": problem or f"'{email[:60]}' is not an email address."})
        else:
            contact, is_new = _upsert(email, values)
            results.append({"contact": contact, "created": is_new})
    return jsonify({"results": results, "errors": errors})


@blueprint.get("/api/contacts/<path:email>")
def get_contact(email: str) -> Response:
    contact = services().shelf.get("crm.contact", unquote(email).strip().lower())
    if contact is None:
        return refusal(404, "There is no contact with this email address.")
    return jsonify({"contact": contact})


@blueprint.get("/api/contacts")
def contacts() -> Response:
    """By the time of the change, oldest first; `changed_since` counts the moment itself."""
    by = "stage_changed_at" if request.args.get("by") == "stage" else "updated_at"
    since, stage = request.args.get("changed_since", ""), request.args.get("stage", "")
    rows = [
        one
        for one in services().shelf.newest("crm.contact")
        if one[by] >= since and (not stage or one["stage"] == stage)
    ]
    part, following = page_of(sorted(rows, key=lambda one: (str(one[by]), str(one["email"]))))
    if by == "stage_changed_at":
        part = [{**one, "change_id": f"{one['stage_changed_at']} {one['email']}"} for one in part]
    return jsonify({"contacts": part, "next_page": following})


@blueprint.put("/api/webhooks/<name>")
def put_webhook(name: str) -> Response:
    address = str(json_object().get("address", ""))
    if not address.startswith(("http://", "https://")):
        return refusal(422, "address has to be a whole address.")
    services().outbox.point("crm", name, TOPIC, address)
    return jsonify({"webhook": {"name": name, "topic": TOPIC, "address": address}})


def seed() -> None:
    if services().shelf.newest("crm.contact", 1):
        return
    for first, last, stage, tier in (
        ("Mara", "Lind", "customer", "silver"),
        ("Ken", "Abe", "lead", "bronze"),
        ("Ines", "Costa", "lead", "bronze"),
    ):
        _upsert(
            f"{first.lower()}@example.com",
            {"first_name": first, "last_name": last, "stage": stage, "tier": tier},
        )
