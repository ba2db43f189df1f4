"""What history is deleted when, in small batches beside everything else.

What may go is looked up without the writer; a batch is then deleted by its ids, and after each the
writer is left alone for longer than the batch took.  Runs that have not ended are never touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, delete, func, or_, select, tuple_

from app.ids import id_floor
from app.storage.database.db import Database
from app.storage.database.executor import Executor
from app.storage.history.events import KEYS_KEPT
from app.storage.history.received import NO_RECORD
from app.storage.letters.orders import KEPT as ORDERS_KEPT
from app.storage.letters.orders import forget_old
from app.storage.tables.models import (
    Call,
    Callback,
    DedupeKey,
    Delivery,
    Event,
    Gathered,
    Poll,
    Resend,
    Run,
    StepRecord,
    Trigger,
)
from app.storage.tables.types import to_ms
from app.storage.upkeep.keep_rules import FAILURES_KEPT, Rule, Rules
from app.storage.upkeep.ledger_days import Leaving, note_leaving

BATCH = 50
WELL = ("succeeded", "filtered", "cancelled")
FAILED = ("failed", "dead")

_TOGETHER = timedelta(seconds=10)
_PAUSE = 3  # times what a batch took
_LOOKED_AT = 500
_SLOW_S, _QUICK_S = 0.05, 0.02
_FEWEST = 5

Wait = Callable[[float], bool]
BeforePruning = Callable[[Connection, Leaving, Sequence[str]], None]


@dataclass(slots=True)
class Pruned:
    """How many of each are gone; the calls, steps and events of a run go with it."""

    runs: int = 0
    deliveries: int = 0
    polls: int = 0
    keys: int = 0


class _Pace:
    """`wait`: pauses for so many seconds; true = stop."""

    def __init__(self, database: Database, wait: Wait) -> None:
        self._database = database
        self._wait = wait
        self.stopped = False
        self.batch = BATCH

    def write(self, work: Callable[[Connection], Any]) -> Any:
        """Runs with large bodies take long to delete: then fewer of them go at once."""
        began = time.monotonic()
        result = self._database.write(work)
        took = time.monotonic() - began
        if took > _SLOW_S:
            self.batch = max(self.batch // 2, min(BATCH, _FEWEST))
        elif took < _QUICK_S:
            self.batch = min(self.batch * 2, BATCH)
        self.stopped = self._wait(took * _PAUSE)
        return result


def prune(
    database: Database,
    *,
    now: datetime,
    rules: Rules,
    wait: Wait = lambda _seconds: False,
    before_pruning: BeforePruning = note_leaving,
) -> Pruned:
    """`wait`: called between batches, see `_Pace`.  `before_pruning`: called inside the transaction
    that deletes runs, events or deliveries, with their ids, while all of them are still there."""
    pace = _Pace(database, wait)
    gone = Pruned()
    for flow_id in _flows_with_runs(database):
        for ids in _old_batches(database, flow_id, rules.of(flow_id), now, pace):
            if pace.stopped:
                return gone
            gone.runs += pace.write(partial(_delete_runs, ids=ids, before_pruning=before_pruning))
    before = now - timedelta(days=rules.everywhere.well_days)
    gone.deliveries = _deliveries(database, pace, before, before_pruning)
    gone.polls = _all_of(pace, partial(_polls, before=before))
    gone.keys = _all_of(pace, partial(_keys, before=now - KEYS_KEPT))
    _all_of(pace, partial(forget_old, before=now - ORDERS_KEPT))
    return gone


def _all_of(pace: _Pace, work: Callable[[Connection], int]) -> int:
    total = 0
    while not pace.stopped and (done := pace.write(work)) > 0:
        total += done
    return total


# ---------------------------------------------------------------------------------------- runs


def _flows_with_runs(database: Database) -> list[str]:
    """Flows that are long deleted too: from one to the next along the index."""
    with database.read() as db:
        return flows_with_runs(db)


def flows_with_runs(db: Executor) -> list[str]:
    found = [""]
    while (following := _flow_after(db, found[-1])) is not None:
        found.append(following)
    return found[1:]


def _flow_after(db: Executor, flow_id: str) -> str | None:
    found: str | None = db.execute(select(func.min(Run.flow_id)).where(Run.flow_id > flow_id)).scalar()
    return found


def old_runs(db: Executor, flow_id: str, rule: Rule, now: datetime) -> Select[Any]:
    """The ids of those that may go.  Old is what ended long ago: a run that waited may have begun a
    year before."""
    well = now - timedelta(days=rule.well_days)
    failed = now - max(timedelta(days=rule.failed_days), FAILURES_KEPT)
    old = [
        Run.state.in_(WELL) & (Run.id < _floor("run", well)) & (Run.finished_at < well),
        Run.state.in_(FAILED) & (Run.id < _floor("run", failed)) & (Run.finished_at < failed),
    ]
    if rule.most_runs is not None and (cut := _newest_too_many(db, flow_id, rule.most_runs)) is not None:
        old.append(Run.state.in_(WELL) & (Run.id <= cut))
    return select(Run.id).where(Run.flow_id == flow_id, or_(*old))


def _newest_too_many(db: Executor, flow_id: str, most: int) -> str | None:
    newest = select(Run.id).where(Run.flow_id == flow_id).order_by(Run.id.desc())
    found: str | None = db.execute(newest.offset(most).limit(1)).scalar_one_or_none()
    return found


def _old_batches(
    database: Database, flow_id: str, rule: Rule, now: datetime, pace: _Pace
) -> Iterator[list[str]]:
    after = ""
    with database.read() as db:
        query = old_runs(db, flow_id, rule, now)
    while True:
        with database.read() as db:
            ids = list(db.scalars(query.where(Run.id > after).order_by(Run.id).limit(pace.batch)))
        if not ids:
            return
        yield ids
        after = ids[-1]


def _delete_runs(db: Connection, ids: list[str], before_pruning: BeforePruning) -> int:
    ended = Run.state.in_((*WELL, *FAILED))  # nothing goes back from there, but a page may be slow
    gone = db.execute(select(Run.id, Run.event_id, Run.replay_of).where(Run.id.in_(ids), ended)).all()
    ids = [row.id for row in gone]
    if not ids:
        return 0
    before_pruning(db, "runs", ids)
    db.execute(delete(Call).where(Call.made_for.in_(ids)))
    for table in (StepRecord, Callback, Gathered, Resend):
        db.execute(delete(table).where(table.run_id.in_(ids)))
    db.execute(delete(Run).where(Run.id.in_(ids)))
    # An event stays as long as a replay, or the run that was replayed, is still there.
    family = {row.id for row in gone} | {row.replay_of for row in gone if row.replay_of is not None}
    living = select(Run.event_id).where(Run.replay_of.in_(family) | Run.id.in_(family))
    unneeded_events = {row.event_id for row in gone} - set(db.scalars(living))
    # With the deliveries that brought them. One that brought several events keeps its body, and stays as
    # long as any of those.
    brought = (
        select(Delivery.id, Delivery.body.is_not(None).label("split"), Delivery.received_at)
        .join(Event, Event.delivery_id == Delivery.id)
        .where(Event.id.in_(unneeded_events))
    )
    found = db.execute(brought).all()
    before_pruning(db, "events", list(unneeded_events))
    db.execute(delete(Event).where(Event.id.in_(unneeded_events)))
    deliveries = {row.id for row in found}
    if split := [row.received_at for row in found if row.split]:
        # The ids of an event and its delivery are made together, which bounds the search.
        low, high = _floor("evt", min(split) - _TOGETHER), _floor("evt", max(split) + _TOGETHER)
        query = select(Event.delivery_id).where(Event.id.between(low, high), Event.delivery_id.is_not(None))
        still_needed = {delivery_id for delivery_id in db.scalars(query) if delivery_id is not None}
        deliveries -= still_needed
    if deliveries:
        _delete_deliveries(db, list(deliveries), before_pruning)
    return len(ids)


# ---------------------------------------------------------------------------------- deliveries


def _deliveries(database: Database, pace: _Pace, before: datetime, before_pruning: BeforePruning) -> int:
    """Those that brought no event: refused ones, samples, repetitions.  The others go with theirs."""
    total, after = 0, ""
    while not pace.stopped:
        with database.read() as db:
            found = db.execute(_old_deliveries(after, before)).all()
        if not found:
            break
        after = found[-1].id
        ids = [row.id for row in found if row.outcome != "accepted" or row.reason == NO_RECORD]
        for start in range(0, len(ids), BATCH):
            some = ids[start : start + BATCH]
            total += pace.write(partial(_delete_deliveries, ids=some, before_pruning=before_pruning))
    return total


def _old_deliveries(after: str, before: datetime) -> Any:
    return (
        select(Delivery.id, Delivery.outcome, Delivery.reason)
        .where(Delivery.id > after, Delivery.id < _floor("dlv", before))
        .order_by(Delivery.id)
        .limit(_LOOKED_AT)
    )


def _delete_deliveries(db: Connection, ids: list[str], before_pruning: BeforePruning) -> int:
    before_pruning(db, "deliveries", ids)
    db.execute(delete(Delivery).where(Delivery.id.in_(ids)))
    return len(ids)


# -------------------------------------------------------------------------------- polls and keys


def _polls(db: Connection, before: datetime) -> int:
    ids = list(db.scalars(select(Poll.id).where(Poll.id < _floor("poll", before)).limit(BATCH)))
    if ids:
        db.execute(delete(Call).where(Call.made_for.in_(ids)))
        db.execute(delete(Poll).where(Poll.id.in_(ids)))
    return len(ids)


def _keys(db: Connection, before: datetime) -> int:
    """Not those of a flow that polls: each of its looks decides which it can do without."""
    polls = select(Trigger.flow_id).where(Trigger.kind == "poll")
    query = (
        select(DedupeKey.flow_id, DedupeKey.key)
        .where(DedupeKey.seen_at < before, DedupeKey.flow_id.not_in(polls))
        .limit(BATCH)
    )
    found = db.execute(query).all()
    if found:
        pairs = [(row.flow_id, row.key) for row in found]
        db.execute(delete(DedupeKey).where(tuple_(DedupeKey.flow_id, DedupeKey.key).in_(pairs)))
    return len(found)


def _floor(prefix: str, moment: datetime) -> str:
    return id_floor(prefix, to_ms(moment))


# ------------------------------------------------------------------------------ what would go


@dataclass(frozen=True, slots=True)
class Prunable:
    """`size`: bytes, guessed from what a run takes up on the average."""

    runs: int
    size: int


def number_of_runs(db: Executor) -> int:
    return db.execute(select(func.count()).select_from(Run)).scalar_one()


def prunable(
    db: Executor, rules: Rules, now: datetime, *, flow_ids: Sequence[str], bytes_per_run: int
) -> Prunable:
    """What would go now by these rules."""
    total = 0
    for flow_id in flow_ids:
        query = old_runs(db, flow_id, rules.of(flow_id), now).subquery()
        total += db.execute(select(func.count()).select_from(query)).scalar_one()
    return Prunable(total, total * bytes_per_run)
