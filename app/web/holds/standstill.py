"""Everything is held after a restore: which flows, how many runs wait, and letting them go on."""

from __future__ import annotations

from flask import Blueprint, Response, flash

from app.intake.activation import release
from app.storage.database.db import pages_db
from app.storage.flows.standstill import get_standstill
from app.web.frame.context import my_id, parts
from app.web.frame.hx import page, redirect
from app.web.runs.words import counted

blueprint = Blueprint("standstill", __name__)


@blueprint.get("/standstill")
def show_standstill() -> Response:
    return page("holds/standstill/index.html", held=get_standstill(pages_db.session))


@blueprint.post("/standstill/release")
def release_everything() -> Response:
    """Flows that a person held before stay held."""
    held = get_standstill(pages_db.session)
    released = sum(release(parts(), flow.id, by=my_id()) for flow in held.flows) if held else 0
    flash(f"Everything is released: {counted(released, 'run')} that waited may go on.", "success")
    return redirect("/")


@blueprint.post("/standstill/flows/<flow_id>")
def release_one(flow_id: str) -> Response:
    released = release(parts(), flow_id, by=my_id())
    flash(f"The flow is released: {counted(released, 'run')} that waited may go on.", "success")
    return redirect("/standstill")
