"""Connections: made, tested, mended and removed; their secrets go in and never come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flask import Blueprint, Response, flash, request
from sqlalchemy import Connection

from app.calls.connections import find_connector, leads_elsewhere, open_secrets, seal_secrets
from app.errors import ConnectionBroken, FlowInvalid, NotFound
from app.ids import new_id
from app.storage import audit
from app.storage import connections as store
from app.storage.connections import ConnectionRow
from app.storage.db import db
from app.web import connection_forms as forms
from app.web.account import safe_next
from app.web.connection_check import Checked, check
from app.web.connection_forms import Filled, Service
from app.web.context import my_id, parts
from app.web.hx import page, redirect

blueprint = Blueprint("connections", __name__)


@dataclass(frozen=True)
class Card:
    """One connection in the list.  `service` None: its connector is not installed any more."""

    row: ConnectionRow
    service: Service | None
    uses: list[store.Use]


@dataclass
class Form:
    service: Service
    auth: str
    name: str
    problems: dict[str, str] = field(default_factory=dict)
    fields: list[forms.Shown] = field(default_factory=list)

    @property
    def help(self) -> str:
        """Where at the service one finds what is asked for."""
        block = forms.block_of(self.service, self.auth)
        return str(getattr(block, "help", ""))


@blueprint.get("/connections")
def index() -> Response:
    uses = store.uses(db.session)
    rows = store.list_connections(db.session)
    cards = [Card(row, _service(row.connector), uses.get(row.id, [])) for row in rows]
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
    form = Form(service, block.key if block else "", _free_name(service), {}, fields)
    return page("connections/new.html", form=form, next=wanted)


@blueprint.post("/connections/new")
def create() -> Response:
    service = forms.find_service(parts().registry, request.form.get("connector", ""))
    form, filled = _read(service, {})
    wanted = request.form.get("next", "")
    if form.problems or filled.problems:
        return page("connections/new.html", status=422, form=form, next=wanted)
    connection_id = new_id("con")
    sealed = seal_secrets(parts().vault, connection_id, filled.secrets) if filled.secrets else None
    me, now, digest = my_id(), parts().clock.now(), _hash(service)

    def work(c: Connection) -> None:
        store.create_connection(
            c,
            connection_id=connection_id,
            connector=service.key,
            name=form.name,
            auth=form.auth,
            public=filled.public,
            sealed=sealed,
            owner_id=me,
            now=now,
            definition_hash=digest,
        )
        audit.record(c, now=now, user_id=me, action="connected", noun="connection", noun_id=connection_id)

    parts().database.write(work)
    checked = _check(connection_id)
    _say(checked, f"“{form.name}” is connected.")
    if checked.ok is False or not wanted:
        return redirect(f"/connections/{connection_id}")
    return redirect(safe_next(wanted))


# ---------------------------------------------------------------------------------- existing


@blueprint.get("/connections/<connection_id>")
def show(connection_id: str) -> Response:
    row = store.get_connection(db.session, connection_id)
    service = _service(row.connector)
    if service is None:
        return _page(row, None)
    block = forms.block_of(service, request.args.get("auth", row.auth))
    kept = _kept(row) if block is not None and block.key == row.auth else {}
    public = Filled(public={key: str(value) for key, value in row.public.items()})
    fields = forms.shown(forms.fields_of(service, block), public, kept, fresh=not row.public)
    return _page(row, Form(service, block.key if block else "", row.name, {}, fields))


@blueprint.post("/connections/<connection_id>")
def save(connection_id: str) -> Response:
    row = store.get_connection(db.session, connection_id)
    service = forms.find_service(parts().registry, row.connector)
    kept = _kept(row) if request.form.get("auth", "") == row.auth else {}
    form, filled = _read(service, kept)
    found = find_connector(parts().registry, row.connector)
    if kept and leads_elsewhere(found, row.public, filled.public):
        form, filled = _read(service, {}, empty="Enter it again: this connection leads elsewhere now.")
    if form.problems or filled.problems:
        return _page(row, form, status=422)
    sealed = seal_secrets(parts().vault, row.id, filled.secrets) if filled.secrets else None
    me, now, digest = my_id(), parts().clock.now(), _hash(service)

    def work(c: Connection) -> None:
        store.update_connection(
            c,
            row.id,
            name=form.name,
            auth=form.auth,
            public=filled.public,
            sealed=sealed,
            now=now,
            definition_hash=digest,
        )
        audit.record(c, now=now, user_id=me, action="reconnected", noun="connection", noun_id=row.id)

    parts().database.write(work)
    _say(_check(row.id), "Saved.")
    return redirect(f"/connections/{row.id}")


@blueprint.post("/connections/<connection_id>/check")
def test(connection_id: str) -> Response:
    row = store.get_connection(db.session, connection_id)
    _say(_check(row.id), "")
    return redirect(f"/connections/{row.id}")


@blueprint.post("/connections/<connection_id>/delete")
def delete(connection_id: str) -> Response:
    row = store.get_connection(db.session, connection_id)
    me, now = my_id(), parts().clock.now()

    def work(c: Connection) -> None:
        store.delete_connection(c, row.id)
        detail = {"name": row.name, "connector": row.connector}
        audit.record(
            c, now=now, user_id=me, action="deleted", noun="connection", noun_id=row.id, detail=detail
        )

    try:
        parts().database.write(work)
    except FlowInvalid as refusal:
        flash(f"{refusal.sentence} {refusal.remedy}", "error")
        return redirect(f"/connections/{row.id}")
    parts().connections.forget(row.id)
    flash(f"“{row.name}” is deleted.", "success")
    return redirect("/connections")


# ------------------------------------------------------------------------------------ pieces


def _page(row: ConnectionRow, form: Form | None, status: int = 200) -> Response:
    return page(
        "connections/show.html",
        status=status,
        row=row,
        form=form,
        service=_service(row.connector),
        uses=store.uses(db.session).get(row.id, []),
        entries=audit.entries(db.session, noun="connection", noun_id=row.id, limit=8),
    )


def _read(service: Service, kept: Mapping[str, str], *, empty: str = "") -> tuple[Form, Filled]:
    """`empty`: what to say of a secret that is not there, if not the usual."""
    block = forms.block_of(service, request.form.get("auth", ""))
    fields = forms.fields_of(service, block)
    filled = forms.read(fields, request.form, kept)
    for one in fields if empty else ():
        if one.secret and one.key in filled.problems and not request.form.get(f"field.{one.key}"):
            filled.problems[one.key] = empty
    name = request.form.get("name", "").strip()
    problems = {} if 0 < len(name) <= 100 else {"name": "Give it a name of up to 100 characters."}
    shown = forms.shown(fields, filled, kept)
    return Form(service, block.key if block else "", name, problems, shown), filled


def _kept(row: ConnectionRow) -> dict[str, str]:
    """Secrets that can no longer be opened are entered again, as if there were none."""
    try:
        return open_secrets(parts().vault, row.id, store.sealed_secrets(db.session, row.id), name=row.name)
    except ConnectionBroken:
        return {}


def _check(connection_id: str) -> Checked:
    parts().connections.forget(connection_id)
    if not parts().engine.is_started:
        return Checked(None, "It is tested once Plumbline is running.")
    return check(parts(), connection_id)


def _say(checked: Checked, done: str) -> None:
    more = ""
    if checked.released:
        runs = (
            "1 run that waited goes" if checked.released == 1 else f"{checked.released} runs that waited go"
        )
        more = f" {runs} on now."
    kind = "error" if checked.ok is False else "success"
    flash(f"{done} {checked.sentence}{more}".strip(), kind)


def _free_name(service: Service) -> str:
    """The service's name, numbered from the second on."""
    taken = {row.name for row in store.list_connections(db.session)}
    names = (service.name, *(f"{service.name} {number}" for number in range(2, 1000)))
    return next((name for name in names if name not in taken), service.name)


def _service(key: str) -> Service | None:
    try:
        return forms.find_service(parts().registry, key)
    except NotFound:
        return None


def _hash(service: Service) -> str:
    return parts().registry.hash_of(service.key)
