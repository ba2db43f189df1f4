"""Holding a flow: its events are kept, its runs wait, and a release lets them go on in their order."""

from __future__ import annotations

from flask import Blueprint, Response, flash, request

from app.intake.activation import hold, release
from app.storage.database.db import pages_db
from app.storage.flows.flows import get_flow
from app.web.frame.context import my_id, parts
from app.web.frame.hx import redirect
from app.web.runs.words import counted

blueprint = Blueprint("flow_holds", __name__)

_LONGEST_REASON = 300


@blueprint.post("/flows/<flow_id>/hold")
def hold_flow(flow_id: str) -> Response:
    flow = get_flow(pages_db.session, flow_id)
    if not flow.is_held:
        hold(parts(), flow_id, by=my_id(), reason=reason_given())
    flash(f"“{flow.name}” is held. What comes in is kept and waits; runs under way end as usual.", "success")
    return _back(flow_id)


@blueprint.post("/flows/<flow_id>/release")
def release_flow(flow_id: str) -> Response:
    flow = get_flow(pages_db.session, flow_id)
    released = release(parts(), flow_id, by=my_id())
    go_on = f"{counted(released, 'run')} that waited {'goes' if released == 1 else 'go'} on, oldest first."
    flash(f"“{flow.name}” is released. {go_on if released else 'Nothing had waited.'}", "success")
    return _back(flow_id)


def reason_given() -> str:
    """What somebody wrote beside the button; may be nothing."""
    words = request.form.get("reason", "").replace("\x00", "")
    return " ".join(words.encode("utf-8", "replace").decode().split())[:_LONGEST_REASON]


def _back(flow_id: str) -> Response:
    return redirect(f"/flows/{flow_id}" if request.form.get("back") == "editor" else "/flows")
