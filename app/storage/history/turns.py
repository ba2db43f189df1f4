"""Places in line: open runs of a flow that takes the records of one key one at a time.

A place is written with the run itself, so that the order is that of arrival, and goes when the run
ends.  The first in a line is performed; those behind it wait.  Flows without a key have no rows here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text, update

from app.states import WaitReason
from app.storage.database.executor import Executor
from app.storage.database.queued import note_left, note_queued
from app.storage.database.writer import Row, Statement
from app.storage.history.progress import OpenRun
from app.storage.tables.models import FINAL_STATES, Run, Turn

TURN = Statement(insert(Turn), 3)
REASON: WaitReason = "turn"

# Written out: each is executed once or twice for every run of such a flow.
_PLACE = text(
    "SELECT t.key, (SELECT f.run_id FROM turns f WHERE f.flow_id = t.flow_id AND f.key = t.key"
    " ORDER BY f.run_id LIMIT 1) FROM turns t WHERE t.run_id = :run_id"
)
_LIE_DOWN = text(
    "UPDATE runs SET state = 'waiting', reason = 'turn', wake_at = NULL, waits_for = :first,"
    " sentence = :sentence WHERE id = :run_id AND state IN ('queued', 'running', 'waiting')"
)
_LEAVE = text("DELETE FROM turns WHERE run_id = :run_id RETURNING flow_id, key")
_CALL_NEXT = text(
    "UPDATE runs SET state = 'queued', reason = '', wake_at = NULL, waits_for = NULL, sentence = ''"
    " WHERE id = (SELECT run_id FROM turns WHERE flow_id = :flow_id AND key = :key ORDER BY run_id LIMIT 1)"
    " AND state = 'waiting' AND reason = 'turn'"
    " RETURNING id, flow_id, version_id, event_id"
)


@dataclass(frozen=True, slots=True)
class Place:
    """`first`: the run at the head of the line; it may be the one that asks."""

    key: str
    first: str


def turn_row(run_id: str, flow_id: str, key: str) -> Row:
    return {"run_id": run_id, "flow_id": flow_id, "key": key}


def place_of(db: Executor, run_id: str) -> Place | None:
    """None for a run that stands in no line."""
    row = db.execute(_PLACE, {"run_id": run_id}).one_or_none()
    return None if row is None else Place(row[0], row[1])


def place_kept(db: Connection, run_id: str) -> Place | None:
    """As `place_of`, and the head of the line stays as it is until this transaction ends, so that its
    end cannot be missed by a run that lies down behind it."""
    place = place_of(db, run_id)
    if place is None or place.first == run_id or db.dialect.name == "sqlite":
        return place  # on SQLite one transaction writes at a time
    db.execute(select(Turn.run_id).where(Turn.run_id == place.first).with_for_update())
    return place_of(db, run_id)


def wait_behind(db: Connection, run_id: str, place: Place, sentence: str) -> None:
    """The run lies down until those before it have ended."""
    values = {"run_id": run_id, "first": place.first, "sentence": sentence}
    db.execute(_LIE_DOWN, values)
    note_left(db, [run_id])


def leave(db: Connection, run_id: str) -> OpenRun | None:
    """The run stands in its line no longer.  The next one, queued, if it was waiting for this."""
    own = db.execute(_LEAVE, {"run_id": run_id}).one_or_none()
    if own is None:
        return None
    row = db.execute(_CALL_NEXT, {"flow_id": own[0], "key": own[1]}).one_or_none()
    if row is None:
        return None
    note_queued(db, [row[0]])
    return row[0], row[1], row[2], row[3]


def step_out(db: Connection, run_id: str) -> OpenRun | None:
    """Out of its line and queued, whoever stands before it; None when it does not wait there."""
    row = db.execute(_open_run().where(Run.id == run_id)).one_or_none()
    if row is None or not _queue(db, run_id):
        return None
    db.execute(delete(Turn).where(Turn.run_id == run_id))
    return (row[0], row[1], row[2], row[3])


def fix(db: Connection, *, limit: int) -> list[OpenRun]:
    """Places of runs that have ended are cleared and those behind them queued: for ends that nobody
    was there to pass on, such as a stop of the server between the two writes."""
    ended = select(Turn.run_id).join(Run, Run.id == Turn.run_id, isouter=True)
    gone = ended.where(Run.state.is_(None) | Run.state.in_(FINAL_STATES)).limit(limit)
    for run_id in list(db.scalars(gone)):
        db.execute(delete(Turn).where(Turn.run_id == run_id))
    return [run for run in _waiting_heads(db, limit) if _queue(db, run[0])]


def anything(db: Executor) -> bool:
    return db.execute(select(Turn.run_id).limit(1)).one_or_none() is not None


def behind(db: Executor, run_id: str) -> int:
    """How many runs wait until this one has ended."""
    own = db.execute(select(Turn.flow_id, Turn.key).where(Turn.run_id == run_id)).one_or_none()
    if own is None:
        return 0
    line = select(func.count()).select_from(Turn).where(Turn.flow_id == own.flow_id, Turn.key == own.key)
    return db.execute(line.where(Turn.run_id > run_id)).scalar_one()


def _open_run() -> Any:
    return select(Run.id, Run.flow_id, Run.version_id, Run.event_id)


def _waiting_heads(db: Connection, limit: int) -> list[OpenRun]:
    """The first of each line, where it still waits for a run that is gone."""
    heads = select(func.min(Turn.run_id).label("run_id")).group_by(Turn.flow_id, Turn.key).subquery()
    query = _open_run().join(heads, heads.c.run_id == Run.id)
    rows = db.execute(query.where(Run.state == "waiting", Run.reason == REASON).limit(limit))
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def _queue(db: Connection, run_id: str) -> bool:
    waits = update(Run).where(Run.id == run_id, Run.state == "waiting", Run.reason == REASON)
    changed = db.execute(waits.values(state="queued", reason="", wake_at=None, waits_for=None, sentence=""))
    if changed.rowcount:
        note_queued(db, [run_id])
    return changed.rowcount > 0
