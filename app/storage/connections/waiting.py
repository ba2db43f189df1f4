"""Runs that wait for their turn at a service: how many, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from app.storage.database.executor import Executor
from app.storage.tables.models import Connection, Run

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
            Connection.name,
            Connection.connector,
            some.c.reason,
            number,
            func.min(some.c.wake_at),
            func.max(some.c.wake_at),
        )
        .join(Connection, Connection.id == some.c.waits_for)
        .where(some.c.wake_at.is_not(None))
        .group_by(some.c.waits_for, Connection.name, Connection.connector, some.c.reason)
        .order_by(number.desc(), some.c.waits_for)
    )
    return [Waiting(*row) for row in db.execute(query)]
