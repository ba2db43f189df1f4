"""What became of what came in, counted from runs: of each flow and day how many are in which state.

Runs that go well are in no index by flow and state: they are what is left of all.  Replays and tests
did not come in from outside; they are read one by one, for they are few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ScalarSelect, Select, Subquery, func, literal, or_, select, text, union_all

from app.ids import made_at_ms
from app.states import EventSource, NoReason, RunState, WaitReason
from app.storage.database.executor import Executor
from app.storage.history.received import DAY, Sums, begin_of, bounds, day_of
from app.storage.history.rows import HELD, IN_FLOW_INDEX, NEEDS_PERSON_REASONS, UNSETTLED, unindexed
from app.storage.tables import models
from app.storage.tables.models import Flow, Run
from app.storage.tables.types import from_ms

FAILED = ("failed", "dead")
_RARE = ("filtered", "cancelled", "failed", "dead", "waiting")
_BEGUN = ("queued", "running")
_NEXT_DAY = timedelta(seconds=10)  # a run's id is made right after its event's, maybe over midnight
_TEST = text(models.TEST)
# What a flow is not in the index of; of these there are few at any time.
_FEW: dict[str, tuple[Any, ...]] = {
    "unsettled": (UNSETTLED,),
    "held": (HELD,),
    "queued": (Run.state == "queued",),
    "running": (Run.state == "running",),
}


class Slot(NamedTuple):
    flow_id: str
    day: str


@dataclass(slots=True)
class Became(Sums):
    """Runs by what became of them.  `settled`: failed, and then sent again or put away by a person;
    `held`: waits for a person; `waiting`: under way, or goes on by itself."""

    succeeded: int = 0
    filtered: int = 0
    failed: int = 0
    settled: int = 0
    held: int = 0
    waiting: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return sum(getattr(self, name) for name in self.__dataclass_fields__)


def became_by_day(
    db: Executor, days: Sequence[str], *, flow_id: str = "", known: Mapping[str, int] | None = None
) -> dict[Slot, Became]:
    """Without a flow: of all flows together.  `known`: how many runs days have that are over, so that those
    that went well need not be counted."""
    known = known or {}
    found = {Slot(flow_id, day): Became() for day in days}
    parts = ([day for day in days if day not in known], [day for day in days if day in known])
    for some, counts_all in zip(parts, (True, False), strict=True):
        if some:
            # A row per day with the range of its ids.
            rows = [select(literal(flow_id).label("flow_id"), *_range(day)) for day in some]
            table = union_all(*rows).subquery()
            query = _of_flow(table, counts_all) if flow_id else _of_all(table, counts_all)
            for row in db.execute(query):
                found[Slot(flow_id, row.day)] = _read(dict(row._mapping))
    _take_out(found, _Few(db, days))
    for day, number in known.items():
        one = found[Slot(flow_id, day)]
        one.succeeded += number - one.total
    return found


def became_by_flow(db: Executor, day: str) -> dict[Slot, Became]:
    table = _flows(day)
    within = _within(table, of_flow=True)
    counts = {"total": _count(*within)}
    counts |= {state: _count(*within, Run.state == state, IN_FLOW_INDEX) for state in _RARE}
    few = {name: _by_flow(db, day, *where) for name, where in _FEW.items()}
    found = {}
    for row in db.execute(select(table.c.flow_id, *_labelled(counts))):
        others = {name: numbers.get(row.flow_id, 0) for name, numbers in few.items()}
        found[Slot(row.flow_id, day)] = _read(dict(row._mapping) | others)
    _take_out(found, _Few(db, [day]))
    return found


def totals_by_flow(db: Executor, day: str) -> dict[Slot, int]:
    """All states together: cheap enough to be asked for every day."""
    table = _flows(day)
    total = _count(*_within(table, of_flow=True)).label("total")
    rows = db.execute(select(table.c.flow_id, table.c.day, total))
    found = {Slot(row.flow_id, row.day): Became(succeeded=row.total) for row in rows}
    _take_out(found, _Few(db, [day]), by_state=False)
    return {slot: one.succeeded for slot, one in found.items()}


def is_in(db: Executor, slot: Slot, kind: str) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """States and further conditions of the runs that a figure of the ledger counts; `kind`: a field of
    `Became`, or '' = all of that flow and day."""
    begins, ends = bounds("evt", begin_of(slot.day), begin_of(slot.day) + DAY)
    came = (Run.event_id >= begins, Run.event_id < ends, Run.replay_of.is_(None), Run.source != "test")
    people = Run.reason.in_(NEEDS_PERSON_REASONS)
    if kind in ("failed", "settled"):
        again = [one.id for one in _Few(db, [slot.day]).sent_again() if one.flow_id == slot.flow_id]
        settled = or_(Run.settled_at.is_not(None), Run.id.in_(again))
        return FAILED, (*came, settled if kind == "settled" else ~settled)
    if kind == "held":
        return ("waiting",), (*came, people)
    if kind == "waiting":
        return (*_BEGUN, "waiting"), (*came, or_(Run.state != "waiting", ~people))
    return ((kind,) if kind else ()), came


def range_of(day: str) -> tuple[datetime, datetime]:
    """In which the runs of a day's records were made."""
    return begin_of(day), begin_of(day) + DAY + _NEXT_DAY


