"""Limits as they are stored: hosts that are left alone, what connections used, and runs that wait for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, create_engine, delete, event, func, insert, or_, select, text, update

from app.changes import HostChanged
from app.storage.cluster.messages import announce
from app.storage.database.db import KEEPALIVES
from app.storage.database.executor import Executor
from app.storage.tables.models import Budget, Lane, Run
from app.storage.tables.models import Connection as ConnectionTable
from app.storage.tables.types import to_ms


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
    announce(db, HostChanged(row.place))


def drop_lane(db: Connection, place: str) -> None:
    db.execute(delete(Lane).where(Lane.place == place))
    announce(db, HostChanged(place))


def begin_try(db: Connection, place: str, now: datetime, until: datetime) -> bool | None:
    """Of several processes one tries the host; until it knows, or until then, the others wait.  None:
    it is not left alone any more."""
    left_alone = Lane.place == place, Lane.tried_at.is_not(None)
    mine = update(Lane).where(*left_alone, Lane.tried_at <= now).values(tried_at=until)
    if db.execute(mine).rowcount:
        announce(db, HostChanged(place))
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


T = TypeVar("T")
Change = Callable[[Any, float], tuple[Any, T]]

_LOOK = text("SELECT windows FROM budgets WHERE connection_id = :id FOR UPDATE")
_NOW = text("SELECT extract(epoch FROM clock_timestamp())::float8")
_NEW = text(
    "INSERT INTO budgets (connection_id, windows, saved_at) VALUES (:id, '{}', 0)"
    " ON CONFLICT (connection_id) DO NOTHING"
)
_KEEP = text("UPDATE budgets SET windows = :kept, saved_at = :at WHERE connection_id = :id")
# A lost second of counting is worth less than waiting for the disk at each group of calls; and a process
# that is stopped in the middle must not keep the others out.
_SETTINGS = ("synchronous_commit = off", "idle_in_transaction_session_timeout = '5s'", "lock_timeout = '8s'")


class SharedBudgets:
    """Used by one thread."""

    def __init__(self, url: str, now: Callable[[Connection], float] | None = None) -> None:
        """`now`: seconds since 1970; by default those of the database, which all processes see."""
        self._now = now or (lambda connection: float(connection.execute(_NOW).scalar_one()))
        self._engine = create_engine(
            url, pool_size=1, max_overflow=0, pool_pre_ping=True, connect_args=dict(KEEPALIVES)
        )

        @event.listens_for(self._engine, "connect")
        def prepare(connection: Any, _record: Any) -> None:
            connection.autocommit = True
            for setting in _SETTINGS:
                connection.execute(f"SET {setting}")
            connection.autocommit = False

    def change(self, connection_id: str, work: Change[T]) -> T:
        """`work` gets what is kept and the moment, and gives what is to be kept and its own result."""
        with self._engine.begin() as db:
            kept = db.execute(_LOOK, {"id": connection_id}).scalar()
            if kept is None:
                db.execute(_NEW, {"id": connection_id})
                kept = db.execute(_LOOK, {"id": connection_id}).scalar_one()
            now = self._now(db)
            changed, result = work(orjson.loads(kept), now)
            row = {"id": connection_id, "kept": orjson.dumps(changed).decode()}
            db.execute(_KEEP, {**row, "at": to_ms(datetime.fromtimestamp(now, UTC))})
        return result

    def close(self) -> None:
        self._engine.dispose()


MOST_LOOKED_AT = 20_000
_PACED = ("rate_limit", "away")


@dataclass(frozen=True, slots=True)
class Waiting:
    """`reason` rate_limit: a line; away: the service fails and is left alone.  `last_at`: when the last
    of them has its turn."""

    connection_id: str
    name: str
    connector: str
    reason: str
    number: int
    first_at: datetime
    last_at: datetime

    @property
    def is_more(self) -> bool:
        return self.number >= MOST_LOOKED_AT


def waiting_runs(
    db: Executor, *, flow_id: str | None = None, connection_id: str | None = None
) -> list[Waiting]:
    """By connection and reason, the longest line first."""
    one = select(Run.waits_for, Run.reason, Run.wake_at).where(
        Run.state == "waiting", Run.reason.in_(_PACED), Run.waits_for.is_not(None)
    )
    if flow_id:
        one = one.where(Run.flow_id == flow_id)
    if connection_id:
        one = one.where(Run.waits_for == connection_id)
    some = one.limit(MOST_LOOKED_AT).subquery()
    number = func.count().label("number")
    query = (
        select(
            some.c.waits_for,
            ConnectionTable.name,
            ConnectionTable.connector,
            some.c.reason,
            number,
            func.min(some.c.wake_at),
            func.max(some.c.wake_at),
        )
        .join(ConnectionTable, ConnectionTable.id == some.c.waits_for)
        .where(some.c.wake_at.is_not(None))
        .group_by(some.c.waits_for, ConnectionTable.name, ConnectionTable.connector, some.c.reason)
        .order_by(number.desc(), some.c.waits_for)
    )
    return [Waiting(*row) for row in db.execute(query)]
