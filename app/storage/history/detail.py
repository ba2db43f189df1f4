"""All that is on record of one run: its event, the delivery that brought it, steps, calls and attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from app.flows.model import FlowDefinition
from app.states import EventSource, StepState
from app.storage.database.executor import Executor
from app.storage.history.deliveries import DeliveryRow, get_delivery
from app.storage.history.rows import RunRow, get_row
from app.storage.tables.models import Call, Event, FlowVersion, Run, StepRecord

MOST_STEPS = 50_000


@dataclass(frozen=True, slots=True)
class EventRow:
    """`payload`: the bytes of a JSON document."""

    id: str
    flow_id: str
    delivery_id: str | None
    source: EventSource
    dedupe_key: str | None
    label: str
    received_at: datetime
    payload: bytes
    duplicates: int


@dataclass(frozen=True, slots=True)
class CallRow:
    """`duration_ms` None: no answer is known.  `answer_size` is the size before it was cut."""

    made_for: str
    number: int
    step_key: str
    attempt: int
    connection_id: str | None
    idempotency_key: str | None
    method: str
    url: str
    request_headers: Any
    request_body: bytes | None
    status: int | None
    answer_headers: Any
    answer_body: bytes | None
    answer_size: int
    started_at: datetime
    duration_ms: int | None
    waited_ms: int
    error_kind: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class StepMark:
    """A step's state without its data: small enough to read all of a loop over thousands."""

    step_key: str
    state: StepState
    attempt: int
    started_at: datetime
    finished_at: datetime | None
    error_kind: str | None
    sentence: str
    remedy: str
    has_findings: bool


@dataclass(frozen=True, slots=True)
class StepRow:
    step_key: str
    state: StepState
    attempt: int
    started_at: datetime
    finished_at: datetime | None
    input: Any
    output: Any
    findings: Any
    error_kind: str | None
    sentence: str
    remedy: str


@dataclass(frozen=True, slots=True)
class RunDetail:
    """`steps` in the order they began; `calls` by the key of their step, attempts in order.
    `definition` None: the flow's version is gone.  `event` None: gone with old history."""

    run: RunRow
    event: EventRow | None
    delivery: DeliveryRow | None
    definition: FlowDefinition | None
    steps: list[StepRow] = field(default_factory=list)
    calls: dict[str, list[CallRow]] = field(default_factory=dict)
    replays: list[str] = field(default_factory=list)
    first_call_at: datetime | None = None

    @property
    def trigger_to_first_call(self) -> timedelta | None:
        """From the moment the event came to the start of the first call."""
        if self.first_call_at is None:
            return None
        came = self.event.received_at if self.event and self.run.replay_of is None else self.run.created_at
        return max(self.first_call_at - came, timedelta())


_CALL = [getattr(Call, name) for name in CallRow.__dataclass_fields__]
_STEP = [getattr(StepRecord, name) for name in StepRow.__dataclass_fields__]
_EVENT = [getattr(Event, name) for name in EventRow.__dataclass_fields__]


def get_run(db: Executor, run_id: str) -> RunDetail:
    """The run with everything; a page of a long run reads its head and then what it shows."""
    head = get_head(db, run_id)
    calls: dict[str, list[CallRow]] = {}
    for call in calls_for(db, run_id):
        calls.setdefault(call.step_key, []).append(call)
    head.steps.extend(steps_of(db, run_id))
    head.calls.update(calls)
    return head


def get_head(db: Executor, run_id: str) -> RunDetail:
    """Without steps and calls."""
    run = get_row(db, run_id)
    event = get_event(db, run.event_id)
    delivery = get_delivery(db, event.delivery_id) if event and event.delivery_id else None
    return RunDetail(
        run=run,
        event=event,
        delivery=delivery,
        definition=_definition(db, run.version_id),
        replays=_replays(db, run.id),
        first_call_at=db.execute(
            select(Call.started_at).where(Call.made_for == run.id, Call.number == 1)
        ).scalar_one_or_none(),
    )


def get_event(db: Executor, event_id: str) -> EventRow | None:
    row = db.execute(select(*_EVENT).where(Event.id == event_id)).one_or_none()
    return EventRow(*row) if row else None


def _definition(db: Executor, version_id: str) -> FlowDefinition | None:
    stored = db.execute(
        select(FlowVersion.definition).where(FlowVersion.id == version_id)
    ).scalar_one_or_none()
    return None if stored is None else FlowDefinition.model_validate(stored)


def _replays(db: Executor, run_id: str) -> list[str]:
    from_it = select(Run.id).where(Run.replay_of == run_id).order_by(Run.id).limit(100)
    return list(db.execute(from_it).scalars())


# ---------------------------------------------------------------------------- steps and calls


def step_marks(db: Executor, run_id: str) -> list[StepMark]:
    """In the order they began; at most `MOST_STEPS`."""
    found = func.coalesce(func.length(StepRecord.findings) > 2, False)
    columns = [getattr(StepRecord, name) for name in StepMark.__dataclass_fields__ if name != "has_findings"]
    query = select(*columns, found).where(StepRecord.run_id == run_id)
    rows = db.execute(query.order_by(StepRecord.started_at, StepRecord.step_key).limit(MOST_STEPS))
    return [StepMark(*row[:8], has_findings=bool(row[8])) for row in rows]


def steps_of(db: Executor, run_id: str, keys: Sequence[str] | None = None) -> list[StepRow]:
    """`keys`: only these (a few hundred at most)."""
    query = select(*_STEP).where(StepRecord.run_id == run_id)
    if keys is not None:
        query = query.where(StepRecord.step_key.in_(keys))
    rows = db.execute(query.order_by(StepRecord.started_at, StepRecord.step_key).limit(MOST_STEPS))
    return [StepRow(*row) for row in rows]


def calls_for(db: Executor, made_for: str, keys: Sequence[str] | None = None) -> list[CallRow]:
    """The calls of a run or of a poll's look, in the order they were made."""
    query = select(*_CALL).where(Call.made_for == made_for)
    if keys is not None:
        query = query.where(Call.step_key.in_(keys))
    return [CallRow(*row) for row in db.execute(query.order_by(Call.number).limit(MOST_STEPS))]


def get_call(db: Executor, made_for: str, number: int) -> CallRow | None:
    query = select(*_CALL).where(Call.made_for == made_for, Call.number == number)
    row = db.execute(query).one_or_none()
    return CallRow(*row) if row else None


def call_count(db: Executor, made_for: str) -> int:
    return db.execute(select(func.count()).where(Call.made_for == made_for)).scalar_one()
