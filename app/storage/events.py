"""What came in: deliveries, events with their runs, and the keys by which a repetition is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, text, update

from app.ids import new_id
from app.storage.executor import Executor
from app.storage.models import Delivery, Event, Flow, Run
from app.storage.types import to_ms
from app.storage.writer import Row, Rows, Statement

DELIVERY = Statement(insert(Delivery), 0)
EVENT = Statement(insert(Event), 1)
RUN = Statement(insert(Run), 2)
REPEATED = Statement(
    update(Event)
    .where(Event.id == bindparam("of_event"))
    .values(duplicates=Event.duplicates + bindparam("more")),
    3,
)
_TAKE_KEY = text(
    "INSERT INTO dedupe_keys (flow_id, key, event_id, seen_at) VALUES (:flow_id, :key, :event_id, :seen_at)"
    " ON CONFLICT (flow_id, key) DO NOTHING"
)
_KEY_OF = text("SELECT event_id FROM dedupe_keys WHERE flow_id = :flow_id AND key = :key")


@dataclass(slots=True)
class Arrival:
    """An event with the run it starts, before it is known whether it was seen already."""

    event_id: str
    run_id: str
    payload: bytes
    label: str
    dedupe_key: str | None = None


def arrival(payload: bytes, label: str, dedupe_key: str | None = None) -> Arrival:
    return Arrival(new_id("evt"), new_id("run"), payload, label, dedupe_key)


def delivery_row(
    *,
    delivery_id: str,
    flow_id: str | None,
    received_at: datetime,
    method: str,
    query: str,
    content_type: str,
    headers: list[tuple[str, str]],
    body: bytes | None,
    body_size: int,
    remote_addr: str,
    outcome: str,
    reason: str = "",
) -> Row:
    return {
        "id": delivery_id,
        "flow_id": flow_id,
        "received_at": received_at,
        "method": method,
        "query": query,
        "content_type": content_type,
        "headers": headers,
        "body": body,
        "body_size": body_size,
        "remote_addr": remote_addr,
        "outcome": outcome,
        "reason": reason,
    }


def arrival_rows(
    arrivals: Iterable[Arrival],
    *,
    flow_id: str,
    version_id: str,
    delivery_id: str | None,
    source: str,
    now: datetime,
    held: bool = False,
) -> Rows:
    """The event and the run of each; a run of a held flow waits until the flow is released."""
    rows: Rows = []
    for new in arrivals:
        rows.append((EVENT, _event(new, flow_id, delivery_id, source, now)))
        rows.append((RUN, _run(new, flow_id, version_id, source, now, held)))
    return rows


def _event(new: Arrival, flow_id: str, delivery_id: str | None, source: str, now: datetime) -> Row:
    return {
        "id": new.event_id,
        "flow_id": flow_id,
        "delivery_id": delivery_id,
        "source": source,
        "dedupe_key": new.dedupe_key,
        "label": new.label,
        "received_at": now,
        "payload": new.payload,
        "duplicates": 0,
    }


def _run(new: Arrival, flow_id: str, version_id: str, source: str, now: datetime, held: bool) -> Row:
    return {
        "id": new.run_id,
        "flow_id": flow_id,
        "version_id": version_id,
        "event_id": new.event_id,
        "state": "waiting" if held else "queued",
        "reason": "held_flow" if held else "",
        "label": new.label,
        "source": source,
        "created_at": now,
        "crashes": 0,
        "lease_epoch": 0,
        "sentence": "The flow is held; this run starts when it is released." if held else "",
        "findings": 0,
        "calls": 0,
    }


def write_all(connection: Connection, rows: Rows) -> None:
    """Rows in a function's transaction, statement by statement."""
    grouped: dict[Statement, list[Row]] = {}
    for statement, row in rows:
        grouped.setdefault(statement, []).append(row)
    for statement in sorted(grouped, key=lambda s: s.rank):
        connection.execute(statement.sql, grouped[statement])


def is_held(connection: Connection, flow_id: str) -> bool:
    return bool(connection.scalar(select(Flow.is_held).where(Flow.id == flow_id)))


def take_keys(
    connection: Connection, flow_id: str, arrivals: Sequence[Arrival], *, now: datetime
) -> tuple[list[Arrival], list[str]]:
    """Those seen for the first time, and the ids of the events that the others repeat (a repeated
    seed of a poll has no event and is left out)."""
    fresh: list[Arrival] = []
    repeated: list[str] = []
    for new in arrivals:
        if new.dedupe_key is None or _take(connection, flow_id, new.dedupe_key, new.event_id, now):
            fresh.append(new)
        elif (first := _first(connection, flow_id, new.dedupe_key)) is not None:
            repeated.append(first)
    if repeated:
        write_all(connection, [(REPEATED, {"of_event": event_id, "more": 1}) for event_id in repeated])
    return fresh, repeated


def seed_keys(connection: Connection, flow_id: str, keys: Iterable[str], *, now: datetime) -> int:
    """Keys of records that were there before the flow began to look; returns how many were new."""
    return sum(_take(connection, flow_id, key, None, now) for key in keys)


def known_keys(db: Executor, flow_id: str, keys: Sequence[str]) -> set[str]:
    """Which of these were seen; asked in slices, as a statement holds only so many values."""
    known: set[str] = set()
    query = text("SELECT key FROM dedupe_keys WHERE flow_id = :flow_id AND key IN :keys").bindparams(
        bindparam("keys", expanding=True)
    )
    for start in range(0, len(keys), 500):
        rows = db.execute(query, {"flow_id": flow_id, "keys": list(keys[start : start + 500])})
        known.update(row.key for row in rows)
    return known


def _take(connection: Connection, flow_id: str, key: str, event_id: str | None, now: datetime) -> bool:
    values = {"flow_id": flow_id, "key": key, "event_id": event_id, "seen_at": to_ms(now)}
    return connection.execute(_TAKE_KEY, values).rowcount == 1


def _first(connection: Connection, flow_id: str, key: str) -> str | None:
    first: str | None = connection.execute(_KEY_OF, {"flow_id": flow_id, "key": key}).scalar_one_or_none()
    return first


def event_document(db: Executor, event_id: str) -> Any:
    """The payload as the bytes of a JSON document; None = gone with old history."""
    return db.execute(select(Event.payload).where(Event.id == event_id)).scalar_one_or_none()
