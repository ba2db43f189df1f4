"""Holding a connection: what needs it waits, and goes on when it is resumed."""

from __future__ import annotations

from flask import Blueprint, Response, flash
from sqlalchemy import Connection

from app.storage.connections.connections import ConnectionRow, get_connection
from app.storage.database.db import pages_db
from app.storage.people import audit
from app.web.frame.context import my_id, parts
from app.web.frame.hx import redirect
from app.web.holds.flows import reason_given
from app.web.runs.words import counted

blueprint = Blueprint("connection_holds", __name__)


@blueprint.post("/connections/<connection_id>/hold")
def hold_connection(connection_id: str) -> Response:
    row = get_connection(pages_db.session, connection_id)
    reason = reason_given()
    if not row.is_held:
        parts().engine.hold_connection(row.id, reason)
        _record(row, "held", {"reason": reason} if reason else None)
    flash(f"“{row.name}” is held. What needs it waits, and nothing of it is lost.", "success")
    return redirect(f"/connections/{row.id}")


@blueprint.post("/connections/<connection_id>/resume")
def resume_connection(connection_id: str) -> Response:
    row = get_connection(pages_db.session, connection_id)
    released = parts().engine.resume_connection(row.id) if row.is_held else 0
    if row.is_held:
        _record(row, "resumed", {"released": released})
    go_on = f"{counted(released, 'run')} that waited {'goes' if released == 1 else 'go'} on, oldest first."
    if row.state == "broken":
        go_on = "It has to be mended before anything goes out."
    flash(f"“{row.name}” is resumed. {go_on if released or row.state == 'broken' else ''}".strip(), "success")
    return redirect(f"/connections/{row.id}")


def _record(row: ConnectionRow, action: str, detail: object) -> None:
    now, by = parts().clock.now(), my_id()

    def work(db: Connection) -> None:
        audit.record(db, now=now, user_id=by, action=action, noun="connection", noun_id=row.id, detail=detail)

    parts().database.write(work)
