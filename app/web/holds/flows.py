"""Holding a flow, and releasing it, or all flows after a restore: events are kept, runs wait."""

from __future__ import annotations

from flask import Blueprint, Response, flash, request

from app.commands import flows as commands
from app.storage.database.db import pages_db
from app.storage.flows.flows import get_flow
from app.storage.flows.standstill import get_standstill
from app.web.frame.context import parts, who
from app.web.frame.hx import page, redirect
from app.web.runs.words import counted

blueprint = Blueprint("flow_holds", __name__)

_LONGEST_REASON = 300


@blueprint.post("/flows/<flow_id>/hold")
def hold_flow(flow_id: str) -> Response:
    flow = get_flow(pages_db.session, flow_id)
    commands.hold(who(), parts(), flow_id, reason=reason_given())
    flash(f"“{flow.name}” is held. What comes in is kept and waits; runs under way end as usual.", "success")
    return _back(flow_id)


@blueprint.post("/flows/<flow_id>/release")
def release_flow(flow_id: str) -> Response:
    flow = get_flow(pages_db.session, flow_id)
    released = commands.release(who(), parts(), flow_id)
    go_on = f"{counted(released, 'run')} that waited {'goes' if released == 1 else 'go'} on, oldest first."
    flash(f"“{flow.name}” is released. {go_on if released else 'Nothing had waited.'}", "success")
    return _back(flow_id)


def reason_given() -> str:
    """What somebody wrote beside the button; may be nothing."""
    words = request.form.get("reason", "").replace("\x00", "")
    return " ".join(words.encode("utf-8", "replace").decode().split())[:_LONGEST_REASON]


def _back(flow_id: str) -> Response:
    return redirect(f"/flows/{flow_id}" if request.form.get("back") == "editor" else "/flows")


@blueprint.get("/standstill")
def show_standstill() -> Response:
    return page("holds/standstill/index.html", held=get_standstill(pages_db.session))


@blueprint.post("/standstill/release")
def release_everything() -> Response:
    """Flows that a person held before stay held."""
    released = commands.release_all(who(), parts())
    flash(f"Everything is released: {counted(released, 'run')} that waited may go on.", "success")
    return redirect("/")


@blueprint.post("/standstill/flows/<flow_id>")
def release_one(flow_id: str) -> Response:
    released = commands.release(who(), parts(), flow_id)
    flash(f"The flow is released: {counted(released, 'run')} that waited may go on.", "success")
    return redirect("/standstill")