# ------------------------------------------------------------------------------------ by index


def _of_all(table: Subquery, counts_all: bool) -> Select[Any]:
    """The runs of a day are not counted one by one but by their states, for which there is an index."""
    within = _within(table, of_flow=False)
    states = ("succeeded", *_RARE) if counts_all else _RARE
    counts = {state: _count(*within, Run.state == state) for state in states}
    counts |= {name: _count(*within, *where) for name, where in _FEW.items()}
    return select(table.c.day, *_labelled(counts))


def _of_flow(table: Subquery, counts_all: bool) -> Select[Any]:
    within, apart = _within(table, of_flow=True), _within(table, of_flow=False)
    counts = {"total": _count(*within)} if counts_all else {}
    counts |= {state: _count(*within, Run.state == state, IN_FLOW_INDEX) for state in _RARE}
    same = unindexed(Run.flow_id) == table.c.flow_id
    counts |= {name: _count(*apart, *where, same) for name, where in _FEW.items()}
    return select(table.c.day, *_labelled(counts))


def _by_flow(db: Executor, day: str, *where: Any) -> dict[str, int]:
    low, high = bounds("run", begin_of(day), begin_of(day) + DAY)
    query = select(Run.flow_id, func.count()).where(*where, Run.id >= low, Run.id < high)
    return {row[0]: row[1] for row in db.execute(query.group_by(Run.flow_id))}


def _labelled(counts: dict[str, ScalarSelect[int]]) -> list[Any]:
    return [count.label(name) for name, count in counts.items()]


def _read(row: Mapping[str, Any]) -> Became:
    settled = row["failed"] + row["dead"] - row["unsettled"]
    others = sum(row[name] for name in (*_RARE, *_BEGUN))
    succeeded = row["total"] - others if "total" in row else row.get("succeeded", 0)
    return Became(
        succeeded=succeeded,
        filtered=row["filtered"],
        failed=row["unsettled"],
        settled=settled,
        held=row["held"],
        waiting=row["waiting"] - row["held"] + row["queued"] + row["running"],
        cancelled=row["cancelled"],
    )


def _flows(day: str) -> Subquery:
    return select(Flow.id.label("flow_id"), *_range(day)).subquery()


def _range(day: str) -> tuple[Any, ...]:
    low, high = bounds("run", begin_of(day), begin_of(day) + DAY)
    return literal(day).label("day"), literal(low).label("low"), literal(high).label("high")


def _within(table: Subquery, *, of_flow: bool) -> tuple[Any, ...]:
    same = (Run.flow_id == table.c.flow_id,) if of_flow else ()
    return (*same, Run.id >= table.c.low, Run.id < table.c.high)


def _count(*where: Any) -> ScalarSelect[int]:
    return select(func.count()).select_from(Run).where(*where).scalar_subquery()


