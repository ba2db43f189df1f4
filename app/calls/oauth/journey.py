"""A sign-in at a service in the browser: what is remembered of it while somebody is away."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

from app.calls.connections.tokens import App
from app.calls.oauth.grants import Asker, authorize_address
from app.catalog.format.auth import OAuth2Auth
from app.errors import AppError, ConnectorInvalid, SettingInvalid
from app.storage.database.secrets import Vault

LONGEST_STATE = 200
_VERIFIER_BYTES = 48  # 64 letters; the standard wants 43 to 128


@dataclass(frozen=True)
class Ticket:
    """`connection_id` '' = it makes a new connection.  `wanted`: the page to go to afterwards."""

    connector: str
    auth: str
    redirect_uri: str
    connection_id: str = ""
    name: str = ""
    wanted: str = ""
    public: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    scopes: tuple[str, ...] = ()
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(_VERIFIER_BYTES), repr=False)


def new_state() -> str:
    return secrets.token_urlsafe(32)


def seal_ticket(vault: Vault, sign_in_id: str, ticket: Ticket) -> bytes:
    return vault.seal(orjson.dumps(asdict(ticket)), f"sign_in:{sign_in_id}")


def open_ticket(vault: Vault, sign_in_id: str, sealed: bytes) -> Ticket | None:
    """None: sealed with another key, or by another release."""
    try:
        facts = orjson.loads(vault.open(sealed, f"sign_in:{sign_in_id}"))
        return Ticket(**{**facts, "scopes": tuple(facts["scopes"])})
    except (SettingInvalid, ValueError, TypeError, KeyError):
        return None


def asker_for(ticket: Ticket, auth: OAuth2Auth, service: str, app: App) -> Asker:
    secret = {"client_secret": app.client_secret} if app.client_secret else {}
    return Asker(auth, service, {**ticket.public, "client_id": app.client_id}, {**ticket.secrets, **secret})


def way_there(asker: Asker, ticket: Ticket, state: str) -> str:
    """The service's sign-in page.  Raises ConnectorInvalid when the connector leads to no web page."""
    try:
        address = authorize_address(
            asker,
            redirect_uri=ticket.redirect_uri,
            scopes=ticket.scopes,
            state=state,
            verifier=ticket.verifier,
        )
        place = urlsplit(address)
    except (AppError, ValueError):
        address, place = "", urlsplit("")
    if place.scheme not in ("https", "http") or not place.hostname or place.username:
        raise ConnectorInvalid(
            f"This leads to no sign-in page of {asker.service}.",
            file=f"{ticket.connector}/connector.yaml",
            field=f"auth.{ticket.auth}.authorize_url",
        )
    return address
