"""Inbound requests as they came: accepted, repeated or refused, with the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text

from app.errors import NotFound
from app.ids import id_floor
from app.states import DeliveryOutcome
from app.storage.database.executor import Executor
from app.storage.history.received import DAY, begin_of, bounds
from app.storage.history.rows import clean
from app.storage.tables.models import Delivery, Event
from app.storage.tables.types import to_ms

OUTCOMES = ("accepted", "duplicate", "refused")
_NOT_ACCEPTED = text("deliveries.outcome <> 'accepted'")  # written out: a partial index asks for it
_REPEATED = text("deliveries.repeated IS NOT NULL")
_EVENT_ID = re.compile(r"evt_[0-9a-z]{20}", re.ASCII)
_EVENTS_FOLLOW = timedelta(seconds=10)  # the ids of a delivery and its events are made together


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """`headers` are redacted.  `body` is None where the event holds it as it came."""

    id: str
    flow_id: str | None
    received_at: datetime
    method: str
    query: str
    content_type: str
    headers: Any
    body: bytes | None
    body_size: int
    remote_addr: str
    outcome: DeliveryOutcome
    reason: str
    repeated: int | None


@dataclass(frozen=True, slots=True)
class DeliveriesPage:
    rows: list[DeliveryRow]
    next_before: str | None


_COLUMNS = [getattr(Delivery, name) for name in DeliveryRow.__dataclass_fields__]


def deliveries_page(
    db: Executor,
    flow_id: str,
    *,
    outcome: str = "",
    day: str = "",
    before: str | None = None,
    limit: int = 50,
) -> DeliveriesPage:
    """The newest first, without bodies.  `outcome`: `repeated` = with records that had come before, all
    of them or some.  `day`: in UTC."""
    columns = [column for column in _COLUMNS if column is not Delivery.body]
    query = select(*columns).where(Delivery.flow_id == flow_id)
    if outcome in OUTCOMES:
        query = query.where(Delivery.outcome == outcome)
    if outcome in ("duplicate", "refused"):
        query = query.where(_NOT_ACCEPTED)
    if outcome == "repeated":
        query = query.where(_REPEATED)
    if day:
        low, high = bounds("dlv", begin_of(day), begin_of(day) + DAY)
        query = query.where(Delivery.id >= low, Delivery.id < high)
    if before:
        query = query.where(Delivery.id < clean(before))
    found = db.execute(query.order_by(Delivery.id.desc()).limit(limit + 1))
    rows = [DeliveryRow(**row._mapping, body=None) for row in found]
    return DeliveriesPage(rows[:limit], rows[limit - 1].id if len(rows) > limit else None)


def outcome_counts(db: Executor, flow_id: str, *, since: datetime) -> dict[str, int]:
    """How many of a flow's deliveries since then were accepted, repeated, refused."""
    low = id_floor("dlv", to_ms(since))
    of_flow = select(Delivery.id).where(Delivery.flow_id == flow_id, Delivery.id >= low)
    others = select(Delivery.outcome, func.count()).where(Delivery.flow_id == flow_id, Delivery.id >= low)
    total = db.execute(select(func.count()).select_from(of_flow.subquery())).scalar_one()
    counts = {row[0]: row[1] for row in db.execute(others.where(_NOT_ACCEPTED).group_by(Delivery.outcome))}
    return {"accepted": total - sum(counts.values()), "duplicate": 0, "refused": 0} | counts


def get_delivery(db: Executor, delivery_id: str) -> DeliveryRow | None:
    row = db.execute(select(*_COLUMNS).where(Delivery.id == clean(delivery_id))).one_or_none()
    return DeliveryRow(*row) if row else None


def find_delivery(db: Executor, delivery_id: str) -> DeliveryRow:
    row = get_delivery(db, delivery_id)
    if row is None:
        raise NotFound("This delivery is not in the history.", delivery=delivery_id)
    return row


def repeats_of(delivery: DeliveryRow) -> list[str]:
    """The ids of the events that a duplicate repeats, as its reason names them."""
    return _EVENT_ID.findall(delivery.reason) if delivery.outcome == "duplicate" else []


def events_of(db: Executor, delivery: DeliveryRow, *, limit: int = 50) -> list[tuple[str, str]]:
    """Id and label of the events that a delivery brought, in its order."""
    low = id_floor("evt", to_ms(delivery.received_at - _EVENTS_FOLLOW))
    high = id_floor("evt", to_ms(delivery.received_at + _EVENTS_FOLLOW))
    query = select(Event.id, Event.label).where(Event.id >= low, Event.id < high)
    rows = db.execute(query.where(Event.delivery_id == delivery.id).order_by(Event.id).limit(limit))
    return [(row[0], row[1]) for row in rows]
