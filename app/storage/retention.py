"""What history is deleted when, in small batches, so that nobody waits for it.

Runs that have not ended are never touched; dead ones are kept longer, for a replay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, delete, select, tuple_

from app.ids import id_floor
from app.storage.db import Database
from app.storage.events import KEYS_KEPT
from app.storage.models import Call, Callback, DedupeKey, Delivery, Event, Poll, Run, StepRecord, Trigger
from app.storage.types import to_ms

BATCH = 500
DEAD_KEPT = timedelta(days=90)

_TOGETHER = timedelta(seconds=10)
_ENDED = ("succeeded", "filtered", "failed", "cancelled")


@dataclass(slots=True)
class Pruned:
    """How many of each are gone; the calls, steps and events of a run go with it."""

    runs: int = 0
    deliveries: int = 0
    polls: int = 0
    keys: int = 0


def prune(
    database: Database,
    *,
    now: datetime,
    history_days: int,
    stopped: Callable[[], bool] = lambda: False,
) -> Pruned:
    """`stopped`: asked between batches, so that a shut-down does not wait for it."""
    before = now - timedelta(days=history_days)

    def all_of(work: Callable[[Connection], int]) -> int:
        total = 0
        while not stopped() and (done := database.write(work)) > 0:
            total += done
        return total

    ended = all_of(lambda c: _runs(c, _ENDED, before))
    dead = all_of(lambda c: _runs(c, ("dead",), min(before, now - DEAD_KEPT)))
    return Pruned(
        runs=ended + dead,
        deliveries=_deliveries(database, before, stopped),
        polls=all_of(lambda c: _polls(c, before)),
        keys=all_of(lambda c: _keys(c, now - KEYS_KEPT)),
    )


# ---------------------------------------------------------------------------------------- runs


def _runs(connection: Connection, states: tuple[str, ...], before: datetime) -> int:
    old = _old_runs(connection, states, before)
    ids = [row.id for row in old]
    if ids:
        connection.execute(delete(Call).where(Call.made_for.in_(ids)))
        connection.execute(delete(StepRecord).where(StepRecord.run_id.in_(ids)))
        connection.execute(delete(Callback).where(Callback.run_id.in_(ids)))
        connection.execute(delete(Run).where(Run.id.in_(ids)))
        connection.execute(delete(Event).where(Event.id.in_(_unneeded_events(connection, old))))
    return len(ids)


def _old_runs(connection: Connection, states: tuple[str, ...], before: datetime) -> Sequence[Any]:
    """Old is what ended long ago; a run that waited may have begun a year before."""
    for state in states:
        found = connection.execute(
            select(Run.id, Run.event_id, Run.replay_of)
            .where(Run.state == state, Run.id < _floor("run", before), Run.finished_at < before)
            .order_by(Run.id)
            .limit(BATCH)
        ).all()
        if found:
            return found
    return []


def _unneeded_events(connection: Connection, gone: Sequence[Any]) -> set[str]:
    """An event stays as long as a replay, or the run that was replayed, is still there."""
    family = {row.id for row in gone} | {row.replay_of for row in gone if row.replay_of is not None}
    living = select(Run.event_id).where(Run.replay_of.in_(family) | Run.id.in_(family))
    return {row.event_id for row in gone} - set(connection.scalars(living))


# ---------------------------------------------------------------------------------- deliveries


def _deliveries(database: Database, before: datetime, stopped: Callable[[], bool]) -> int:
    total, after = 0, ""
    while not stopped():
        batch = database.write(partial(_delete_batch, after=after, before=before))
        if not batch.seen:
            break
        total, after = total + batch.deleted, batch.last
    return total


@dataclass(slots=True)
class _Batch:
    seen: int
    deleted: int
    last: str


def _delete_batch(connection: Connection, after: str, before: datetime) -> _Batch:
    """Those whose events are gone; the ids of both are made together, which bounds the search."""
    query = (
        select(Delivery.id, Delivery.received_at)
        .where(Delivery.id > after, Delivery.id < _floor("dlv", before))
        .order_by(Delivery.id)
        .limit(BATCH)
    )
    found = connection.execute(query).all()
    if not found:
        return _Batch(0, 0, after)
    moments = [row.received_at for row in found]
    low, high = _floor("evt", min(moments) - _TOGETHER), _floor("evt", max(moments) + _TOGETHER)
    needed = set(
        connection.scalars(
            select(Event.delivery_id).where(Event.id.between(low, high), Event.delivery_id.is_not(None))
        )
    )
    ids = [row.id for row in found if row.id not in needed]
    connection.execute(delete(Delivery).where(Delivery.id.in_(ids)))
    return _Batch(len(found), len(ids), found[-1].id)


# -------------------------------------------------------------------------------- polls and keys


def _polls(connection: Connection, before: datetime) -> int:
    ids = list(connection.scalars(select(Poll.id).where(Poll.id < _floor("poll", before)).limit(BATCH)))
    if ids:
        connection.execute(delete(Call).where(Call.made_for.in_(ids)))
        connection.execute(delete(Poll).where(Poll.id.in_(ids)))
    return len(ids)


def _keys(connection: Connection, before: datetime) -> int:
    """Not those of a flow that polls: each of its looks decides which it can do without."""
    polls = select(Trigger.flow_id).where(Trigger.kind == "poll")
    query = (
        select(DedupeKey.flow_id, DedupeKey.key)
        .where(DedupeKey.seen_at < before, DedupeKey.flow_id.not_in(polls))
        .limit(BATCH)
    )
    found = connection.execute(query).all()
    if found:
        pairs = [(row.flow_id, row.key) for row in found]
        connection.execute(delete(DedupeKey).where(tuple_(DedupeKey.flow_id, DedupeKey.key).in_(pairs)))
    return len(found)


def _floor(prefix: str, moment: datetime) -> str:
    return id_floor(prefix, to_ms(moment))
