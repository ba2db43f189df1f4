"""The demo website: a contact form that reports each message, and onsite rules per visitor."""

from __future__ import annotations

from urllib.parse import unquote

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response as Answer

from seed_data.services.faults import refusal
from seed_data.services.shared import json_object, services
from seed_data.services.shelf import now_text

blueprint = Blueprint("site", __name__, url_prefix="/site")

TOPIC = "form.submitted"
REGIONS = ("north", "south", "abroad")


@blueprint.get("/")
def index() -> str:
    kept = services()
    return render_template(
        "site.html",
        regions=REGIONS,
        submissions=kept.shelf.newest("site.submission", 12),
        rules=kept.shelf.newest("site.rules", 30),
        deliveries=kept.outbox.deliveries("site"),
        addresses=kept.outbox.addresses("site"),
        calls=kept.shelf.newest("site.call", 15),
    )


@blueprint.post("/form")
def submit() -> Answer:
    """Takes what people type, good or bad: checking it is the flow's work."""
    form = {name: request.form.get(name, "").strip()[:500] for name in ("name", "email", "phone", "message")}
    form["region"] = request.form.get("region", "") if request.form.get("region") in REGIONS else "abroad"
    submission = {**form, "submitted_at": now_text()}
    number = services().shelf.add("site.submission", submission)
    told = services().outbox.post("site", TOPIC, {"submission_id": f"sub-{number}", **submission})
    flash("Thank you, your message is on its way." if told else "Kept, but no webhook is set up.", "good")
    return redirect("/site/")


@blueprint.post("/deliveries/<int:number>/again")
def send_again(number: int) -> Answer:
    services().outbox.send_again("site", number)
    return redirect("/site/#webhooks")


@blueprint.before_request
def _switch() -> Response | None:
    return services().faults.answer("site") if request.path.startswith("/site/api/") else None


@blueprint.put("/api/visitors/<path:email>/rules")
def put_rules(email: str) -> Response:
    """What a known visitor sees on the website, and how often."""
    values = json_object()
    cap = values.get("frequency_cap")
    if isinstance(cap, bool) or not isinstance(cap, int) or not 0 < cap < 100:
        return refusal(422, "frequency_cap has to be a whole number from 1 to 99.")
    email = unquote(email).strip().lower()
    rules = {"email": email, "banner": str(values.get("banner", ""))[:100], "frequency_cap": cap}
    services().shelf.put("site.rules", email, {**rules, "at": now_text()})
    return jsonify({"rules": rules})


@blueprint.put("/api/webhooks/<name>")
def put_webhook(name: str) -> Response:
    address = str(json_object().get("address", ""))
    if not address.startswith(("http://", "https://")):
        return refusal(422, "address has to be a whole address.")
    services().outbox.point("site", name, TOPIC, address)
    return jsonify({"webhook": {"name": name, "topic": TOPIC, "address": address}})
