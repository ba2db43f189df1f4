"""Tokens and registered apps as they are kept: sealed each for its own place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from app.catalog.format.auth import OAuth2Auth
from app.errors import SettingInvalid
from app.storage.connections.grants import GrantRow
from app.storage.connections.sign_ins import AppRow
from app.storage.database.secrets import Vault


@dataclass(frozen=True)
class TokenFacts:
    """`number` 0: there is no token yet.  `expires_at` None: nobody knows until it is refused."""

    number: int = 0
    scopes: tuple[str, ...] = ()
    obtained_at: datetime | None = None
    expires_at: datetime | None = None
    refresh_token: str = field(default="", repr=False)


def facts_of(row: GrantRow | None, tokens: Mapping[str, str]) -> TokenFacts:
    if row is None:
        return TokenFacts()
    return TokenFacts(
        number=row.number,
        scopes=row.scopes,
        obtained_at=row.obtained_at,
        expires_at=row.expires_at,
        refresh_token=tokens.get("refresh_token", ""),
    )


def open_tokens(vault: Vault, connection_id: str, sealed: bytes | None) -> dict[str, str]:
    """Those that were sealed with another key are as good as none: a new sign-in brings others."""
    if sealed is None:
        return {}
    try:
        opened: dict[str, str] = orjson.loads(vault.open(sealed, f"{connection_id}:tokens"))
    except (SettingInvalid, ValueError):
        return {}
    return opened


def seal_tokens(vault: Vault, connection_id: str, tokens: Mapping[str, str]) -> bytes:
    return vault.seal(orjson.dumps(dict(tokens)), f"{connection_id}:tokens")


@dataclass(frozen=True)
class App:
    """What a service knows this installation as; empty where nobody has registered it."""

    client_id: str = ""
    client_secret: str = field(default="", repr=False)


def open_app(vault: Vault, row: AppRow | None, auth: OAuth2Auth) -> App:
    """None of it for a connector whose file asks another address for tokens now: whoever entered the
    secret meant it for the one before."""
    if row is None or row.token_url != auth.token_url:
        return App()
    try:
        secret = vault.open(row.secret, row.place).decode() if row.secret is not None else ""
    except SettingInvalid:
        return App()
    return App(row.client_id, secret)
