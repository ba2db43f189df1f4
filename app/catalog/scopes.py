"""Which rights operations need, and which of them an account has not granted."""

from __future__ import annotations

from collections.abc import Iterable

from app.catalog.auth import TokenAuth
from app.catalog.definition import Connector


def all_scopes(connector: Connector, auth: TokenAuth) -> tuple[str, ...]:
    """Those asked for anyway, and what the operations need, each once."""
    operations = (*connector.triggers.values(), *connector.actions.values())
    own = (scope for operation in operations for scope in operation.scopes)
    return tuple(dict.fromkeys((*auth.scopes, *own)))


def missing_scopes(auth: TokenAuth, granted: Iterable[str], needed: Iterable[str]) -> tuple[str, ...]:
    """A granted scope may include others (`implies`)."""
    have = set(granted)
    while more := {one for scope in have for one in auth.implies.get(scope, ())} - have:
        have |= more
    return tuple(dict.fromkeys(scope for scope in needed if scope not in have))
