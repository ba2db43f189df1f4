"""When the poll or schedule of a flow is next due, and how far a poll has read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, insert, or_, select, update

from app.flows.model import Mapping, read_mapping
from app.storage.database.executor import Executor
from app.storage.tables.models import Flow, FlowVersion, Trigger


@dataclass(frozen=True, slots=True)
class TriggerRow:
    flow_id: str
    kind: str
    is_on: bool
    next_due_at: datetime | None
    last_due_at: datetime | None
    interval_s: int
    cursor: Any
    seeded_at: datetime | None
    lease_until: datetime | None
    last_ended_at: datetime | None
    fail_count: int
    last_error: str


@dataclass(frozen=True, slots=True)
class DueTrigger:
    flow_id: str
    kind: str
    due_at: datetime
    interval_s: int
    lease_until: datetime | None
    fail_count: int
    is_held: bool
    version_id: str
    time_zone: str
    trigger: dict[str, Any]
    one_by_one: Mapping


def get_trigger(db: Executor, flow_id: str) -> TriggerRow | None:
    row = db.execute(select(*Trigger.__table__.columns).where(Trigger.flow_id == flow_id)).one_or_none()
    return None if row is None else TriggerRow(**row._mapping)


def list_triggers(db: Executor) -> list[TriggerRow]:
    return [TriggerRow(**row._mapping) for row in db.execute(select(*Trigger.__table__.columns))]


def put_trigger(
    db: Connection,
    flow_id: str,
    *,
    kind: str,
    is_on: bool,
    interval_s: int,
    next_due_at: datetime | None,
) -> None:
    """Cursor, seeds and failures stay as they are."""
    values = {"kind": kind, "is_on": is_on, "interval_s": interval_s, "next_due_at": next_due_at}
    if db.execute(_of(flow_id).values(**values)).rowcount == 0:
        db.execute(insert(Trigger), {"flow_id": flow_id, **values})


def switch_trigger(db: Connection, flow_id: str, is_on: bool, *, next_due_at: datetime | None = None) -> None:
    db.execute(_of(flow_id).values(is_on=is_on, next_due_at=next_due_at))


def forget_seeds(db: Connection, flow_id: str) -> None:
    """The next poll seeds again without firing: the flow looks at another source from now on."""
    db.execute(_of(flow_id).values(seeded_at=None, cursor=None, fail_count=0, last_error=""))


# A poll reads its version when it begins: ten thousand of them need not be unpacked here too.
_SCHEDULED = case((Trigger.kind == "schedule", FlowVersion.definition)).label("definition")


def due(db: Executor, now: datetime, *, limit: int, without: Collection[str] = ()) -> list[DueTrigger]:
    """The longest overdue first, but for the flows `without`; `trigger` is empty for a poll."""
    query = (
        select(
            Trigger.flow_id,
            Trigger.kind,
            Trigger.next_due_at.label("due_at"),
            Trigger.interval_s,
            Trigger.lease_until,
            Trigger.fail_count,
            Flow.is_held,
            FlowVersion.id.label("version_id"),
            _SCHEDULED,
        )
        .join(Flow, Flow.id == Trigger.flow_id)
        .join(FlowVersion, FlowVersion.id == Flow.live_version_id)
        .where(Trigger.is_on, Flow.is_on, Flow.deleted_at.is_(None), Trigger.next_due_at <= now)
        .where(Trigger.flow_id.not_in(without))
        .order_by(Trigger.next_due_at)
        .limit(limit)
    )
    found = []
    for row in db.execute(query):
        values = dict(row._mapping)
        definition = values.pop("definition") or {"trigger": {}}
        zone = definition.get("time_zone", "UTC")
        found.append(
            DueTrigger(
                **values,
                time_zone=zone,
                trigger=definition["trigger"],
                one_by_one=read_mapping(definition.get("one_by_one", "")),
            )
        )
    return found


def advance(
    db: Connection,
    flow_id: str,
    *,
    due_at: datetime,
    next_due_at: datetime | None,
    lease_until: datetime | None = None,
) -> bool:
    """False = another tick took it, or it was changed or switched off in the meantime."""
    values: dict[str, Any] = {"next_due_at": next_due_at, "last_due_at": due_at}
    if lease_until is not None:
        values["lease_until"] = lease_until
    query = _of(flow_id).where(Trigger.next_due_at == due_at, Trigger.is_on).values(**values)
    return db.execute(query).rowcount == 1


def take_lease(db: Connection, flow_id: str, *, now: datetime, until: datetime) -> bool:
    """For a poll somebody asked for; False = one is under way."""
    free = or_(Trigger.lease_until.is_(None), Trigger.lease_until <= now)
    return db.execute(_of(flow_id).where(free).values(lease_until=until)).rowcount == 1


def end_lease(db: Connection, flow_id: str) -> None:
    db.execute(_of(flow_id).values(lease_until=None))


def end_leases(db: Connection, now: datetime) -> None:
    """After a start no poll is under way, whatever the last process left behind; one that was broken
    off is due again at once."""
    leased = update(Trigger).where(Trigger.lease_until.is_not(None))
    db.execute(leased.where(Trigger.is_on, Trigger.next_due_at > now).values(next_due_at=now))
    db.execute(leased.values(lease_until=None))


def poll_succeeded(
    db: Connection, flow_id: str, *, cursor: Any, seeded_at: datetime | None, now: datetime
) -> None:
    values = {
        "cursor": cursor,
        "seeded_at": seeded_at,
        "lease_until": None,
        "last_ended_at": now,
        "fail_count": 0,
        "last_error": "",
    }
    db.execute(_of(flow_id).values(**values))


def poll_failed(
    db: Connection, flow_id: str, *, sentence: str, next_due_at: datetime | None, now: datetime
) -> None:
    """What was read so far counts for nothing: cursor and seeds stay."""
    values: dict[str, Any] = {
        "lease_until": None,
        "last_ended_at": now,
        "fail_count": Trigger.fail_count + 1,
        "last_error": sentence,
    }
    db.execute(_of(flow_id).values(**values))
    if next_due_at is not None:
        later = _of(flow_id).where(Trigger.is_on, Trigger.next_due_at < next_due_at)
        db.execute(later.values(next_due_at=next_due_at))


def _of(flow_id: str) -> Any:
    return update(Trigger).where(Trigger.flow_id == flow_id)
