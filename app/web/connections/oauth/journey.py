"""Signing in at a service: the way there, and the way back with a token or a sentence that says why not."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, request

from app.calls.oauth.journey import Ticket
from app.catalog.format.definition import Connector
from app.commands.connecting import SignInRefused, begin_connect, finish_connect
from app.errors import NotFound
from app.storage.connections import connections as store
from app.storage.database.db import pages_db
from app.web.connections.oauth.apps import app_address, oauth_of, redirect_address
from app.web.connections.page import app_of, read_change, read_form, show_connection, show_new, tell
from app.web.connections.rights import asked_scopes
from app.web.frame.context import parts, who
from app.web.frame.hx import page, redirect
from app.web.people.account import safe_next

blueprint = Blueprint("sign_in", __name__)

# where the page says it is: its own address holds the state and the code
_PLACE: dict[str, Any] = {"this_path": "/connections", "this_address": "/connections"}


# ---------------------------------------------------------------------------------- the way there


@blueprint.post("/sign-in/<key>")
def begin(key: str) -> Response:
    connector, auth = oauth_of(key, request.form.get("auth", ""))
    connection_id, wanted = request.form.get("connection", ""), request.form.get("next", "")
    row = store.get_connection(pages_db.session, connection_id) if connection_id else None
    if row is not None and row.connector != key:
        raise NotFound("This connection belongs to another service.")
    form, filled = read_change(row, connector) if row else read_form(connector, {}, may_be_unnamed=True)
    if form.problems or filled.problems:
        return show_connection(row, form, 422) if row else show_new(form, wanted, 422)
    if not app_of(key, auth).client_id:
        return redirect(app_address(key, auth.key, wanted=_back(key, auth.key, connection_id)))
    chosen = request.form.getlist("scope") if "rights" in request.form else [one.scope for one in form.rights]
    ticket = Ticket(
        connector=key,
        auth=auth.key,
        redirect_uri=redirect_address(key),
        connection_id=connection_id,
        name=form.name,
        wanted=wanted[:2000],
        public=filled.public,
        secrets=filled.secrets,
        scopes=asked_scopes(form.rights, chosen),
    )
    address = begin_connect(who(), parts(), connector, auth, ticket)
    # a page of our own: the rules for forms (CSP) let none of them lead to another site
    answer = page("connections/oauth/leave.html", service=connector, address=address, **_PLACE)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _back(key: str, auth: str, connection_id: str) -> str:
    return (
        f"/connections/{connection_id}" if connection_id else f"/connections/new?connector={key}&auth={auth}"
    )


# ------------------------------------------------------------------------------------ and back


@blueprint.get("/sign-in/<key>/callback")
def come_back(key: str) -> Response:
    if request.method == "HEAD":
        return Response()  # who only looks uses nothing up
    connector = parts().registry.find(key)
    if connector is None:
        raise NotFound(f"There is no connector called “{key[:60]}” here.")
    try:
        made = finish_connect(who(), parts(), connector, request.args)
    except SignInRefused as refusal:
        return _refuse(connector, refusal)
    tell(made.checked, made.sentence)
    for kind, sentence in made.remarks:
        flash(sentence, kind)
    if made.checked.ok is False or made.remarks or not made.wanted:
        return redirect(f"/connections/{made.connection_id}")
    return redirect(safe_next(made.wanted))


def _refuse(connector: Connector, refusal: SignInRefused) -> Response:
    ticket = refusal.ticket
    again = f"/connections/new?connector={connector.key}"
    app = ""
    if ticket is not None:
        again = _back(connector.key, ticket.auth, ticket.connection_id)
        app = app_address(connector.key, ticket.auth, wanted=again) if refusal.blames_app else ""
    answer = page(
        "connections/oauth/refused.html",
        **_PLACE,
        status=refusal.status,
        service=connector,
        refusal=refusal,
        again=again,
        app=app,
        is_new=ticket is None or not ticket.connection_id,
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer
