"""Records of several runs that go out in one call: gathered, made up into a batch, settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, text, update

from app.states import WaitReason
from app.storage.database.executor import Executor
from app.storage.database.writer import Row
from app.storage.history import progress
from app.storage.history.progress import OpenRun
from app.storage.tables.models import OPEN_STATES, Gathered, Run

REASON: WaitReason = "batch"
_WAITING = text("SELECT COUNT(*) FROM gathered WHERE line = :line AND batch_id IS NULL")
_OF_ROW = (Gathered.run_id == bindparam("of_run"), Gathered.step_key == bindparam("of_step"))
_CHOOSE = update(Gathered).where(*_OF_ROW).values(batch_id=bindparam("batch_id"), leader=bindparam("leader"))
_TELL = update(Gathered).where(*_OF_ROW).values(outcome=bindparam("told"))


@dataclass(frozen=True, slots=True)
class Member:
    """`outcome` None = not known yet."""

    run_id: str
    step_key: str
    line: str
    match: str
    record: Any
    batch_id: str | None
    leader: str | None
    lease_until: datetime | None
    outcome: Any


_COLUMNS = [getattr(Gathered, name) for name in Member.__dataclass_fields__]


def leader_name(run_id: str, step_key: str) -> str:
    """Of one run several records may go together, from the rounds of a loop: one of them leads."""
    return f"{run_id}:{step_key}"


def member(db: Executor, run_id: str, step_key: str) -> Member | None:
    query = select(*_COLUMNS).where(Gathered.run_id == run_id, Gathered.step_key == step_key)
    row = db.execute(query).one_or_none()
    return None if row is None else Member(*row)


def join(db: Connection, row: Row, *, again: bool = False) -> int:
    """The record waits in its line; how many do."""
    if again:
        leave(db, row["run_id"], row["step_key"])
    db.execute(insert(Gathered), row)
    return db.execute(_WAITING, {"line": row["line"]}).scalar_one()  # type: ignore[no-any-return]


def leave(db: Connection, run_id: str, step_key: str) -> None:
    db.execute(delete(Gathered).where(*_place(run_id, step_key)))


def make_up(db: Connection, own: Member, batch_id: str, *, most: int, now: datetime) -> bool:
    """A batch of this run's record and the oldest others of its line, led by this run; of records with
    the same `match` only the first.  False: somebody else took it meanwhile."""
    query = select(Gathered.run_id, Gathered.step_key, Gathered.match).where(*_in_line(own.line))
    is_open = Run.state.in_(OPEN_STATES)
    query = query.join(Run, Run.id == Gathered.run_id).where(is_open).order_by(Gathered.run_id)
    rows = db.execute(query.limit(most * 4).with_for_update(of=Gathered)).all()
    if own.run_id not in {row.run_id for row in rows}:
        still = db.execute(
            select(Gathered.batch_id).where(*_place(own.run_id, own.step_key))
        ).scalar_one_or_none()
        if still is not None:
            return False
    chosen = {own.match: (own.run_id, own.step_key)}
    for row in rows:
        if len(chosen) < most:
            chosen.setdefault(row.match, (row.run_id, row.step_key))
    values = {"batch_id": batch_id, "leader": leader_name(own.run_id, own.step_key)}
    rows_of = [{"of_run": run_id, "of_step": step_key, **values} for run_id, step_key in chosen.values()]
    db.execute(_CHOOSE, rows_of)
    left = [row.run_id for row in rows if (row.run_id, row.step_key) not in chosen.values()]
    if left:  # one of them makes up the next
        waits = update(Run).where(Run.id == left[0], Run.state == "waiting", Run.reason == REASON)
        db.execute(waits.values(wake_at=now))
    return True


def members(db: Executor, batch_id: str) -> list[Member]:
    """Those not settled; a run that was cancelled sends nothing more."""
    query = select(*_COLUMNS).join(Run, Run.id == Gathered.run_id).where(Run.state.in_(OPEN_STATES))
    query = query.where(Gathered.batch_id == batch_id, Gathered.outcome.is_(None)).order_by(Gathered.run_id)
    return [Member(*row) for row in db.execute(query)]


def lease(db: Connection, batch_id: str, until: datetime) -> None:
    db.execute(update(Gathered).where(Gathered.batch_id == batch_id).values(lease_until=until))


def is_led(db: Executor, own: Member, now: datetime) -> bool:
    """Somebody still makes the call: its run is open, or it may be under way."""
    if own.lease_until is not None and own.lease_until > now:
        return True
    state = db.execute(
        select(Run.state).where(Run.id == (own.leader or "").partition(":")[0])
    ).scalar_one_or_none()
    return state in OPEN_STATES


def dissolve(db: Connection, batch_id: str) -> list[str]:
    """It is not sent as it is: its records wait in line again.  The runs they belong to."""
    unsettled = (Gathered.batch_id == batch_id, Gathered.outcome.is_(None))
    runs = list(db.scalars(select(Gathered.run_id).where(*unsettled).order_by(Gathered.run_id)))
    free = {"batch_id": None, "leader": None, "lease_until": None}
    db.execute(update(Gathered).where(*unsettled).values(**free))
    return runs


def pass_on(db: Connection, batch_id: str, ending: str) -> list[OpenRun]:
    """The run that would have made the call ends: another one, queued, makes up the next batch."""
    others = [run_id for run_id in dissolve(db, batch_id) if run_id != ending]
    db.execute(delete(Gathered).where(Gathered.run_id == ending))
    return [run for run_id in others[:1] if (run := _queue(db, run_id)) is not None]


def settle(db: Connection, outcomes: Mapping[tuple[str, str], Any]) -> list[OpenRun]:
    """What became of each record; the runs go on.  A run's row is locked first, so that one that is
    about to lie down finds its outcome."""
    ids = sorted({run_id for run_id, _ in outcomes})
    if not ids:
        return []
    runs = select(Run.id, Run.flow_id, Run.version_id, Run.event_id, Run.state, Run.reason)
    rows = db.execute(runs.where(Run.id.in_(ids)).order_by(Run.id).with_for_update()).all()
    told = [{"of_run": run, "of_step": step, "told": outcome} for (run, step), outcome in outcomes.items()]
    db.execute(_TELL, told)
    waiting = [row for row in rows if row.state == "waiting" and row.reason == REASON]
    progress.queue_all_again(db, [row.id for row in waiting])
    return [(row.id, row.flow_id, row.version_id, row.event_id) for row in waiting]


def settled_meanwhile(db: Connection, run_id: str, step_key: str) -> OpenRun | None:
    """A run that just lay down and whose record was done while it did: queued again."""
    own = member(db, run_id, step_key)
    return None if own is None or own.outcome is None else _queue(db, run_id)


def _queue(db: Connection, run_id: str) -> OpenRun | None:
    row = db.execute(
        select(Run.id, Run.flow_id, Run.version_id, Run.event_id).where(
            Run.id == run_id, Run.state == "waiting", Run.reason == REASON
        )
    ).one_or_none()
    if row is None:
        return None
    progress.queue_again(db, run_id)
    return row[0], row[1], row[2], row[3]


def _in_line(line: str) -> tuple[Any, ...]:
    return Gathered.line == line, Gathered.batch_id.is_(None)


def _place(run_id: str, step_key: str) -> tuple[Any, ...]:
    return Gathered.run_id == run_id, Gathered.step_key == step_key
