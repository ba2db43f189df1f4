"""Hosts that may not be called for a while, and what connections used of their limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select, update

from app.storage.cluster.messages import tell
from app.storage.database.executor import Executor
from app.storage.tables.models import Budget, Lane
from app.storage.tables.models import Connection as ConnectionTable


@dataclass(frozen=True)
class LaneRow:
    """`tried_at`: it failed so often that it is left alone until then."""

    place: str
    connection_id: str | None
    host: str
    paused_until: datetime | None
    tried_at: datetime | None
    trips: int
    since: datetime
    sentence: str


_COLUMNS = tuple(getattr(Lane, name) for name in LaneRow.__dataclass_fields__)


def keep_lane(db: Connection, row: LaneRow) -> None:
    """Other processes are told."""
    values = {name: getattr(row, name) for name in LaneRow.__dataclass_fields__}
    known = {"place", "since"} if row.tried_at is not None else {"place"}
    changed = db.execute(
        update(Lane)
        .where(Lane.place == row.place)
        .values(**{name: value for name, value in values.items() if name not in known})
    )
    if changed.rowcount == 0:
        db.execute(insert(Lane), values)
    tell(db, "lane", row.place)


def drop_lane(db: Connection, place: str) -> None:
    db.execute(delete(Lane).where(Lane.place == place))
    tell(db, "lane", place)


def begin_try(db: Connection, place: str, now: datetime, until: datetime) -> bool | None:
    """Of several processes one tries the host; until it knows, or until then, the others wait.  None:
    it is not left alone any more."""
    left_alone = Lane.place == place, Lane.tried_at.is_not(None)
    mine = update(Lane).where(*left_alone, Lane.tried_at <= now).values(tried_at=until)
    if db.execute(mine).rowcount:
        tell(db, "lane", place)
        return True
    return False if db.execute(select(Lane.place).where(*left_alone)).first() else None


def get_lane(db: Executor, place: str) -> LaneRow | None:
    row = db.execute(select(*_COLUMNS).where(Lane.place == place)).first()
    return LaneRow(*row) if row is not None else None


def lanes_in_force(db: Executor, now: datetime, connection_id: str | None = None) -> list[LaneRow]:
    """Those that still may not be called, of one connection or of all."""
    query = select(*_COLUMNS).where(or_(Lane.paused_until > now, Lane.tried_at.is_not(None)))
    if connection_id is not None:
        query = query.where(Lane.connection_id == connection_id)
    return [LaneRow(*row) for row in db.execute(query.order_by(Lane.place)).all()]


def open_breakers(db: Executor, connection_id: str | None = None) -> list[LaneRow]:
    """Hosts that are left alone because they failed too often, of one connection or of all."""
    query = select(*_COLUMNS).where(Lane.tried_at.is_not(None))
    if connection_id is not None:
        query = query.where(Lane.connection_id == connection_id)
    return [LaneRow(*row) for row in db.execute(query.order_by(Lane.place)).all()]


def free_lanes(db: Connection, connection_id: str, now: datetime) -> None:
    """A person does not want to wait: its pauses end, and what is left alone may be tried now."""
    mine = Lane.connection_id == connection_id
    db.execute(delete(Lane).where(mine, Lane.tried_at.is_(None)))
    db.execute(update(Lane).where(mine, Lane.tried_at > now).values(tried_at=now, paused_until=None))


def keep_budget(db: Connection, connection_id: str, windows: Any, now: datetime) -> None:
    values = {"windows": windows, "saved_at": now}
    changed = db.execute(update(Budget).where(Budget.connection_id == connection_id).values(**values))
    if changed.rowcount == 0:
        db.execute(insert(Budget), {"connection_id": connection_id, **values})


def budgets(db: Executor) -> Sequence[tuple[str, Any, datetime]]:
    rows = db.execute(select(Budget.connection_id, Budget.windows, Budget.saved_at)).all()
    return [(row[0], row[1], row[2]) for row in rows]


def get_budget(db: Executor, connection_id: str) -> Any:
    return db.execute(select(Budget.windows).where(Budget.connection_id == connection_id)).scalar()


def lanes_of(db: Executor, connection_id: str) -> list[LaneRow]:
    """Also those whose pause is over: they say what a service asked for last."""
    query = select(*_COLUMNS).where(Lane.connection_id == connection_id).order_by(Lane.place)
    return [LaneRow(*row) for row in db.execute(query)]


def set_pace(db: Connection, connection_id: str, pace: Any) -> None:
    db.execute(update(ConnectionTable).where(ConnectionTable.id == connection_id).values(pace=pace))


def get_pace(db: Executor, connection_id: str) -> Any:
    return db.execute(select(ConnectionTable.pace).where(ConnectionTable.id == connection_id)).scalar()
