"""What came in, counted from events and deliveries: never from what became of it.

A range of time is read once along the primary keys, soon after it is over.  The hot path writes nothing
for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Self

from sqlalchemy import Executable, Select, func, select

from app.ids import id_floor
from app.storage.database.executor import Executor
from app.storage.tables.models import Delivery, Event
from app.storage.tables.types import to_ms

NO_RECORD = "It holds no record that this flow is for."
SOURCES = ("webhook", "poll", "schedule", "manual")
DAY = timedelta(days=1)
_MADE_TOGETHER = timedelta(seconds=30)  # the ids of a delivery and of its records


@dataclass(slots=True)
class Sums:
    """Numbers that add up, name by name."""

    def add(self, other: Self) -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class Came(Sums):
    """Records by source, repeated records, refused deliveries; `lost`: accepted deliveries of which no
    record is there, and records whose delivery is not."""

    webhook: int = 0
    poll: int = 0
    schedule: int = 0
    manual: int = 0
    duplicates: int = 0
    refused: int = 0
    lost: int = 0

    @property
    def records(self) -> int:
        return self.webhook + self.poll + self.schedule + self.manual


def source_name(source: str) -> str:
    return source if source in SOURCES else "manual"


def day_of(moment: datetime) -> str:
    """The day in UTC, as the ledger writes it."""
    return moment.astimezone(UTC).date().isoformat()


def begin_of(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(), UTC)


def bounds(prefix: str, low: datetime, high: datetime) -> tuple[str, str]:
    return id_floor(prefix, max(to_ms(low), 0)), id_floor(prefix, max(to_ms(high), 0))


def count_came(db: Executor, low: datetime, high: datetime) -> dict[str, Came]:
    """By flow: what came from `low` on and before `high`, tests left out."""
    found: dict[str, Came] = {}
    for flow_id, source, number in db.execute(_events(low, high)):
        came = found.setdefault(flow_id, Came())
        name = source_name(source)
        setattr(came, name, getattr(came, name) + number)
    for flow_id, outcome, number, repeated in db.execute(_deliveries(low, high)):
        came = found.setdefault(flow_id, Came())
        came.duplicates += repeated or 0
        came.refused += number if outcome == "refused" else 0
    for flow_id in (*db.scalars(_without_record(low, high)), *db.scalars(_without_delivery(low, high))):
        found.setdefault(flow_id, Came()).lost += 1
    return found


def _events(low: datetime, high: datetime) -> Executable:
    begin, end = bounds("evt", low, high)
    query = select(Event.flow_id, Event.source, func.count()).where(Event.id >= begin, Event.id < end)
    return query.where(Event.source != "test").group_by(Event.flow_id, Event.source)


def _deliveries(low: datetime, high: datetime) -> Executable:
    begin, end = bounds("dlv", low, high)
    counts = (func.count(), func.sum(Delivery.repeated))
    query = select(Delivery.flow_id, Delivery.outcome, *counts).where(Delivery.id >= begin, Delivery.id < end)
    return query.where(Delivery.flow_id.is_not(None)).group_by(Delivery.flow_id, Delivery.outcome)


def _without_record(low: datetime, high: datetime) -> Select[Any]:
    """One flow id per delivery."""
    begin, end = bounds("dlv", low, high)
    first, last = bounds("evt", low, high + _MADE_TOGETHER)
    brought = select(Event.delivery_id).where(Event.id >= first, Event.id < last)
    return select(Delivery.flow_id).where(
        Delivery.id >= begin,
        Delivery.id < end,
        Delivery.outcome == "accepted",
        Delivery.reason != NO_RECORD,
        Delivery.flow_id.is_not(None),
        Delivery.id.not_in(brought.where(Event.delivery_id.is_not(None))),
    )


def _without_delivery(low: datetime, high: datetime) -> Select[Any]:
    """One flow id per record."""
    begin, end = bounds("evt", low, high)
    first, last = bounds("dlv", low - _MADE_TOGETHER, high)
    there = select(Delivery.id).where(Delivery.id >= first, Delivery.id < last)
    return select(Event.flow_id).where(
        Event.id >= begin,
        Event.id < end,
        Event.source != "test",
        Event.delivery_id.is_not(None),
        Event.delivery_id.not_in(there),
    )
