"""Connections: made, tested, fixed and removed; their secrets go in and never come out."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, flash, request

from app.commands import connections as commands
from app.errors import FlowInvalid
from app.storage.connections import connections as store
from app.storage.connections.connections import ConnectionRow
from app.storage.database.db import pages_db
from app.storage.history.detail import calls_for
from app.web.connections import forms
from app.web.connections.forms import Filled, Service
from app.web.connections.page import (
    entered,
    form_for,
    kept_secrets,
    read_change,
    read_form,
    service_of,
    show_connection,
    show_new,
    tell,
)
from app.web.frame.context import parts, who
from app.web.frame.hx import page, redirect
from app.web.holds.flows import reason_given
from app.web.people.account import safe_next
from app.web.runs.calls import body_download, call_page, call_view
from app.web.runs.words import counted

blueprint = Blueprint("connections", __name__)

_CALL_WORDS = {"sign_in": "Sign-in", "renewal": "Renewal", "revocation": "End of a sign-in"}
_CALLS_IN_FULL = 10


@dataclass(frozen=True)
class ConnectionCard:
    """One connection in the list.  `service` None: its connector is not installed any more."""

    row: ConnectionRow
    service: Service | None
    uses: list[store.Use]


@blueprint.get("/connections")
def index() -> Response:
    uses = store.uses(pages_db.session)
    rows = store.list_connections(pages_db.session)
    cards = [ConnectionCard(row, service_of(row.connector), uses.get(row.id, [])) for row in rows]
    cards.sort(key=lambda card: card.row.state == "ok")
    return page("connections/index.html", cards=cards)


# --------------------------------------------------------------------------------------- new


@blueprint.get("/connections/new")
def new() -> Response:
    key, wanted = request.args.get("connector", ""), request.args.get("next", "")
    if not key:
        return page("connections/choose.html", services=forms.services(parts().registry), next=wanted)
    service = forms.find_service(parts().registry, key)
    block = forms.block_of(service, request.args.get("auth", ""))
    fields = forms.shown(forms.fields_of(service, block), Filled(), {}, fresh=True)
    form = form_for(service, block.key if block else "", "", fields)
    form.may_be_unnamed = form.sign_in
    form.name = "" if form.sign_in else commands.free_name(pages_db.session, service.name)
    return show_new(form, wanted)


@blueprint.post("/connections/new")
def create() -> Response:
    service = forms.find_service(parts().registry, request.form.get("connector", ""))
    form, filled = read_form(service, {})
    wanted = request.form.get("next", "")
    if form.problems or filled.problems or form.sign_in:
        return show_new(form, wanted, 422)
    connection_id, checked = commands.connect(who(), parts(), service.key, entered(form, filled))
    tell(checked, f"“{form.name}” is connected.")
    if checked.ok is False or not wanted:
        return redirect(f"/connections/{connection_id}")
    return redirect(safe_next(wanted))


# ---------------------------------------------------------------------------------- existing


@blueprint.get("/connections/<connection_id>")
def show(connection_id: str) -> Response:
    row = store.get_connection(pages_db.session, connection_id)
    service = service_of(row.connector)
    if service is None:
        return show_connection(row, None)
    block = forms.block_of(service, request.args.get("auth", row.auth))
    kept = kept_secrets(row) if block is not None and block.key == row.auth else {}
    public = Filled(public={key: str(value) for key, value in row.public.items()})
    fields = forms.shown(forms.fields_of(service, block), public, kept, fresh=not row.public)
    return show_connection(row, form_for(service, block.key if block else "", row.name, fields))


@blueprint.post("/connections/<connection_id>")
def save(connection_id: str) -> Response:
    row = store.get_connection(pages_db.session, connection_id)
    service = forms.find_service(parts().registry, row.connector)
    form, filled = read_change(row, service)
    if form.problems or filled.problems or form.sign_in:
        return show_connection(row, form, 422)
    tell(commands.reconnect(who(), parts(), row.id, entered(form, filled)), "Saved.")
    return redirect(f"/connections/{row.id}")


@blueprint.post("/connections/<connection_id>/check")
def test(connection_id: str) -> Response:
    tell(commands.test(who(), parts(), connection_id), "")
    return redirect(f"/connections/{connection_id}")


@blueprint.post("/connections/<connection_id>/name")
def rename(connection_id: str) -> Response:
    try:
        commands.rename(who(), parts(), connection_id, request.form.get("name", ""))
        flash("Saved.", "success")
    except FlowInvalid as refusal:
        flash(refusal.sentence, "error")
    return redirect(f"/connections/{connection_id}")


@blueprint.post("/connections/<connection_id>/disconnect")
def disconnect(connection_id: str) -> Response:
    """The flows keep it; nothing is sent until somebody signs in again."""
    row = store.get_connection(pages_db.session, connection_id)
    told = commands.disconnect(who(), parts(), row.id)
    flash(f"“{row.name}” is disconnected. {told}".strip(), "success")
    return redirect(f"/connections/{row.id}")


@blueprint.post("/connections/<connection_id>/delete")
def delete(connection_id: str) -> Response:
    row = store.get_connection(pages_db.session, connection_id)
    try:
        told = commands.delete(who(), parts(), row.id)
    except FlowInvalid as refusal:
        flash(f"{refusal.sentence} {refusal.remedy}", "error")
        return redirect(f"/connections/{row.id}")
    flash(f"“{row.name}” is deleted. {told}".strip(), "success")
    return redirect("/connections")


# ------------------------------------------------------------------------------------- held


@blueprint.post("/connections/<connection_id>/hold")
def hold(connection_id: str) -> Response:
    row = store.get_connection(pages_db.session, connection_id)
    commands.hold(who(), parts(), row.id, reason_given())
    flash(f"“{row.name}” is held. What needs it waits, and nothing of it is lost.", "success")
    return redirect(f"/connections/{row.id}")


@blueprint.post("/connections/<connection_id>/resume")
def resume(connection_id: str) -> Response:
    row = store.get_connection(pages_db.session, connection_id)
    released = commands.resume(who(), parts(), row.id)
    go_on = f"{counted(released, 'run')} that waited {'goes' if released == 1 else 'go'} on, oldest first."
    if row.state == "broken":
        go_on = "It has to be fixed before anything goes out."
    flash(f"“{row.name}” is resumed. {go_on if released or row.state == 'broken' else ''}".strip(), "success")
    return redirect(f"/connections/{row.id}")


# --------------------------------------------------------------------- the calls for its tokens


@blueprint.get("/connections/<connection_id>/calls")
def show_calls(connection_id: str) -> Response:
    """Newest first."""
    row = store.get_connection(pages_db.session, connection_id)
    calls = sorted(calls_for(pages_db.session, row.id), key=lambda call: -call.number)
    views = [
        (
            _CALL_WORDS.get(call.step_key, call.step_key),
            call_view(
                call, is_full=place < _CALLS_IN_FULL, is_open=not place and call.error_kind is not None
            ),
        )
        for place, call in enumerate(calls)
    ]
    return page("connections/calls.html", row=row, calls=views, this_path="/connections")


@blueprint.get("/connections/<connection_id>/calls/<int(max=1000000):number>")
def show_call(connection_id: str, number: int) -> Response:
    row = store.get_connection(pages_db.session, connection_id)
    return call_page(row.id, number, back=f"/connections/{row.id}", title=row.name)


@blueprint.get("/connections/<connection_id>/calls/<int(max=1000000):number>/<any(request, answer):side>")
def download_body(connection_id: str, number: int, side: str) -> Response:
    return body_download(store.get_connection(pages_db.session, connection_id).id, number, side)
