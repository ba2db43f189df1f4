"""Places in line: open runs of a flow that takes the records of one key one at a time.

A place is written with the run itself, so that the order is that of arrival, and goes when the run
ends.  The first in a line is performed; those behind it wait.  Flows without a key have no rows here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from app.storage.executor import Executor
from app.storage.models import FINAL_STATES, Run, Turn
from app.storage.progress import OpenRun
from app.storage.queued import note_left, note_queued
from app.storage.writer import Row, Statement

TURN = Statement(insert(Turn), 3)
REASON = "turn"


@dataclass(frozen=True, slots=True)
class Place:
    """`first`: the run at the head of the line; it may be the one that asks."""

    key: str
    first: str


def turn_row(run_id: str, flow_id: str, key: str) -> Row:
    return {"run_id": run_id, "flow_id": flow_id, "key": key}


def place_of(db: Executor, run_id: str) -> Place | None:
    """None for a run that stands in no line."""
    own = db.execute(select(Turn.flow_id, Turn.key).where(Turn.run_id == run_id)).one_or_none()
    if own is None:
        return None
    first = _first(db, own.flow_id, own.key)
    return Place(own.key, first or run_id)


def wait_behind(connection: Connection, run_id: str, sentence: str) -> bool:
    """The run lies down until those before it have ended; False when its turn has come meanwhile.
    The head of the line is locked while this is written, so that its end cannot be missed."""
    own = connection.execute(select(Turn.flow_id, Turn.key).where(Turn.run_id == run_id)).one_or_none()
    if own is None:
        return False
    head = _line(own.flow_id, own.key).limit(1).with_for_update()
    first = connection.execute(head).scalar_one_or_none() or _first(connection, own.flow_id, own.key)
    if first is None or first == run_id:
        return False
    values = {"state": "waiting", "reason": REASON, "wake_at": None, "waits_for": first, "sentence": sentence}
    is_open = Run.state.not_in(FINAL_STATES)
    connection.execute(update(Run).where(Run.id == run_id, is_open).values(**values))
    note_left(connection, [run_id])
    return True


def leave(connection: Connection, run_id: str) -> OpenRun | None:
    """The run stands in its line no longer.  The next one, queued, if it was waiting for this."""
    own = connection.execute(
        delete(Turn).where(Turn.run_id == run_id).returning(Turn.flow_id, Turn.key)
    ).one_or_none()
    return None if own is None else _call_next(connection, own.flow_id, own.key)


def step_out(connection: Connection, run_id: str) -> OpenRun | None:
    """Out of its line and queued, whoever stands before it; None when it does not wait there."""
    row = connection.execute(_open_run().where(Run.id == run_id)).one_or_none()
    if row is None or not _queue(connection, run_id):
        return None
    connection.execute(delete(Turn).where(Turn.run_id == run_id))
    return (row[0], row[1], row[2], row[3])


def mend(connection: Connection, *, limit: int) -> list[OpenRun]:
    """Places of runs that have ended are cleared and those behind them queued: for ends that nobody
    was there to pass on, such as a stop of the server between the two writes."""
    ended = select(Turn.run_id).join(Run, Run.id == Turn.run_id, isouter=True)
    gone = ended.where(Run.state.is_(None) | Run.state.in_(FINAL_STATES)).limit(limit)
    for run_id in list(connection.scalars(gone)):
        connection.execute(delete(Turn).where(Turn.run_id == run_id))
    return [run for run in _waiting_heads(connection, limit) if _queue(connection, run[0])]


def anything(db: Executor) -> bool:
    return db.execute(select(Turn.run_id).limit(1)).one_or_none() is not None


def behind(db: Executor, run_id: str) -> int:
    """How many runs wait until this one has ended."""
    own = db.execute(select(Turn.flow_id, Turn.key).where(Turn.run_id == run_id)).one_or_none()
    if own is None:
        return 0
    line = select(func.count()).select_from(Turn).where(Turn.flow_id == own.flow_id, Turn.key == own.key)
    return db.execute(line.where(Turn.run_id > run_id)).scalar_one()


def _line(flow_id: str, key: str) -> Any:
    return select(Turn.run_id).where(Turn.flow_id == flow_id, Turn.key == key).order_by(Turn.run_id)


def _first(db: Executor, flow_id: str, key: str) -> str | None:
    first: str | None = db.execute(_line(flow_id, key).limit(1)).scalar_one_or_none()
    return first


def _call_next(connection: Connection, flow_id: str, key: str) -> OpenRun | None:
    first = _first(connection, flow_id, key)
    if first is None:
        return None
    row = connection.execute(_open_run().where(Run.id == first)).one_or_none()
    return (row[0], row[1], row[2], row[3]) if row is not None and _queue(connection, row[0]) else None


def _open_run() -> Any:
    return select(Run.id, Run.flow_id, Run.version_id, Run.event_id)


def _waiting_heads(connection: Connection, limit: int) -> list[OpenRun]:
    """The first of each line, where it still waits for a run that is gone."""
    heads = select(func.min(Turn.run_id).label("run_id")).group_by(Turn.flow_id, Turn.key).subquery()
    query = _open_run().join(heads, heads.c.run_id == Run.id)
    rows = connection.execute(query.where(Run.state == "waiting", Run.reason == REASON).limit(limit))
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def _queue(connection: Connection, run_id: str) -> bool:
    waits = update(Run).where(Run.id == run_id, Run.state == "waiting", Run.reason == REASON)
    changed = connection.execute(
        waits.values(state="queued", reason="", wake_at=None, waits_for=None, sentence="")
    )
    if changed.rowcount:
        note_queued(connection, [run_id])
    return changed.rowcount > 0
