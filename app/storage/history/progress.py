"""How a run moves on: the statements the engine commits, and what it reads to go on after a stop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Text,
    bindparam,
    case,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy import Row as SqlRow

from app.states import EventSource, NoReason, RunState, StepState, WaitReason
from app.storage.connections.connections import is_free
from app.storage.database.executor import Executor
from app.storage.database.queued import Noted, note_moved_runs, note_queued
from app.storage.database.writer import Row
from app.storage.tables.models import OPEN_STATES, Call, Delivery, Event, Run, StepRecord

_FINISHED_STEP = (
    "state",
    "attempt",
    "finished_at",
    "input",
    "output",
    "findings",
    "error_kind",
    "sentence",
    "remedy",
)


def _run_update(*columns: str, **computed: Any) -> Any:
    """Only an open run moves: an end, once written, stands.  (IN would keep the statement from being
    sent for many runs at once.)"""
    is_open = or_(*(Run.state == literal_column(f"'{state}'") for state in OPEN_STATES))
    return (
        update(Run)
        .where(Run.id == bindparam("of_run"), is_open)
        .values({name: bindparam(f"to_{name}") for name in columns} | computed)
    )


STEP_BEGIN = Noted(insert(StepRecord), 10)
CALL = Noted(insert(Call), 20)
STEP_AGAIN = Noted(
    update(StepRecord)
    .where(StepRecord.run_id == bindparam("of_run"), StepRecord.step_key == bindparam("of_step"))
    .values({name: bindparam(f"to_{name}") for name in ("state", "attempt", "started_at")}),
    30,
)
STEP_END = Noted(
    update(StepRecord)
    .where(StepRecord.run_id == bindparam("of_run"), StepRecord.step_key == bindparam("of_step"))
    .values({name: bindparam(f"to_{name}") for name in _FINISHED_STEP}),
    31,
)
RUN_BEGIN = Noted(_run_update("state", "reason", "wake_at", "started_at", "position"), 40)
RUN_WAIT = Noted(
    _run_update(
        "state", "reason", "wake_at", "position", "waits_for", "sentence", "error_kind", "findings", "calls"
    ),
    41,
    note_moved_runs,
)
_RUN_END = (
    "state",
    "reason",
    "wake_at",
    "finished_at",
    "position",
    "error_kind",
    "sentence",
    "findings",
    "calls",
)
RUN_END = Noted(_run_update(*_RUN_END), 42, note_moved_runs)
_CAUSE = case(  # a person's test is nobody's dead letter
    (Run.source == literal_column("'test'"), null()), else_=bindparam("to_cause", type_=Text())
)
RUN_FAIL = Noted(_run_update(*_RUN_END, cause=_CAUSE), 43, note_moved_runs)


def step_begins(
    run_id: str, step_key: str, *, at: datetime, attempt: int, state: StepState = "started"
) -> Row:
    return {
        "run_id": run_id,
        "step_key": step_key,
        "state": state,
        "attempt": attempt,
        "started_at": at,
        "finished_at": None,
        "input": None,
        "output": None,
        "findings": None,
        "error_kind": None,
        "sentence": "",
        "remedy": "",
    }


def step_ends(run_id: str, step_key: str, values: Row) -> Row:
    row = {f"to_{name}": values.get(name) for name in _FINISHED_STEP}
    row["to_sentence"] = values.get("sentence", "")
    row["to_remedy"] = values.get("remedy", "")
    return {"of_run": run_id, "of_step": step_key, **row}


def run_change(run_id: str, **values: Any) -> Row:
    return {"of_run": run_id, **{f"to_{name}": value for name, value in values.items()}}


@dataclass(frozen=True)
class RunFacts:
    """What is needed to take up a run."""

    id: str
    flow_id: str
    version_id: str
    event_id: str
    state: RunState
    reason: WaitReason | NoReason
    label: str
    source: EventSource
    created_at: datetime
    started_at: datetime | None
    position: str | None
    crashes: int
    findings: int
    calls: int
    replay_of: str | None


_RUN_FACTS = [getattr(Run, name) for name in RunFacts.__dataclass_fields__]


def run_facts(db: Executor, run_id: str) -> RunFacts | None:
    row = db.execute(select(*_RUN_FACTS).where(Run.id == run_id)).one_or_none()
    return RunFacts(**row._mapping) if row else None


@dataclass(frozen=True)
class StepFacts:
    state: StepState
    attempt: int
    started_at: datetime
    output: Any
    error_kind: str | None


def step_facts(db: Executor, run_id: str) -> dict[str, StepFacts]:
    """Step key -> what is on record of it."""
    rows = db.execute(
        select(
            StepRecord.step_key,
            StepRecord.state,
            StepRecord.attempt,
            StepRecord.started_at,
            StepRecord.output,
            StepRecord.error_kind,
        ).where(StepRecord.run_id == run_id)
    )
    return {row[0]: StepFacts(*row[1:]) for row in rows}


def count_calls(db: Executor, run_id: str) -> int:
    return db.scalar(select(func.max(Call.number)).where(Call.made_for == run_id)) or 0


def event_payload(db: Executor, event_id: str) -> bytes:
    return db.scalar(select(Event.payload).where(Event.id == event_id)) or b"null"


def delivery_of(db: Executor, event_id: str) -> SqlRow[Any] | None:
    return db.execute(
        select(Delivery.method, Delivery.headers, Delivery.query)
        .join(Event, Event.delivery_id == Delivery.id)
        .where(Event.id == event_id)
    ).one_or_none()


OpenRun = tuple[str, str, str, str]  # id, flow, version, event


def _open_runs(db: Executor, *where: Any, limit: int) -> list[OpenRun]:
    rows = db.execute(
        select(Run.id, Run.flow_id, Run.version_id, Run.event_id).where(*where).order_by(Run.id).limit(limit)
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def under_way(db: Executor, *, after: str, limit: int) -> list[OpenRun]:
    """Runs that are queued or running according to the database, oldest first."""
    return _open_runs(db, Run.state.in_(("queued", "running")), Run.id > after, limit=limit)


def due(db: Executor, now: datetime, *, limit: int) -> list[OpenRun]:
    """Waiting runs whose moment has come."""
    return _open_runs(db, Run.state == "waiting", Run.wake_at <= now, limit=limit)


def cancel(db: Connection, run_id: str, sentence: str, *, now: datetime) -> bool:
    """Ends a run that is open; False when it had ended already."""
    query = update(Run).where(Run.id == run_id, Run.state.in_(OPEN_STATES))
    ended = {"state": "cancelled", "reason": "", "wake_at": None, "finished_at": now, "sentence": sentence}
    return db.execute(query.values(**ended)).rowcount > 0


def try_now(db: Connection, run_id: str) -> OpenRun | None:
    """The run, queued before its next try is due; None when it does not wait for one."""
    waits = (Run.id == run_id, Run.state == "waiting", Run.reason == "retry")
    runs = _open_runs(db, *waits, limit=1)
    back = {"state": "queued", "reason": "", "wake_at": None, "waits_for": None}
    if not runs or not db.execute(update(Run).where(*waits).values(**back)).rowcount:
        return None
    note_queued(db, [run_id])
    return runs[0]


def waiting_for_connection(db: Executor, connection_id: str, *, limit: int) -> list[OpenRun]:
    return _open_runs(
        db,
        Run.state == "waiting",
        Run.reason == "held_connection",
        Run.waits_for == connection_id,
        limit=limit,
    )


def released_meanwhile(db: Connection, *, run_id: str, step_key: str) -> OpenRun | None:
    """The run that has just lain down for a connection, queued again if that is free by now: whoever
    released it has not seen this run."""
    waits = (Run.id == run_id, Run.state == "waiting", Run.reason == "held_connection")
    waits_for = db.scalar(select(Run.waits_for).where(*waits))
    if waits_for is None or not is_free(db, waits_for):
        return None
    runs = _open_runs(db, *waits, limit=1)
    queue_again(db, run_id)
    return runs[0] if runs else None


def waiting_for_turn(db: Executor, connection_id: str, *, after: str, limit: int) -> list[OpenRun]:
    """Runs in the line of a connection, or that wait until it is tried again; oldest first."""
    return _open_runs(
        db,
        Run.state == "waiting",
        Run.reason.in_(("rate_limit", "away")),
        Run.waits_for == connection_id,
        Run.id > after,
        limit=limit,
    )


def waiting_for_flow(db: Executor, flow_id: str, *, limit: int) -> list[OpenRun]:
    return _open_runs(
        db, Run.state == "waiting", Run.reason == "held_flow", Run.flow_id == flow_id, limit=limit
    )


def count_crash(db: Connection) -> int:
    """After a start: every run that was under way has lived through one more stop.  How many.  They
    are queued again: only what is begun anew counts at the next stop."""
    changed = db.execute(
        update(Run).where(Run.state == "running").values(state="queued", crashes=Run.crashes + 1)
    )
    return changed.rowcount


def queue_again(db: Connection, run_id: str) -> None:
    """An open run goes back to the queue, whatever it waited for."""
    db.execute(
        update(Run)
        .where(Run.id == run_id, Run.state.in_(OPEN_STATES))
        .values(state="queued", reason="", wake_at=None, waits_for=None)
    )
    note_queued(db, [run_id])


def queue_all_again(db: Connection, run_ids: list[str]) -> None:
    if run_ids:
        back = {"state": "queued", "reason": "", "wake_at": None, "waits_for": None}
        db.execute(update(Run).where(Run.id.in_(run_ids)).values(**back))
        note_queued(db, run_ids)
