"""The end of a sign-in: the service is told, where it wants to be told."""

from __future__ import annotations

from concurrent.futures import TimeoutError as TooLate

from app.calls.connections.book import ConnectionFacts
from app.catalog.format.auth import OAuth2Auth
from app.errors import AppError
from app.storage.connections.connections import ConnectionRow
from app.storage.connections.grants import add_token_call
from app.web.frame.context import parts

_LONGEST_S = 12


def facts_of(row: ConnectionRow) -> ConnectionFacts | None:
    """As they are before the token is forgotten; None where there is nothing to tell anybody."""
    try:
        facts = parts().connections.read_now(row.id)
    except AppError:
        return None
    is_signed_in = isinstance(facts.auth, OAuth2Auth) and facts.grant is not None and facts.grant.number
    return facts if is_signed_in else None


def tell_service(facts: ConnectionFacts | None, *, keep: bool = False) -> str:
    """What came of it, as a sentence; '' where there was nothing to tell.  `keep`: the connection stays,
    and the call with it."""
    if facts is None or not isinstance(facts.auth, OAuth2Auth):
        return ""
    name = parts().tokens.asker_of(facts).service
    by_hand = f"At {name} the access is still listed: remove Plumbline there under connected apps."
    if not facts.auth.revoke_url or not parts().engine.is_started:
        return by_hand
    try:
        asked = parts().engine.spawn(parts().tokens.revoke(facts)).result(_LONGEST_S)
    except (AppError, TooLate):
        return f"{name} could not be told. {by_hand}"
    if asked is None:
        return ""
    call, connection_id = asked.row, facts.id
    if keep and call is not None:
        parts().database.write(lambda db: add_token_call(db, connection_id, call, what="revocation"))
    return f"{name} was told." if asked.failure is None else f"{name} could not be told. {by_hand}"
