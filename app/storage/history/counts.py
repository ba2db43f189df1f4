"""Numbers over the history: runs per state and flow, per hour, what waits for people, how fast it goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ScalarSelect, Select, Subquery, func, literal, select, union_all
from sqlalchemy.orm import aliased

from app.ids import id_floor
from app.states import NoReason, RunState, WaitReason
from app.storage.database.executor import Executor
from app.storage.history.rows import HELD, IN_FLOW_INDEX, UNSETTLED, not_replayed, unindexed
from app.storage.tables.models import Call, Flow, Run
from app.storage.tables.types import to_ms

MOST_COUNTED = 1000
_RARE = ("waiting", "filtered", "failed", "dead", "cancelled")
_OFTEN = ("queued", "running", "succeeded")
_NEWEST = 200


@dataclass(frozen=True, slots=True)
class Hour:
    """`failed` are part of `total`."""

    begins: datetime
    total: int
    failed: int


@dataclass(frozen=True, slots=True)
class Speed:
    """From the event to the start of the first call, over the newest runs that made one."""

    p95: timedelta
    runs: int


def counts_by_flow(db: Executor, *, since: datetime, flow_id: str | None = None) -> dict[str, dict[str, int]]:
    """Flow id -> state -> runs that began since then; states without runs are left out."""
    low = _id(since)
    of_flow = Run.flow_id == Flow.id
    total = _count(of_flow, Run.id >= low).label("total")
    rare = [_count(of_flow, Run.state == s, IN_FLOW_INDEX, Run.id >= low).label(s) for s in _RARE]
    query = select(Flow.id, total, *rare)
    if flow_id:
        query = query.where(Flow.id == flow_id)
    under_way = _under_way(db, low, flow_id)
    return {row[0]: _states(row._mapping, under_way.get(row[0], {})) for row in db.execute(query)}


def state_counts(db: Executor, *, since: datetime, flow_id: str | None = None) -> dict[str, int]:
    """As `counts_by_flow`, for one flow or over all."""
    sums: dict[str, int] = {}
    for counts in counts_by_flow(db, since=since, flow_id=flow_id).values():
        for state, number in counts.items():
            sums[state] = sums.get(state, 0) + number
    return sums


def _under_way(db: Executor, low: str, flow_id: str | None) -> dict[str, dict[str, int]]:
    query = select(Run.flow_id, Run.state, func.count()).where(
        Run.state.in_(("queued", "running")), Run.id >= low
    )
    if flow_id:
        query = query.where(Run.flow_id == flow_id)
    found: dict[str, dict[str, int]] = {}
    for flow, state, number in db.execute(query.group_by(Run.flow_id, Run.state)):
        found.setdefault(flow, {})[state] = number
    return found


def _states(row: Any, under_way: dict[str, int]) -> dict[str, int]:
    counts = {state: int(row[state]) for state in _RARE} | under_way
    counts["succeeded"] = max(int(row["total"]) - sum(counts.values()), 0)
    return {state: number for state, number in counts.items() if number}


# ------------------------------------------------------------------------------------ per hour


def hours(db: Executor, *, until: datetime, number: int = 24, flow_id: str | None = None) -> list[Hour]:
    """The last full hours and the one that `until` lies in, the oldest first."""
    last = until.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    begins = [last - timedelta(hours=back) for back in range(number - 1, -1, -1)]
    slots = _slots(begins)
    if flow_id:
        total: Any = _count(Run.flow_id == flow_id, *_within(slots))
        failed: Any = sum(
            _count(Run.flow_id == flow_id, Run.state == s, IN_FLOW_INDEX, *_within(slots))
            for s in ("failed", "dead")
        )
    else:
        by_state = {s: _count(Run.state == s, *_within(slots)) for s in _RARE + _OFTEN}
        total, failed = sum(by_state.values()), by_state["failed"] + by_state["dead"]
    rows = db.execute(select(slots.c.n, total, failed).order_by(slots.c.n))
    return [Hour(begins[row[0]], row[1], row[2]) for row in rows]


def _slots(begins: Sequence[datetime]) -> Subquery:
    """A row per hour with the range of its ids."""
    hour = timedelta(hours=1)
    rows = [
        select(literal(n).label("n"), literal(_id(at)).label("low"), literal(_id(at + hour)).label("high"))
        for n, at in enumerate(begins)
    ]
    return union_all(*rows).subquery()


def _within(slots: Subquery) -> tuple[Any, Any]:
    return Run.id >= slots.c.low, Run.id < slots.c.high


def _count(*where: Any) -> ScalarSelect[int]:
    return select(func.count()).select_from(Run).where(*where).scalar_subquery()


def _id(moment: datetime) -> str:
    return id_floor("run", max(to_ms(moment), 0))


# -------------------------------------------------------------------------- people and seconds


def waits_for_people(db: Executor, *, flow_id: str | None = None) -> int:
    """How many runs need somebody's decision; counted up to `MOST_COUNTED` of each kind."""
    of_flow = (unindexed(Run.flow_id) == flow_id,) if flow_id else ()
    failures = select(Run.id).where(UNSETTLED, Run.source != "test", not_replayed(Run), *of_flow)
    waiting = select(Run.id).where(HELD, *of_flow)
    return _up_to(db, failures) + _up_to(db, waiting)


def _up_to(db: Executor, query: Select[str]) -> int:
    return db.execute(select(func.count()).select_from(query.limit(MOST_COUNTED).subquery())).scalar_one()


def speed(db: Executor, *, flow_id: str | None = None) -> Speed | None:
    """None while no run has made a call.  Replays are left out: their event came long before."""
    newest = select(Run.id, Run.created_at).where(Run.state == "succeeded", Run.replay_of.is_(None))
    if flow_id:
        newest = select(Run.id, Run.created_at).where(Run.flow_id == flow_id, Run.replay_of.is_(None))
    near = newest.order_by(Run.id.desc()).limit(_NEWEST).subquery()
    first = (Call.made_for == near.c.id) & (Call.number == 1)
    rows = db.execute(select(near.c.created_at, Call.started_at).join(Call, first))
    waits = sorted(max(sent - came, timedelta()) for came, sent in rows)
    if not waits:
        return None
    return Speed(waits[min(int(len(waits) * 0.95), len(waits) - 1)], len(waits))


@dataclass(frozen=True, slots=True)
class LastRun:
    state: RunState
    reason: WaitReason | NoReason


def last_runs(db: Executor, *, limit: int) -> dict[str, list[LastRun]]:
    """Flow -> its last runs, the oldest of them first.  Reads no more rows than it gives."""
    newer = aliased(Run)
    last = select(newer.id).where(newer.flow_id == Flow.id).order_by(newer.id.desc()).limit(limit)
    query = (
        select(Run.flow_id, Run.state, Run.reason)
        .select_from(Flow)
        .join(Run, Run.id.in_(last.correlate(Flow)))
        .where(Flow.deleted_at.is_(None))
        .order_by(Run.id)
    )
    found: dict[str, list[LastRun]] = defaultdict(list)
    for flow_id, state, reason in db.execute(query):
        found[flow_id].append(LastRun(state, reason))
    return found
