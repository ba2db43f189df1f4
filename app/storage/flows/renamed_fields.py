"""Values that records of a flow used to have: which are missing, and the records to compare with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Select, delete, select, text, update

from app.storage.database.executor import Executor
from app.storage.tables.models import Event, Flow, RenamedField, Run, StepRecord
from app.storage.tables.types import to_ms

LOOKED_AT = 5
_MOST = 200
_LONGEST = 1000
_NOTE = text(
    "INSERT INTO renamed_fields (flow_id, place, new_path, run_id, noticed_at)"
    " VALUES (:flow_id, :place, :new_path, :run_id, :noticed_at)"
    " ON CONFLICT (flow_id, place) DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class RenamedRow:
    flow_id: str
    place: str
    new_path: str
    run_id: str
    noticed_at: datetime
    left_alone_at: datetime | None


_COLUMNS = [getattr(RenamedField, name) for name in RenamedRow.__dataclass_fields__]


# ------------------------------------------------------------------------------------- reading


def renamed_fields(db: Executor, *, flow_id: str | None = None) -> list[RenamedRow]:
    """What was noticed and not left alone; the oldest first."""
    of_flows = select(*_COLUMNS).join(Flow, Flow.id == RenamedField.flow_id).where(Flow.deleted_at.is_(None))
    query = of_flows.where(RenamedField.left_alone_at.is_(None))
    if flow_id is not None:
        query = query.where(RenamedField.flow_id == flow_id)
    order = (RenamedField.noticed_at, RenamedField.flow_id, RenamedField.place)
    return [RenamedRow(*row) for row in db.execute(query.order_by(*order).limit(_MOST))]


def sample_of(db: Executor, flow_id: str, root: str) -> list[Any]:
    """What somebody showed the flow in the builder; nothing or one."""
    samples = db.execute(select(Flow.sample).where(Flow.id == flow_id)).scalar_one_or_none() or {}
    return [samples[root]] if root in samples else []


def last_documents(
    db: Executor, flow_id: str, root: str, *, before: str | None = None, limit: int = LOOKED_AT
) -> list[Any]:
    """The trigger's records, or what a step gave, in the runs before this one; the newest first."""
    runs = select(Run.id, Run.event_id).where(Run.flow_id == flow_id, Run.replay_of.is_(None))
    if before is not None:
        runs = runs.where(Run.id < before)
    last = runs.order_by(Run.id.desc()).limit(limit).subquery()
    if root == "trigger":
        found: Select[Any] = select(Event.payload).join(last, last.c.event_id == Event.id)
        return [orjson.loads(one) for one in db.scalars(found.order_by(last.c.id.desc()))]
    given = select(StepRecord.output).join(last, last.c.id == StepRecord.run_id)
    given = given.where(StepRecord.step_key == root, StepRecord.state == "succeeded")
    return list(db.scalars(given.order_by(last.c.id.desc())))


def document_of_run(db: Executor, run_id: str, root: str) -> Any:
    """What the run saw there; None when it is no longer in the history."""
    if root == "trigger":
        payload = db.scalar(select(Event.payload).join(Run, Run.event_id == Event.id).where(Run.id == run_id))
        return None if payload is None else orjson.loads(payload)
    this = (StepRecord.run_id == run_id, StepRecord.step_key == root)
    return db.scalar(select(StepRecord.output).where(*this))


# ------------------------------------------------------------------------------------- writing


def note_renamed(
    db: Connection, flow_id: str, found: Iterable[tuple[str, str]], *, run_id: str, now: datetime
) -> None:
    """`found`: places with their new paths.  What is known already stays as it is."""
    same = {"flow_id": flow_id, "run_id": run_id, "noticed_at": to_ms(now)}
    rows = [{"place": place, "new_path": new_path, **same} for place, new_path in found]
    rows = [row for row in rows if len(str(row["place"])) + len(str(row["new_path"])) <= _LONGEST]
    if rows:
        db.execute(_NOTE, rows)


def leave_alone(db: Connection, flow_id: str, place: str, *, now: datetime) -> bool:
    """False = nothing is known of that place."""
    this = (RenamedField.flow_id == flow_id, RenamedField.place == place)
    return bool(db.execute(update(RenamedField).where(*this).values(left_alone_at=now)).rowcount)


def forget_renamed(db: Connection, rows: Iterable[RenamedRow]) -> None:
    for row in rows:
        this = (RenamedField.flow_id == row.flow_id, RenamedField.place == row.place)
        db.execute(delete(RenamedField).where(*this))
