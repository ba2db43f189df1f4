"""Tokens of connections: kept sealed, renewed by one at a time, never overwritten by who came too late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, literal_column, or_, select, text, update

from app.storage.database.executor import Executor
from app.storage.tables.models import Call, Grant
from app.storage.tables.types import Moment

LEASE = timedelta(seconds=60)  # longer than a token call may take with its deadline
_CALLS_KEPT = 40
_DATABASE_NOW: Any = literal_column("(extract(epoch FROM clock_timestamp()) * 1000)::bigint", Moment())
_FIRST = text(
    "INSERT INTO grants (connection_id, number, scopes) VALUES (:connection_id, 0, '[]')"
    " ON CONFLICT (connection_id) DO NOTHING"
)


@dataclass(frozen=True)
class GrantRow:
    """`number` 0 and nothing sealed: there has been no token yet."""

    connection_id: str
    number: int
    sealed: bytes | None
    scopes: tuple[str, ...]
    obtained_at: datetime | None
    expires_at: datetime | None
    renewer: str | None
    renewing_until: datetime | None


@dataclass(frozen=True)
class NewGrant:
    """What is kept of a token's answer; `sealed` for this connection alone."""

    sealed: bytes
    scopes: Sequence[str]
    obtained_at: datetime
    expires_at: datetime | None


def get_grant(db: Executor, connection_id: str) -> GrantRow | None:
    columns = [getattr(Grant, name) for name in GrantRow.__dataclass_fields__]
    row = db.execute(select(*columns).where(Grant.connection_id == connection_id)).first()
    return None if row is None else GrantRow(**{**row._mapping, "scopes": tuple(row.scopes or ())})


def put_grant(db: Connection, connection_id: str, new: NewGrant) -> None:
    """After a sign-in: whatever was there, and whoever was renewing it, comes too late now."""
    number = db.scalar(select(Grant.number).where(Grant.connection_id == connection_id))
    values: dict[str, Any] = {**_values(new), "renewer": None, "renewing_until": None}
    if number is None:
        db.execute(insert(Grant), {"connection_id": connection_id, "number": 1, **values})
    else:
        _change(db, connection_id, number=number + 1, **values)


def forget_token(db: Connection, connection_id: str) -> None:
    """Other credentials were entered: the next call fetches a token with those."""
    _change(
        db,
        connection_id,
        sealed=None,
        expires_at=None,
        renewer=None,
        number=Grant.number + 1,
        scopes=[],
    )


def delete_grant(db: Connection, connection_id: str) -> None:
    db.execute(delete(Grant).where(Grant.connection_id == connection_id))
    db.execute(delete(Call).where(Call.made_for == connection_id))


# ------------------------------------------------------------------------------------- renewing


def begin_renewal(
    db: Connection, connection_id: str, *, renewer: str, seen: int, now: datetime
) -> GrantRow | None:
    """The row as it is now, for the one who may renew it; None for all others: somebody is at it, or
    there is a newer token than the one they have seen."""
    # Several machines share a PostgreSQL, and their clocks differ.
    at = _DATABASE_NOW if db.dialect.name == "postgresql" else now
    if seen == 0:
        db.execute(_FIRST, {"connection_id": connection_id})
    free = or_(Grant.renewer.is_(None), Grant.renewing_until < at, Grant.renewing_until.is_(None))
    taken = db.execute(
        update(Grant)
        .where(Grant.connection_id == connection_id, Grant.number == seen, free)
        .values(renewer=renewer, renewing_until=_later(db, at))
    )
    return get_grant(db, connection_id) if taken.rowcount == 1 else None


def end_renewal(db: Connection, connection_id: str, *, renewer: str, seen: int, new: NewGrant | None) -> bool:
    """Keeps the new token, if there is one.  False = a newer one is there already: it stays."""
    mine = (Grant.connection_id == connection_id, Grant.number == seen)
    values: dict[str, Any] = {"renewer": None, "renewing_until": None}
    if new is None:
        db.execute(update(Grant).where(*mine, Grant.renewer == renewer).values(**values))
        return True
    values |= {**_values(new), "number": seen + 1}
    return db.execute(update(Grant).where(*mine).values(**values)).rowcount == 1


def is_being_renewed(db: Connection, grant: GrantRow, now: datetime) -> bool:
    if grant.renewer is None or grant.renewing_until is None:
        return False
    at = now
    if db.dialect.name == "postgresql":
        at = db.execute(select(_DATABASE_NOW)).scalar_one()
    return grant.renewing_until >= at


def _later(db: Connection, at: Any) -> Any:
    if db.dialect.name == "postgresql":
        lease_ms = int(LEASE.total_seconds() * 1000)
        return literal_column(
            f"(extract(epoch FROM clock_timestamp()) * 1000)::bigint + {lease_ms}", Moment()
        )
    return at + LEASE


def _values(new: NewGrant) -> dict[str, Any]:
    return {
        "sealed": new.sealed,
        "scopes": list(new.scopes),
        "obtained_at": new.obtained_at,
        "expires_at": new.expires_at,
    }


def _change(db: Connection, connection_id: str, **values: Any) -> None:
    db.execute(update(Grant).where(Grant.connection_id == connection_id).values(**values))


# ------------------------------------------------------------------------------ calls for tokens


def add_token_call(db: Connection, connection_id: str, row: dict[str, Any], *, what: str) -> None:
    """`what`: sign_in | renewal | revocation.  The newest of each connection are kept."""
    last = db.scalar(select(func.max(Call.number)).where(Call.made_for == connection_id)) or 0
    place = {"made_for": connection_id, "number": last + 1, "step_key": what, "attempt": 1}
    db.execute(insert(Call), {**row, **place, "connection_id": connection_id})
    db.execute(delete(Call).where(Call.made_for == connection_id, Call.number <= last + 1 - _CALLS_KEPT))
