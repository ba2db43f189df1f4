"""What services sent to the one-time addresses of steps, and the runs that wait for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from app.states import WaitReason
from app.storage.database.executor import Executor
from app.storage.history.progress import OpenRun, queue_again
from app.storage.tables.models import OPEN_STATES, Callback, Run, StepRecord

REASON: WaitReason = "callback"


@dataclass(frozen=True, slots=True)
class Asked:
    """A run whose steps services may answer."""

    flow_id: str
    is_open: bool
    step_keys: list[str]


def asked(db: Executor, run_id: str) -> Asked | None:
    row = db.execute(select(Run.flow_id, Run.state).where(Run.id == run_id)).one_or_none()
    if row is None:
        return None
    keys = db.execute(select(StepRecord.step_key).where(StepRecord.run_id == run_id))
    return Asked(row.flow_id, row.state in OPEN_STATES, [key[0] for key in keys])


def keep(
    db: Connection, run_id: str, step_key: str, document: Any, *, now: datetime
) -> tuple[bool, OpenRun | None]:
    """False = it had come before.  The run that waited for it, queued.  Its row is locked first: a run
    that is about to lie down finds what is kept here."""
    run = db.execute(
        select(Run.id, Run.flow_id, Run.version_id, Run.event_id, Run.state, Run.reason)
        .where(Run.id == run_id)
        .with_for_update()
    ).one()
    if found(db, run_id, step_key) is not None:
        return False, None
    row = {"run_id": run_id, "step_key": step_key, "received_at": now, "document": document}
    db.execute(insert(Callback), row)
    if run.state != "waiting" or run.reason != REASON:
        return True, None
    queue_again(db, run_id)
    return True, (run.id, run.flow_id, run.version_id, run.event_id)


def found(db: Executor, run_id: str, step_key: str) -> tuple[Any] | None:
    """In a tuple: what came may be nothing at all."""
    query = select(Callback.document).where(Callback.run_id == run_id, Callback.step_key == step_key)
    row = db.execute(query).one_or_none()
    return None if row is None else (row[0],)


def called_meanwhile(db: Connection, run_id: str, step_key: str) -> OpenRun | None:
    """A run that just lay down and was called while it did: queued again."""
    if found(db, run_id, step_key) is None:
        return None
    waits = update(Run).where(Run.id == run_id, Run.state == "waiting", Run.reason == REASON)
    if db.execute(waits.values(wake_at=None)).rowcount == 0:
        return None
    queue_again(db, run_id)
    row = db.execute(select(Run.id, Run.flow_id, Run.version_id, Run.event_id).where(Run.id == run_id)).one()
    return row[0], row[1], row[2], row[3]
