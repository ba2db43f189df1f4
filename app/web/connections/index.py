"""Connections: made, tested, mended and removed; their secrets go in and never come out."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, flash, request
from sqlalchemy import Connection

from app.calls.connections.book import seal_secrets
from app.catalog.format.auth import TokenAuth
from app.errors import FlowInvalid
from app.storage.connections import connections as store
from app.storage.connections import grants
from app.storage.connections.connections import ConnectionRow
from app.storage.database.db import pages_db
from app.storage.people import audit
from app.web.connections import forms
from app.web.connections.forms import Filled, Service
from app.web.connections.oauth.revoke import facts_of, tell_service
from app.web.connections.page import (
    Form,
    check_now,
    form_for,
    free_name,
    kept_secrets,
    make_connection,
    read_change,
    read_form,
    service_of,
    show_connection,
    show_new,
    tell,
)
from app.web.frame.context import me as signed_in
from app.web.frame.context import my_id, parts
from app.web.frame.hx import page, redirect
from app.web.people.account import safe_next

blueprint = Blueprint("connections", __name__)


@dataclass(frozen=True)
class Card:
    """One connection in the list.  `service` None: its connector is not installed any more."""

    row: ConnectionRow
    service: Service | None
    uses: list[store.Use]


@blueprint.get("/connections")
def index() -> Response:
    uses = store.uses(pages_db.session)
    rows = store.list_connections(pages_db.session)
    cards = [Card(row, service_of(row.connector), uses.get(row.id, [])) for row in rows]
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
    form.name = "" if form.sign_in else free_name(service.name)
    return show_new(form, wanted)


@blueprint.post("/connections/new")
def create() -> Response:
    service = forms.find_service(parts().registry, request.form.get("connector", ""))
    form, filled = read_form(service, {})
    wanted = request.form.get("next", "")
    if form.problems or filled.problems or form.sign_in:
        return show_new(form, wanted, 422)
    connection_id, checked = make_connection(
        service.key,
        name=form.name,
        auth=form.auth,
        public=filled.public,
        secrets=filled.secrets,
        definition_hash=_hash(service),
    )
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
    sealed = seal_secrets(parts().vault, row.id, filled.secrets) if filled.secrets else None
    me, now, digest = my_id(), parts().clock.now(), _hash(service)

    def work(db: Connection) -> None:
        store.update_connection(
            db,
            row.id,
            name=form.name,
            auth=form.auth,
            public=filled.public,
            sealed=sealed,
            now=now,
            definition_hash=digest,
        )
        _drop_token(db, row.id, form)
        audit.record(db, now=now, user_id=me, action="reconnected", noun="connection", noun_id=row.id)

    parts().database.write(work)
    tell(check_now(row.id), "Saved.")
    return redirect(f"/connections/{row.id}")


@blueprint.post("/connections/<connection_id>/check")
def test(connection_id: str) -> Response:
    row = store.get_connection(pages_db.session, connection_id)
    tell(check_now(row.id), "")
    return redirect(f"/connections/{row.id}")


@blueprint.post("/connections/<connection_id>/name")
def rename(connection_id: str) -> Response:
    row = store.get_connection(pages_db.session, connection_id)
    name, now = request.form.get("name", "").strip(), parts().clock.now()
    if not 0 < len(name) <= 100:
        flash("Give it a name of up to 100 characters.", "error")
        return redirect(f"/connections/{row.id}")
    parts().database.write(lambda db: store.rename_connection(db, row.id, name, now=now))
    parts().connections.forget(row.id)
    flash("Saved.", "success")
    return redirect(f"/connections/{row.id}")


@blueprint.post("/connections/<connection_id>/disconnect")
def disconnect(connection_id: str) -> Response:
    """The flows keep it; nothing is sent until somebody signs in again."""
    row = store.get_connection(pages_db.session, connection_id)
    facts, me, now = facts_of(row), my_id(), parts().clock.now()
    user = signed_in()
    sentence = (
        f"{user.name if user else 'Somebody'} disconnected it: nothing is sent until somebody signs in again."
    )

    def work(db: Connection) -> None:
        grants.forget_token(db, row.id)
        store.break_connection(db, row.id, sentence)
        audit.record(db, now=now, user_id=me, action="disconnected", noun="connection", noun_id=row.id)

    parts().database.write(work)
    parts().connections.forget(row.id)
    flash(f"“{row.name}” is disconnected. {tell_service(facts, keep=True)}".strip(), "success")
    return redirect(f"/connections/{row.id}")


@blueprint.post("/connections/<connection_id>/delete")
def delete(connection_id: str) -> Response:
    row = store.get_connection(pages_db.session, connection_id)
    me, now = my_id(), parts().clock.now()

    facts = facts_of(row)

    def work(db: Connection) -> None:
        store.delete_connection(db, row.id)
        grants.delete_grant(db, row.id)
        detail = {"name": row.name, "connector": row.connector}
        audit.record(
            db, now=now, user_id=me, action="deleted", noun="connection", noun_id=row.id, detail=detail
        )

    try:
        parts().database.write(work)
    except FlowInvalid as refusal:
        flash(f"{refusal.sentence} {refusal.remedy}", "error")
        return redirect(f"/connections/{row.id}")
    parts().connections.forget(row.id)
    flash(f"“{row.name}” is deleted. {tell_service(facts)}".strip(), "success")
    return redirect("/connections")


# ------------------------------------------------------------------------------------ pieces


def _drop_token(db: Connection, connection_id: str, form: Form) -> None:
    """A token that was fetched with what was entered before is not used again."""
    if isinstance(form.block, TokenAuth):
        grants.forget_token(db, connection_id)
    else:
        grants.delete_grant(db, connection_id)


def _hash(service: Service) -> str:
    return parts().registry.hash_of(service.key)
