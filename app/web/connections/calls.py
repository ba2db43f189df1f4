"""The calls that were made for a connection's tokens: the sign-in, renewals, the end."""

from __future__ import annotations

from flask import Blueprint, Response

from app.storage.connections.connections import get_connection
from app.storage.database.db import pages_db
from app.storage.history.detail import calls_for
from app.web.frame.hx import page
from app.web.runs.calls import body_download, call_page, call_view

blueprint = Blueprint("connection_calls", __name__)

_WORDS = {"sign_in": "Sign-in", "renewal": "Renewal", "revocation": "End of a sign-in"}
_IN_FULL = 10


@blueprint.get("/connections/<connection_id>/calls")
def index(connection_id: str) -> Response:
    """Newest first."""
    row = get_connection(pages_db.session, connection_id)
    calls = sorted(calls_for(pages_db.session, row.id), key=lambda call: -call.number)
    views = [
        (
            _WORDS.get(call.step_key, call.step_key),
            call_view(call, is_full=place < _IN_FULL, is_open=place == 0 and call.error_kind is not None),
        )
        for place, call in enumerate(calls)
    ]
    return page("connections/calls.html", row=row, calls=views, this_path="/connections")


@blueprint.get("/connections/<connection_id>/calls/<int(max=1000000):number>")
def show(connection_id: str, number: int) -> Response:
    row = get_connection(pages_db.session, connection_id)
    return call_page(row.id, number, back=f"/connections/{row.id}", title=row.name)


@blueprint.get("/connections/<connection_id>/calls/<int(max=1000000):number>/<any(request, answer):side>")
def download_body(connection_id: str, number: int, side: str) -> Response:
    return body_download(get_connection(pages_db.session, connection_id).id, number, side)
