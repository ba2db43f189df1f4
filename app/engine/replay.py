"""Run a kept event again, whole or from the step that failed; and the decision on a call whose
outcome nobody knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, insert, literal, select, update

from app.engine.dispatch.tickets import RunTicket
from app.engine.turns import key_of
from app.errors import FlowInvalid, NotFound
from app.flows.model import read_mapping
from app.ids import new_id
from app.storage.database.queued import note_queued
from app.storage.history import progress, resends, turns
from app.storage.history.rows import settle
from app.storage.tables.models import OPEN_STATES, Event, Flow, FlowVersion, Run, StepRecord

Mode = Literal["whole", "failed"]
WhichVersion = Literal["same", "current"]

_KEPT_COLUMNS = [one.name for one in StepRecord.__table__.columns if one.name != "run_id"]


@dataclass(frozen=True, slots=True)
class ReplayWay:
    """How a run is made from another.  `mode` failed: steps that succeeded are taken over, never sent
    again, and a call of which nobody knows whether it arrived goes out under its first key.
    `payload`: the event's data as a person changed it, None = as the other run had it."""

    mode: Mode = "whole"
    version: WhichVersion = "same"
    by: str | None = None
    payload: bytes | None = None


def run_again(db: Connection, run_id: str, way: ReplayWay, now: datetime) -> RunTicket:
    """Queued, with the failure it was made from dealt with.  Whatever refuses it does so before
    anything is written: NotFound or FlowInvalid."""
    old = _get(db, run_id)
    if old.state in OPEN_STATES:
        raise FlowInvalid("This run is still under way.", remedy="Wait for its end, or cancel it first.")
    version_id = old.version_id if way.version == "same" else _live_version(db, old.flow_id)
    if db.scalar(select(Event.id).where(Event.id == old.event_id)) is None:
        raise FlowInvalid("What came in for this run is no longer in the history.", run=run_id)
    ticket = RunTicket(new_id("run"), old.flow_id, version_id, old.event_id, fresh=False)
    db.execute(insert(Run), _new_run(ticket, old, now))
    note_queued(db, [ticket.run_id])
    settle(db, [old.id], now=now)
    keys: dict[str, str] = {}
    if way.mode == "failed":
        _take_over_steps(db, old.id, ticket.run_id)
        keys = resends.open_keys(db, old.id)
    payload = way.payload or resends.facts(db, old.id).payload
    resends.keep(db, ticket.run_id, mode=way.mode, at=now, by=way.by, payload=payload, keys=keys)
    _stand_in_line(db, ticket, payload)
    return ticket


def _get(db: Connection, run_id: str) -> Any:
    row = db.execute(
        select(Run.id, Run.flow_id, Run.version_id, Run.event_id, Run.state, Run.reason, Run.label)
        .add_columns(Run.position, Run.source)
        .where(Run.id == run_id)
    ).one_or_none()
    if row is None:
        raise NotFound("This run is not in the history any more.", run=run_id)
    return row


def _live_version(db: Connection, flow_id: str) -> str:
    version_id = db.scalar(select(Flow.live_version_id).where(Flow.id == flow_id))
    if version_id is None:
        raise FlowInvalid("This flow has no live version.", remedy="Publish the flow, then replay.")
    return version_id


def _new_run(ticket: RunTicket, old: Any, now: datetime) -> dict[str, Any]:
    return {
        "id": ticket.run_id,
        "flow_id": ticket.flow_id,
        "version_id": ticket.version_id,
        "event_id": ticket.event_id,
        "state": "queued",
        "reason": "",
        "label": old.label,
        "source": old.source,
        "created_at": now,
        "replay_of": old.id,
        "sentence": "",
    }


def _stand_in_line(db: Connection, ticket: RunTicket, payload: bytes | None) -> None:
    """Behind the runs of the same key that are open, where the flow takes those one at a time."""
    definition = db.scalar(select(FlowVersion.definition).where(FlowVersion.id == ticket.version_id)) or {}
    one_by_one = read_mapping(definition.get("one_by_one", ""))
    if not one_by_one.value:
        return
    document = orjson.loads(payload or progress.event_payload(db, ticket.event_id))
    key = key_of(one_by_one, definition["trigger"].get("id", "trigger"), document)
    if key is not None:
        turns.TURN.execute(db, [turns.turn_row(ticket.run_id, ticket.flow_id, key)])


def _take_over_steps(db: Connection, old_run: str, new_run: str) -> None:
    """Only what succeeded; containers are walked again, so that their failed parts are found."""
    columns = [getattr(StepRecord, name) for name in _KEPT_COLUMNS]
    kept = select(literal(new_run), *columns).where(
        StepRecord.run_id == old_run, StepRecord.state.in_(("succeeded", "skipped"))
    )
    db.execute(insert(StepRecord).from_select(["run_id", *_KEPT_COLUMNS], kept))


def decide(db: Connection, run_id: str, *, was_sent: bool) -> RunTicket:
    """Queues a run whose call has an outcome that nobody knows: the step counts as done, or is sent again
    under its key.  Raises NotFound, and FlowInvalid for a run that does not wait for that decision."""
    run = _get(db, run_id)
    if run.state != "waiting" or run.reason != "unknown":
        raise FlowInvalid("This run no longer waits for that decision.")
    state, sentence = "retry", "A person had it sent again."
    if was_sent:
        state, sentence = "succeeded", "A person saw at the service that it had arrived."
    db.execute(
        update(StepRecord)
        .where(StepRecord.run_id == run_id, StepRecord.state == "unknown")
        .values(state=state, sentence=sentence)
    )
    db.execute(
        update(Run).where(Run.id == run_id).values(state="queued", reason="", wake_at=None, sentence="")
    )
    note_queued(db, [run_id])
    return RunTicket(run.id, run.flow_id, run.version_id, run.event_id, fresh=False)
