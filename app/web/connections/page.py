"""What the pages of connections and of sign-ins share: the form, the test, the page of one connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flask import Response, flash, request

from app.calls.connections.book import find_connector, leads_elsewhere, open_secrets
from app.calls.connections.key_files import objections
from app.calls.connections.tokens import App, open_app
from app.catalog.format.auth import OAuth2Auth
from app.catalog.format.sign_in import ServiceAccountAuth
from app.commands.checks import Checked
from app.commands.connections import Entered
from app.errors import AppError, ConnectionBroken, NotFound
from app.storage.connections import connections as store
from app.storage.connections.connections import ConnectionRow
from app.storage.connections.grants import get_grant
from app.storage.connections.sign_ins import get_app
from app.storage.database.db import pages_db
from app.storage.people import audit
from app.web.connections import forms
from app.web.connections.forms import Filled, Service
from app.web.connections.rights import Right, rights_of, rights_to_ask
from app.web.frame.context import parts
from app.web.frame.hx import page

_ELSEWHERE = "Enter it again: this connection leads elsewhere now."


@dataclass
class Form:
    """`sign_in`: it ends at the service's own sign-in page.  `app`: what Plumbline is registered as there."""

    service: Service
    auth: str
    name: str
    problems: dict[str, str] = field(default_factory=dict)
    fields: list[forms.Shown] = field(default_factory=list)
    rights: list[Right] = field(default_factory=list)
    may_be_unnamed: bool = False

    @property
    def block(self) -> forms.Block | None:
        return forms.block_of(self.service, self.auth)

    @property
    def help(self) -> str:
        """Where at the service one finds what is asked for."""
        return "" if self.sign_in else str(getattr(self.block, "help", ""))

    @property
    def sign_in(self) -> bool:
        return isinstance(self.block, OAuth2Auth)

    @property
    def has_app(self) -> bool:
        return isinstance(self.block, OAuth2Auth) and bool(app_of(self.service.key, self.block).client_id)

    @property
    def has_files(self) -> bool:
        return any(one.multiline for one in self.fields)


def form_for(service: Service, auth: str, name: str, fields: list[forms.Shown]) -> Form:
    block = forms.block_of(service, auth)
    return Form(service, block.key if block else "", name, {}, fields, rights_to_ask(service, block))


def app_of(connector: str, auth: OAuth2Auth) -> App:
    return open_app(parts().vault, get_app(pages_db.session, connector, auth.key), auth)


# ---------------------------------------------------------------------------------- what came in


def read_form(
    service: Service, kept: Mapping[str, str], *, empty: str = "", may_be_unnamed: bool = False
) -> tuple[Form, Filled]:
    """`empty`: what to say of a secret that is not there, if not the usual."""
    block = forms.block_of(service, request.form.get("auth", ""))
    fields = forms.fields_of(service, block)
    filled = forms.read(fields, _with_files(fields), kept)
    if isinstance(block, ServiceAccountAuth):
        entered = {key: text for key, text in filled.secrets.items() if key not in filled.problems}
        filled.problems |= objections(block, entered)
    for one in fields if empty else ():
        if one.secret and one.key in filled.problems and not request.form.get(f"field.{one.key}"):
            filled.problems[one.key] = empty
    name = request.form.get("name", "").strip()
    is_named = (may_be_unnamed or name) and len(name) <= 100
    form = form_for(service, block.key if block else "", name, forms.shown(fields, filled, kept))
    form.may_be_unnamed = may_be_unnamed
    form.problems = {} if is_named else {"name": "Give it a name of up to 100 characters."}
    return form, filled


def entered(form: Form, filled: Filled) -> Entered:
    """Returns what somebody filled in, once nothing is wrong with it."""
    return Entered(form.name, form.auth, filled.public, filled.secrets)


def read_change(row: ConnectionRow, service: Service) -> tuple[Form, Filled]:
    """For a connection that is there: an empty secret stays, unless it would go to another address."""
    kept = kept_secrets(row) if request.form.get("auth", "") == row.auth else {}
    form, filled = read_form(service, kept)
    brought = getattr(form.block, "keep", {})
    filled.public |= {key: str(row.public[key]) for key in brought if key in row.public}
    found = find_connector(parts().registry, row.connector)
    if kept and leads_elsewhere(found, row.public, filled.public):
        return read_form(service, {}, empty=_ELSEWHERE)
    return form, filled


def _with_files(fields: list[forms.Field]) -> dict[str, str]:
    """An uploaded file stands for the text of its field."""
    values = dict(request.form.items())
    for one in fields:
        upload = request.files.get(f"file.{one.key}") if forms.is_multiline(one) else None
        if upload is not None and upload.filename:
            values[f"field.{one.key}"] = upload.stream.read(1_000_000).decode("utf-8-sig", "replace")
    return values


def kept_secrets(row: ConnectionRow) -> dict[str, str]:
    """Secrets that can no longer be opened are entered again, as if there were none."""
    try:
        return open_secrets(
            parts().vault, row.id, store.sealed_secrets(pages_db.session, row.id), name=row.name
        )
    except ConnectionBroken:
        return {}


def service_of(key: str) -> Service | None:
    try:
        return forms.find_service(parts().registry, key)
    except NotFound:
        return None


# ------------------------------------------------------------------------------------ the answer


def show_new(form: Form, wanted: str, status: int = 200) -> Response:
    return page("connections/new.html", status=status, form=form, next=wanted)


def show_connection(row: ConnectionRow, form: Form | None, status: int = 200) -> Response:
    uses = store.uses(pages_db.session).get(row.id, [])
    return page(
        "connections/show.html",
        status=status,
        row=row,
        form=form,
        service=service_of(row.connector),
        uses=uses,
        grant=get_grant(pages_db.session, row.id),
        ends_at=_ends_at(row),
        rights=rights_of(pages_db.session, parts().registry, row, uses),
        entries=audit.entries(pages_db.session, noun="connection", noun_id=row.id, limit=8),
    )


def _ends_at(row: ConnectionRow) -> datetime | None:
    """When a sign-in that cannot be renewed is over."""
    try:
        facts = parts().connections.get(row.id)
    except AppError:
        return None
    grant = facts.grant
    if not isinstance(facts.auth, OAuth2Auth) or grant is None or grant.refresh_token:
        return None
    return grant.expires_at


def tell(checked: Checked, done: str) -> None:
    """Says on the next page what was done, what the app said to it, and how many runs go on."""
    more = ""
    if checked.released:
        runs = (
            "1 run that waited goes" if checked.released == 1 else f"{checked.released} runs that waited go"
        )
        more = f" {runs} on now."
    kind = "error" if checked.ok is False else "success"
    flash(f"{done} {checked.sentence}{more}".strip(), kind)
