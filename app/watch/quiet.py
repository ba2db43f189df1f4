"""Flows that receive nothing though they usually do: each compared with its own last weeks.

The rule: since the last record at least an hour has gone by, and in the same hours of each of the last
three weeks at least five records came in.  Nights, weekends and quiet seasons are so part of the rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from app.ids import id_floor, made_at_ms
from app.storage.database.executor import Executor
from app.storage.tables.models import Flow, FlowVersion, Run
from app.storage.tables.types import from_ms, to_ms

WEEK = timedelta(days=7)
_WEEKS = 3
_AT_LEAST = 5
_NOT_BEFORE = timedelta(hours=1)
_MOST_COUNTED = 1000


@dataclass(frozen=True, slots=True)
class Quiet:
    """`before`: how many came in the same hours, one to three weeks ago."""

    flow_id: str
    since: datetime
    before: list[int]


def quiet_flows(db: Executor, now: datetime) -> Iterator[Quiet]:
    """Held ones too: what they receive is kept.  Not those that go live less than three weeks ago."""
    first = select(func.min(FlowVersion.created_at)).where(FlowVersion.flow_id == Flow.id).scalar_subquery()
    newest = select(func.max(Run.id)).where(Run.flow_id == Flow.id).scalar_subquery()
    on = select(Flow.id, newest.label("newest")).where(Flow.is_on, Flow.deleted_at.is_(None))
    for row in db.execute(on.where(first < now - _WEEKS * WEEK)):
        if row.newest is not None:
            since = max(from_ms(made_at_ms(row.newest)), now - WEEK)
            if now - since >= _NOT_BEFORE and (before := _before(db, row.id, since, now)):
                yield Quiet(row.id, since, before)


def _before(db: Executor, flow_id: str, since: datetime, now: datetime) -> list[int]:
    """Empty as soon as one of the weeks was quiet as well."""
    found = []
    for week in range(1, _WEEKS + 1):
        low, high = (id_floor("run", to_ms(moment - week * WEEK)) for moment in (since, now))
        ids = select(Run.id).where(Run.flow_id == flow_id, Run.id >= low, Run.id < high)
        number = db.execute(
            select(func.count()).select_from(ids.limit(_MOST_COUNTED).subquery())
        ).scalar_one()
        if number < _AT_LEAST:
            return []
        found.append(number)
    return found
