"""What a person does with a connection: make, change, test, hold, limit and remove it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from app.calls.connections.book import ConnectionFacts, seal_secrets
from app.catalog.format.auth import OAuth2Auth, TokenAuth
from app.changes import ConnectionChanged, ConnectionFreed, LimitsChanged
from app.commands.checks import Checked, check
from app.commands.who import Who
from app.engine.holds import resume_connection, wake_line
from app.errors import AppError, FlowInvalid
from app.ids import new_id
from app.parts import Parts
from app.storage.cluster.messages import announce
from app.storage.connections import connections as store
from app.storage.connections import grants
from app.storage.connections.limits import free_lanes, get_pace, set_pace
from app.storage.database.executor import Executor
from app.storage.people import audit

_LONGEST_NAME = 100
_LONGEST_S = 12  # a service that is told of the end


@dataclass(frozen=True)
class Entered:
    """What somebody filled in for a connection, checked; `auth`: the key of the way to sign in."""

    name: str
    auth: str
    public: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


# ------------------------------------------------------------------------------- made and changed


def connect(who: Who, parts: Parts, connector: str, entered: Entered) -> tuple[str, Checked]:
    """Makes a connection and tests it; returns its id and what its app said.  Raises NotAllowed."""
    who.must("connections")
    connection_id, now = new_id("con"), parts.clock.now()
    sealed = seal_secrets(parts.vault, connection_id, entered.secrets) if entered.secrets else None
    definition_hash = parts.registry.hash_of(connector)

    def work(db: Connection) -> None:
        store.create_connection(
            db,
            connection_id=connection_id,
            connector=connector,
            name=entered.name,
            auth=entered.auth,
            public=entered.public,
            sealed=sealed,
            owner_id=who.id,
            now=now,
            definition_hash=definition_hash,
        )
        record(db, who, now, "connected", connection_id)

    parts.database.write(work)
    return connection_id, check_now(parts, connection_id)


def reconnect(who: Who, parts: Parts, connection_id: str, entered: Entered) -> Checked:
    """Changes what a connection is made with, and tests it: a token that was fetched with what was entered
    before is not used again.  Raises NotAllowed and NotFound."""
    who.must("connections")
    row = _row(parts, connection_id)
    now = parts.clock.now()
    sealed = seal_secrets(parts.vault, row.id, entered.secrets) if entered.secrets else None
    definition_hash = parts.registry.hash_of(row.connector)
    found = parts.registry.find(row.connector)
    auth = next((one for one in found.auth if one.key == entered.auth), None) if found else None

    def work(db: Connection) -> None:
        store.update_connection(
            db,
            row.id,
            name=entered.name,
            auth=entered.auth,
            public=entered.public,
            sealed=sealed,
            now=now,
            definition_hash=definition_hash,
        )
        (grants.forget_token if isinstance(auth, TokenAuth) else grants.delete_grant)(db, row.id)
        record(db, who, now, "reconnected", row.id)

    parts.database.write(work)
    return check_now(parts, row.id)


def rename(who: Who, parts: Parts, connection_id: str, name: str) -> None:
    """Gives a connection another name.  Raises NotAllowed, NotFound, and FlowInvalid for a name that is
    empty or longer than 100 characters."""
    who.must("connections")
    name, now = name.strip(), parts.clock.now()
    if not 0 < len(name) <= _LONGEST_NAME:
        raise FlowInvalid(f"Give it a name of up to {_LONGEST_NAME} characters.")

    def work(db: Connection) -> None:
        before = store.get_connection(db, connection_id).name
        store.rename_connection(db, connection_id, name, now=now)
        if name != before:
            record(db, who, now, "renamed", connection_id, {"from": before, "to": name})

    parts.database.write(work)
    parts.changes.tell(ConnectionChanged(connection_id))


def test(who: Who, parts: Parts, connection_id: str) -> Checked:
    """Asks the connection's app whether it works; what waited for that goes on.  Raises NotAllowed and
    NotFound."""
    who.must("connections")
    return check_now(parts, _row(parts, connection_id).id)


def check_now(parts: Parts, connection_id: str) -> Checked:
    """Returns what the app said, or that nothing can be asked yet."""
    parts.changes.tell(ConnectionChanged(connection_id))
    if not parts.engine.is_started:
        return Checked(None, "It is tested once Plumbline is running.")
    return check(parts, connection_id)


def free_name(db: Executor, wanted: str, *, besides: Collection[str] = ()) -> str:
    """Returns a name that no connection has yet: numbered from the second on."""
    taken = {row.name for row in store.list_connections(db) if row.id not in besides}
    names = (wanted, *(f"{wanted} {number}" for number in range(2, 1000)))
    return next((name for name in names if name not in taken), wanted)


# ------------------------------------------------------------------------------ held and limited


def hold(who: Who, parts: Parts, connection_id: str, reason: str) -> None:
    """Holds a connection: no call goes out with it, who needs it waits, and what comes in is kept.  One that
    is held already stays as it is.  Raises NotAllowed and NotFound."""
    who.must("connections")
    now = parts.clock.now()

    def work(db: Connection) -> None:
        if store.get_connection(db, connection_id).is_held:
            return
        store.set_hold(db, connection_id, reason)
        announce(db, ConnectionChanged(connection_id))
        record(db, who, now, "held", connection_id, {"reason": reason} if reason else None)

    parts.database.write(work)
    parts.changes.tell(ConnectionChanged(connection_id))


def resume(who: Who, parts: Parts, connection_id: str) -> int:
    """Ends the hold of a connection; returns how many runs that waited go on.  Raises NotAllowed and
    NotFound."""
    who.must("connections")
    now = parts.clock.now()

    def work(db: Connection) -> bool:
        was_held = store.get_connection(db, connection_id).is_held
        if was_held:
            store.set_hold(db, connection_id, None)
            announce(db, ConnectionChanged(connection_id))
            record(db, who, now, "resumed", connection_id)
        return was_held

    if not parts.database.write(work):
        return 0
    return resume_connection(parts, connection_id)


def set_limits(who: Who, parts: Parts, connection_id: str, limits: object) -> int:
    """Sets other numbers for a connection, as `write_pace` makes them; returns how many runs that waited for
    it ask anew.  Raises NotAllowed and NotFound."""
    who.must("connections")
    now = parts.clock.now()

    def work(db: Connection) -> None:
        row = store.get_connection(db, connection_id)
        detail = {"from": get_pace(db, row.id), "to": limits}
        set_pace(db, row.id, limits)
        announce(db, LimitsChanged(row.id))
        record(db, who, now, "changed the limits", row.id, detail)

    parts.database.write(work)
    parts.changes.tell(LimitsChanged(connection_id))
    return wake_line(parts, connection_id)


def try_now(who: Who, parts: Parts, connection_id: str) -> int:
    """Ends the pause of a connection, and of a service that is left alone because it failed; returns how many
    runs ask anew.  Raises NotAllowed and NotFound."""
    who.must("connections")
    now = parts.clock.now()

    def work(db: Connection) -> None:
        row = store.get_connection(db, connection_id)
        free_lanes(db, row.id, now)
        announce(db, ConnectionFreed(row.id))
        record(db, who, now, "tried it again", row.id)

    parts.database.write(work)
    parts.changes.tell(ConnectionFreed(connection_id))
    return wake_line(parts, connection_id)


# --------------------------------------------------------------------------------------- ended


def disconnect(who: Who, parts: Parts, connection_id: str) -> str:
    """Ends a sign-in: the flows keep the connection, and nothing is sent until somebody signs in again.
    Returns what came of telling the app, as a sentence or ''.  Raises NotAllowed and NotFound."""
    who.must("connections")
    row = _row(parts, connection_id)
    facts, now = _signed_in(parts, row.id), parts.clock.now()
    sentence = f"{who.name or 'Somebody'} disconnected it: nothing is sent until somebody signs in again."

    def work(db: Connection) -> None:
        grants.forget_token(db, row.id)
        store.break_connection(db, row.id, sentence)
        record(db, who, now, "disconnected", row.id)

    parts.database.write(work)
    parts.changes.tell(ConnectionChanged(row.id))
    return _tell_service(parts, facts, is_kept=True)


def delete(who: Who, parts: Parts, connection_id: str) -> str:
    """Deletes a connection; returns what came of telling the app, as a sentence or ''.  Raises NotAllowed,
    NotFound, and FlowInvalid while a flow or an open run needs it."""
    who.must("connections")
    row = _row(parts, connection_id)
    facts, now = _signed_in(parts, row.id), parts.clock.now()

    def work(db: Connection) -> None:
        store.delete_connection(db, row.id)
        grants.delete_grant(db, row.id)
        record(db, who, now, "deleted", row.id, {"name": row.name, "connector": row.connector})

    parts.database.write(work)
    parts.changes.tell(ConnectionChanged(row.id))
    return _tell_service(parts, facts, is_kept=False)


def _signed_in(parts: Parts, connection_id: str) -> ConnectionFacts | None:
    """As it is before the token is forgotten; None where there is nothing to tell anybody."""
    try:
        facts = parts.connections.read_now(connection_id)
    except AppError:
        return None
    is_signed_in = isinstance(facts.auth, OAuth2Auth) and facts.grant is not None and facts.grant.number
    return facts if is_signed_in else None


def _tell_service(parts: Parts, facts: ConnectionFacts | None, *, is_kept: bool) -> str:
    """Where the service wants to be told.  The call stays with the connection, if that `is_kept`."""
    if facts is None or not isinstance(facts.auth, OAuth2Auth):
        return ""
    name = parts.tokens.asker_of(facts).service
    by_hand = f"At {name} the access is still listed: remove Plumbline there under connected apps."
    if not facts.auth.revoke_url or not parts.engine.is_started:
        return by_hand
    try:
        asked = parts.engine.spawn(parts.tokens.revoke(facts)).result(_LONGEST_S)
    except (AppError, TooLate):
        return f"{name} could not be told. {by_hand}"
    if asked is None:
        return ""
    call, connection_id = asked.row, facts.id
    if is_kept and call is not None:
        parts.database.write(lambda db: grants.add_token_call(db, connection_id, call, what="revocation"))
    return f"{name} was told." if asked.failure is None else f"{name} could not be told. {by_hand}"


# -------------------------------------------------------------------------------------- pieces


def _row(parts: Parts, connection_id: str) -> store.ConnectionRow:
    with parts.database.read() as db:
        return store.get_connection(db, connection_id)


def record(
    db: Connection, who: Who, now: datetime, action: str, connection_id: str, detail: object = None
) -> None:
    """Writes who did it into the record of a connection."""
    noun = {"noun": "connection", "noun_id": connection_id}
    audit.record(db, now=now, user_id=who.id, action=action, detail=detail, **noun)
