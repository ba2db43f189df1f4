"""What came in: deliveries, events with their runs, and the keys by which a repetition is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from sqlalchemy import Connection, bindparam, insert, select, text, update

from app.ids import new_id
from app.states import DeliveryOutcome, EventSource
from app.storage.database.executor import Executor
from app.storage.database.queued import Noted, note_new_runs
from app.storage.database.writer import Row, Rows, Statement
from app.storage.history.turns import TURN, turn_row
from app.storage.tables.models import Delivery, Event, Flow, Run
from app.storage.tables.types import to_ms

POLLED = "poll:"  # begins the keys of records, beside those of deliveries
KEYS_KEPT = timedelta(days=30)
_SEEN_AGAIN_AFTER = timedelta(days=1)

DELIVERY = Statement(insert(Delivery), 0)
EVENT = Statement(insert(Event), 1)
RUN = Noted(insert(Run), 2, note_new_runs)
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
_SEEN_AGAIN = text(
    "UPDATE dedupe_keys SET seen_at = :now WHERE flow_id = :flow_id AND key IN :keys AND seen_at < :before"
).bindparams(bindparam("keys", expanding=True))
_FORGET_KEYS = text("DELETE FROM dedupe_keys WHERE flow_id = :flow_id AND seen_at < :before")
_FORGET_POLLED = text("DELETE FROM dedupe_keys WHERE flow_id = :flow_id AND key >= 'poll:' AND key < 'poll;'")
_KEY_OF = text("SELECT event_id FROM dedupe_keys WHERE flow_id = :flow_id AND key = :key")


@dataclass(slots=True)
class Arrival:
    """An event with the run it starts, before it is known whether it was seen already."""

    event_id: str
    run_id: str
    document: Any
    payload: bytes  # the document as JSON
    label: str
    dedupe_key: str | None = None
    turn: str | None = None  # the line it stands in, where its flow takes records one at a time


def arrival(document: Any, payload: bytes, label: str, dedupe_key: str | None = None) -> Arrival:
    return Arrival(new_id("evt"), new_id("run"), document, payload, label, dedupe_key)


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
    outcome: DeliveryOutcome,
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


def delivery_scope(method: str, headers: Iterable[Sequence[str]], query: str) -> dict[str, Any]:
    """What mappings see as `delivery`: header names in small letters, each parameter's first value."""
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace") if query else ():
        parameters.setdefault(name, value)
    named = {name.lower(): value for name, value in headers}
    return {"method": method, "headers": named, "query": parameters}


def arrival_rows(
    arrivals: Iterable[Arrival],
    *,
    flow_id: str,
    version_id: str,
    delivery_id: str | None,
    source: EventSource,
    now: datetime,
    held: bool = False,
) -> Rows:
    """The event and the run of each; a run of a held flow waits until the flow is released."""
    rows: Rows = []
    for new in arrivals:
        rows.append((EVENT, _event(new, flow_id, delivery_id, source, now)))
        rows.append((RUN, _run(new, flow_id, version_id, source, now, held)))
        if new.turn is not None:
            rows.append((TURN, turn_row(new.run_id, flow_id, new.turn)))
    return rows


def _event(new: Arrival, flow_id: str, delivery_id: str | None, source: EventSource, now: datetime) -> Row:
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


def _run(new: Arrival, flow_id: str, version_id: str, source: EventSource, now: datetime, held: bool) -> Row:
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
        "sentence": "The flow is held; this run starts when it is released." if held else "",
        "findings": 0,
        "calls": 0,
    }


def write_all(db: Connection, rows: Rows) -> None:
    """Rows in a function's transaction, statement by statement."""
    grouped: dict[Statement, list[Row]] = {}
    for statement, row in rows:
        grouped.setdefault(statement, []).append(row)
    for statement in sorted(grouped, key=lambda s: s.rank):
        statement.execute(db, grouped[statement])


def is_held(db: Connection, flow_id: str) -> bool:
    """Stays true until this transaction ends: a release by another process waits for it, and then
    finds the run that waits."""
    held = select(Flow.is_held).where(Flow.id == flow_id).with_for_update(read=True)
    return bool(db.scalar(held))


def take_keys(
    db: Connection, flow_id: str, arrivals: Sequence[Arrival], *, now: datetime
) -> tuple[list[Arrival], list[str]]:
    """Those seen for the first time, and the ids of the events that the others repeat (a repeated
    seed of a poll has no event and is left out)."""
    fresh: list[Arrival] = []
    repeated: list[str] = []
    for new in arrivals:
        if new.dedupe_key is None or _take(db, flow_id, new.dedupe_key, new.event_id, now):
            fresh.append(new)
        elif (first := _first(db, flow_id, new.dedupe_key)) is not None:
            repeated.append(first)
    if repeated:
        write_all(db, [(REPEATED, {"of_event": event_id, "more": 1}) for event_id in repeated])
    return fresh, repeated


def seed_keys(db: Connection, flow_id: str, keys: Iterable[str], *, now: datetime) -> int:
    """Keys of records that were there before the flow began to look; returns how many were new."""
    return sum(_take(db, flow_id, key, None, now) for key in keys)


def take_new(db: Connection, flow_id: str, arrivals: Sequence[Arrival], *, now: datetime) -> list[Arrival]:
    """Those seen for the first time.  For polls, where finding a record again is no repetition of a
    delivery and is not counted."""
    return [new for new in arrivals if _take(db, flow_id, new.dedupe_key or "", new.event_id, now)]


def tidy_keys(db: Connection, flow_id: str, keys: Sequence[str], *, now: datetime) -> None:
    """After a look that found all of `keys`: they are still there and stay remembered; what was not
    found for long may go.  Written at most once a day per key."""
    day = {"flow_id": flow_id, "now": to_ms(now), "before": to_ms(now - _SEEN_AGAIN_AFTER)}
    for start in range(0, len(keys), 500):
        db.execute(_SEEN_AGAIN, {**day, "keys": list(keys[start : start + 500])})
    db.execute(_FORGET_KEYS, {"flow_id": flow_id, "before": to_ms(now - KEYS_KEPT)})


def forget_polled(db: Connection, flow_id: str) -> None:
    """Keys of another source say nothing about this one's records."""
    db.execute(_FORGET_POLLED, {"flow_id": flow_id})


def _take(db: Connection, flow_id: str, key: str, event_id: str | None, now: datetime) -> bool:
    values = {"flow_id": flow_id, "key": key, "event_id": event_id, "seen_at": to_ms(now)}
    return db.execute(_TAKE_KEY, values).rowcount == 1


def _first(db: Connection, flow_id: str, key: str) -> str | None:
    first: str | None = db.execute(_KEY_OF, {"flow_id": flow_id, "key": key}).scalar_one_or_none()
    return first


def event_document(db: Executor, event_id: str) -> Any:
    """The payload as the bytes of a JSON document; None = gone with old history."""
    return db.execute(select(Event.payload).where(Event.id == event_id)).scalar_one_or_none()
