"""Connections: accounts at services, flows that use them, when they were last tried, and choices found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Text, delete, insert, select, type_coerce, update

from app.errors import FlowInvalid, NotFound
from app.ids import new_id
from app.states import ConnectionState
from app.storage.database.executor import Executor
from app.storage.tables.models import OPEN_STATES, Flow, FlowVersion, LookupCache, Run
from app.storage.tables.models import Connection as Table

_ID = re.compile(r"con_[0-9a-z]+")


@dataclass(frozen=True)
class ConnectionRow:
    """Without its secrets: those are read by `sealed_secrets` alone."""

    id: str
    connector: str
    name: str
    auth: str
    public: Mapping[str, Any]
    state: ConnectionState
    state_sentence: str
    owner_id: str | None
    created_at: datetime
    updated_at: datetime
    checked_at: datetime | None
    account: str | None = None
    hold_reason: str | None = None  # not None: a person holds it

    @property
    def is_held(self) -> bool:
        return self.hold_reason is not None


@dataclass(frozen=True, order=True)
class Use:
    """`is_open`: runs that have not ended still need it, though the flow may no longer."""

    flow_name: str
    flow_id: str
    is_on: bool
    is_open: bool = False


_COLUMNS = tuple(getattr(Table, name) for name in ConnectionRow.__dataclass_fields__)


def list_connections(db: Executor, *, connector: str = "") -> list[ConnectionRow]:
    query = select(*_COLUMNS).order_by(Table.connector, Table.name)
    if connector:
        query = query.where(Table.connector == connector)
    return [ConnectionRow(*row) for row in db.execute(query).all()]


def get_connection(db: Executor, connection_id: str) -> ConnectionRow:
    row = db.execute(select(*_COLUMNS).where(Table.id == connection_id)).first()
    if row is None:
        raise NotFound("This connection is not there any more.", connection=connection_id)
    return ConnectionRow(*row)


def sealed_secrets(db: Executor, connection_id: str) -> bytes | None:
    return db.execute(select(Table.secrets).where(Table.id == connection_id)).scalar()


def create_connection(
    db: Connection,
    *,
    connection_id: str = "",
    connector: str,
    name: str,
    auth: str,
    public: Mapping[str, Any],
    sealed: bytes | None,
    owner_id: str | None,
    now: datetime,
    definition_hash: str = "",
    account: str = "",
) -> str:
    """Secrets are sealed for one id: who has any makes the id first (`new_id("con")`)."""
    connection_id = connection_id or new_id("con")
    row: dict[str, Any] = {
        "id": connection_id,
        "connector": connector,
        "name": name,
        "auth": auth,
        "secrets": sealed,
    }
    row |= {"public": dict(public), "owner_id": owner_id or None, "definition_hash": definition_hash}
    row |= {
        "account": account or None,
        "state": "ok",
        "state_sentence": "",
        "created_at": now,
        "updated_at": now,
    }
    db.execute(insert(Table), row)
    return connection_id


def update_connection(
    db: Connection,
    connection_id: str,
    *,
    name: str,
    auth: str,
    public: Mapping[str, Any],
    sealed: bytes | None,
    now: datetime,
    definition_hash: str = "",
) -> None:
    """What was looked up with the old account is forgotten; flows keep using the same id."""
    values = {"name": name, "auth": auth, "public": dict(public), "secrets": sealed, "updated_at": now}
    _set(db, connection_id, **values, definition_hash=definition_hash)
    db.execute(delete(LookupCache).where(LookupCache.connection_id == connection_id))


def mark_checked(
    db: Connection, connection_id: str, *, state: ConnectionState, sentence: str, now: datetime
) -> None:
    """`state`: ok | broken; `sentence`: why, for people."""
    _set(db, connection_id, state=state, state_sentence=sentence, checked_at=now)


def rename_connection(db: Connection, connection_id: str, name: str, *, now: datetime) -> None:
    _set(db, connection_id, name=name, updated_at=now)


def note_account(db: Connection, connection_id: str, account: str) -> None:
    """`account`: as the service calls it; '' where it does not say."""
    _set(db, connection_id, account=account or None)


def set_hold(db: Connection, connection_id: str, reason: str | None) -> None:
    """`reason`: '' or why it is held; None = it is held no longer."""
    _set(db, connection_id, hold_reason=reason)


def is_free(db: Executor, connection_id: str) -> bool:
    """Neither broken nor held."""
    query = select(Table.state, Table.hold_reason).where(Table.id == connection_id)
    row = db.execute(query).one_or_none()
    return row is not None and row.state != "broken" and row.hold_reason is None


def fix_connection(db: Connection, connection_id: str) -> None:
    """It is no longer broken; what somebody holds on purpose stays held."""
    of_it = update(Table).where(Table.id == connection_id, Table.state == "broken")
    db.execute(of_it.values(state="ok", state_sentence=""))


def break_connection(db: Connection, connection_id: str, sentence: str) -> None:
    """Nothing is sent with it until somebody fixes it; `sentence`: why, for people."""
    _set(db, connection_id, state="broken", state_sentence=sentence)


def delete_connection(db: Connection, connection_id: str) -> None:
    """Refused while a flow or an open run needs it."""
    users = uses(db).get(connection_id, [])
    if users:
        names = ", ".join(f"“{name}”" for name in sorted({use.flow_name for use in users})[:5])
        raise FlowInvalid(
            f"This connection is still used by {names}.",
            remedy="Choose another connection in those flows and publish them first.",
        )
    get_connection(db, connection_id)
    db.execute(delete(Table).where(Table.id == connection_id))
    db.execute(delete(LookupCache).where(LookupCache.connection_id == connection_id))


def uses(db: Executor) -> dict[str, list[Use]]:
    """Connection id -> the flows whose draft, live version or open runs name it."""
    found: dict[str, dict[str, Use]] = {}
    for text, use in _definitions(db):
        for connection_id in set(_ID.findall(text)):
            found.setdefault(connection_id, {}).setdefault(use.flow_id, use)
    return {connection_id: sorted(of_flow.values()) for connection_id, of_flow in found.items()}


def _definitions(db: Executor) -> Iterator[tuple[str, Use]]:
    """The stored text of every definition in force, drafts first."""
    flow = (Flow.name, Flow.id, Flow.is_on)
    kept = Flow.deleted_at.is_(None)
    drafts = select(type_coerce(Flow.draft, Text), *flow).where(kept)
    version = type_coerce(FlowVersion.definition, Text)
    live = select(version, *flow).join(Flow, Flow.live_version_id == FlowVersion.id).where(kept)
    busy = select(Run.version_id).where(Run.state.in_(OPEN_STATES)).distinct()
    pinned = select(version, *flow).join(Flow, Flow.id == FlowVersion.flow_id).where(FlowVersion.id.in_(busy))
    for query, is_open in ((drafts, False), (live, False), (pinned, True)):
        for text, name, flow_id, is_on in db.execute(query).all():
            yield text, Use(name, flow_id, is_on, is_open)


def _set(db: Connection, connection_id: str, **values: Any) -> None:
    changed = db.execute(update(Table).where(Table.id == connection_id).values(**values))
    if changed.rowcount == 0:
        raise NotFound("This connection is not there any more.", connection=connection_id)


def get_found(db: Executor, connection_id: str, name: str, *, since: datetime) -> list[Any] | None:
    """None = never fetched, or before `since`."""
    query = select(LookupCache.items).where(
        LookupCache.connection_id == connection_id,
        LookupCache.name == name,
        LookupCache.fetched_at >= since,
    )
    found = db.execute(query).scalar_one_or_none()
    return found if isinstance(found, list) else None


def keep_found(db: Connection, connection_id: str, name: str, items: list[Any], *, now: datetime) -> None:
    db.execute(
        delete(LookupCache).where(LookupCache.connection_id == connection_id, LookupCache.name == name)
    )
    values = {"connection_id": connection_id, "name": name, "fetched_at": now, "items": items}
    db.execute(insert(LookupCache), values)