# ----------------------------------------------------------------------------------- row by row


class _One(NamedTuple):
    id: str
    flow_id: str
    event_id: str
    state: RunState
    reason: WaitReason | NoReason
    settled_at: datetime | None
    replay_of: str | None
    source: EventSource

    @property
    def day(self) -> str:
        return day_of(from_ms(made_at_ms(self.id)))

    @property
    def kind(self) -> str:
        return kind_of(self.state, self.reason, self.settled_at)


_COLUMNS = [getattr(Run, name) for name in _One._fields]


def kind_of(state: RunState, reason: WaitReason | NoReason, settled_at: datetime | None) -> str:
    """A field of `Became`."""
    if state in FAILED:
        return "failed" if settled_at is None else "settled"
    if state in ("waiting", *_BEGUN):
        return "held" if state == "waiting" and reason in NEEDS_PERSON_REASONS else "waiting"
    return state


class _Few:
    """Runs that a count along the indexes gets wrong, read from their first day on."""

    def __init__(self, db: Executor, days: Sequence[str]) -> None:
        self._db = db
        self.low, self.high = bounds("run", begin_of(min(days)), begin_of(max(days)) + DAY)
        self.days = days
        begun = select(*_COLUMNS).where(unindexed(Run.id) >= self.low)
        tests = begun.where(_TEST, unindexed(Run.id) < self.high)
        self.replays = [_One(*row) for row in db.execute(begun.where(Run.replay_of.is_not(None)))]
        self.aside = {one.id: one for one in (*(_One(*row) for row in db.execute(tests)), *self.replays)}

    def over_midnight(self) -> list[_One]:
        """Runs of the first seconds of a day whose event is of the day before."""
        found: list[_One] = []
        for day in sorted({*self.days, *(day_of(begin_of(day) + DAY) for day in self.days)}):
            low, high = bounds("run", begin_of(day), begin_of(day) + _NEXT_DAY)
            begins, _ = bounds("evt", begin_of(day), begin_of(day))
            query = select(*_COLUMNS).where(Run.id >= low, Run.id < high, Run.event_id < begins)
            query = query.where(Run.replay_of.is_(None), Run.source != "test")
            found += [_One(*row) for row in self._db.execute(query)]
        return found

    def sent_again(self) -> list[_One]:
        """Failures of these days of which the newest replay did not fail, or was put away."""
        newest: dict[str, _One] = {}
        before = {one.id: one.replay_of for one in self.replays}
        for one in sorted(self.replays):
            first = one.replay_of or ""
            while first in before:
                first = before[first] or ""
            newest[first] = one
        good = [first for first, one in newest.items() if one.kind != "failed" and first >= self.low]
        return [one for one in self._rows(good) if one.kind == "failed" and one.source != "test"]

    def _rows(self, ids: Sequence[str]) -> list[_One]:
        found: list[_One] = []
        for start in range(0, len(ids), 500):
            query = select(*_COLUMNS).where(Run.id.in_(ids[start : start + 500]))
            found += [_One(*row) for row in self._db.execute(query)]
        return found


def _take_out(found: dict[Slot, Became], few: _Few, *, by_state: bool = True) -> None:
    """`by_state`: else all are counted as succeeded."""

    def add(one: _One, kind: str, number: int, day: str) -> None:
        for slot in (Slot(one.flow_id, day), Slot("", day)):
            if slot in found:
                name = kind if by_state else "succeeded"
                setattr(found[slot], name, getattr(found[slot], name) + number)

    for one in few.aside.values():
        add(one, one.kind, -1, one.day)
    for one in few.over_midnight():
        add(one, one.kind, -1, one.day)
        add(one, one.kind, 1, _day_of_event(one))
    for one in few.sent_again() if by_state else ():
        add(one, "failed", -1, _day_of_event(one))
        add(one, "settled", 1, _day_of_event(one))


def _day_of_event(one: _One) -> str:
    return day_of(from_ms(made_at_ms(one.event_id)))
