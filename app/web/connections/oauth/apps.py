"""What Plumbline is registered as at a service: client ID and secret, entered once for all connections."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from flask import Blueprint, Response, flash, request

from app.catalog.format.auth import OAuth2Auth
from app.catalog.format.definition import Connector
from app.catalog.format.scopes import all_scopes
from app.commands.connecting import register_app, remove_app
from app.errors import NotFound
from app.storage.connections import connections as store
from app.storage.connections.sign_ins import get_app
from app.storage.database.db import pages_db
from app.web.connections.page import app_of
from app.web.frame.context import parts, who
from app.web.frame.hx import page, redirect
from app.web.people.account import safe_next
from app.web.runs.words import counted

blueprint = Blueprint("oauth_apps", __name__)

_LONGEST = 2000
_NO_SECRET = "This is not a client secret: it has to be one line, as the service shows it."  # noqa: S105


@dataclass
class AppForm:
    connector: Connector
    auth: OAuth2Auth
    client_id: str = ""
    has_secret: bool = False
    has_moved: bool = False
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def wants_secret(self) -> bool:
        return self.auth.client_auth != "none"

    @property
    def redirect(self) -> str:
        return redirect_address(self.connector.key)

    @property
    def scopes(self) -> tuple[str, ...]:
        return all_scopes(self.connector, self.auth)

    @property
    def own(self) -> str:
        """This page, as somebody else opens it."""
        return parts().settings.base_url + app_address(self.connector.key, self.auth.key)


def redirect_address(connector: str) -> str:
    """One for each service: an answer that comes to the wrong one is noticed."""
    return f"{parts().settings.base_url}/sign-in/{connector}/callback"


def app_address(connector: str, auth: str, *, wanted: str = "") -> str:
    more = f"&next={quote(wanted, safe='')}" if wanted else ""
    return f"/sign-in/{connector}/app?auth={auth}{more}"


def oauth_of(connector: str, auth: str) -> tuple[Connector, OAuth2Auth]:
    """The named sign-in of a connector, or its first."""
    found = parts().registry.find(connector)
    blocks = [one for one in found.auth if isinstance(one, OAuth2Auth)] if found is not None else []
    chosen = [one for one in blocks if one.key == auth] or blocks
    if found is None or not chosen:
        raise NotFound("No service of this name signs people in.", remedy="Choose it in the list.")
    return found, chosen[0]


@blueprint.get("/sign-in/<key>/app")
def show(key: str) -> Response:
    return _page(_form(*oauth_of(key, request.args.get("auth", ""))), request.args.get("next", ""))


@blueprint.post("/sign-in/<key>/app")
def save(key: str) -> Response:
    connector, auth = oauth_of(key, request.form.get("auth", ""))
    who().must("apps")
    form, wanted = _form(connector, auth), request.form.get("next", "")
    had = form.client_id
    form.client_id = request.form.get("client_id", "").strip()
    secret = request.form.get("client_secret", "").strip()
    form.problems = _problems(form, secret, had)
    if form.problems:
        return _page(form, wanted, 422)
    register_app(who(), parts(), connector, auth, client_id=form.client_id, secret=secret)
    flash(f"Plumbline is registered at {connector.name}. {_sign_in_again(form, had)}".strip(), "success")
    return redirect(safe_next(wanted) if wanted else app_address(connector.key, auth.key))


@blueprint.post("/sign-in/<key>/app/delete")
def delete(key: str) -> Response:
    connector, auth = oauth_of(key, request.form.get("auth", ""))
    remove_app(who(), parts(), connector, auth)
    flash(f"Client ID and secret for {connector.name} are deleted.", "success")
    return redirect("/connections")


# --------------------------------------------------------------------------------------- pieces


def _form(connector: Connector, auth: OAuth2Auth) -> AppForm:
    row, app = get_app(pages_db.session, connector.key, auth.key), app_of(connector.key, auth)
    has_moved = row is not None and row.token_url != auth.token_url
    client_id = row.client_id if row is not None else ""
    return AppForm(connector, auth, client_id, bool(app.client_secret), has_moved)


def _problems(form: AppForm, secret: str, had: str) -> dict[str, str]:
    """A kept secret belongs to the client ID it was entered with."""
    problems = {}
    if not form.client_id or len(form.client_id) > _LONGEST or not form.client_id.isprintable():
        problems["client_id"] = "Copy the client ID from the service: one line of letters and digits."
    keeps = form.has_secret and form.client_id == had
    if form.wants_secret and not secret and not keeps:
        problems["client_secret"] = f"The client secret from {form.connector.name} is needed."
    if len(secret) > _LONGEST or not secret.isprintable():
        problems["client_secret"] = _NO_SECRET
    return problems


def _users(connector: Connector, auth: OAuth2Auth) -> list[str]:
    rows = store.list_connections(pages_db.session, connector=connector.key)
    return [row.name for row in rows if row.auth == auth.key]


def _sign_in_again(form: AppForm, had: str) -> str:
    users = _users(form.connector, form.auth)
    if not had or had == form.client_id or not users:
        return ""
    return f"The client ID is another one now: sign in again in {counted(len(users), 'connection')}."


def _page(form: AppForm, wanted: str, status: int = 200) -> Response:
    users = _users(form.connector, form.auth)
    return page(
        "connections/oauth/app.html",
        status=status,
        form=form,
        next=wanted,
        warning=_warning(),
        users=users,
        this_path="/connections",
    )


def _warning() -> str:
    """Why a service may not accept the redirect address, or the browser not come back signed in."""
    own = urlsplit(parts().settings.base_url)
    host = own.hostname or ""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        return f"{host} is not an address that a browser can come back to. Set PLUMBLINE_PUBLIC_URL."
    if own.netloc != request.host:
        return (
            f"You opened Plumbline as {request.host}, but it calls itself {own.netloc}, and that is where "
            "services send people back to. Set PLUMBLINE_PUBLIC_URL to the address people use."
        )
    if own.scheme != "https" and not _is_this_machine(host):
        return (
            "Most services accept only redirect addresses that begin with https:// or lead to localhost. "
            "Put Plumbline behind https and set PLUMBLINE_PUBLIC_URL."
        )
    return ""


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
