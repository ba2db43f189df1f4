"""What became of what came in, counted from runs: of each flow and day how many are in which state.

Runs that go well are in no index by flow and state: they are what is left of all.  Replays and tests
did not come in from outside; they are read one by one, for they are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ScalarSelect, Select, Subquery, func, literal, or_, select, text, union_all

from app.ids import made_at_ms
from app.storage import models
from app.storage.executor import Executor
from app.storage.ledger import DAY, begin_of, bounds, day_of
from app.storage.models import Flow, Run
from app.storage.run_rows import IN_FLOW_INDEX, NEEDS_PERSON_REASONS
from app.storage.types import from_ms

FAILED = ("failed", "dead")
_RARE = ("filtered", "cancelled", "failed", "dead", "waiting")
_BEGUN = ("queued", "running")
_NEXT_DAY = timedelta(seconds=10)  # a run's id is made right after its event's, maybe over midnight
_TEST = text(models.TEST)


class Slot(NamedTuple):
    flow_id: str
    day: str


@dataclass(slots=True)
class Became:
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


def became_by_day(db: Executor, days: Sequence[str], *, flow_id: str = "") -> dict[Slot, Became]:
    """Without a flow: of all flows together."""
    found = {Slot(flow_id, day): Became() for day in days}
    for row in db.execute(_by_state(_days(flow_id, days), of_flow=bool(flow_id))):
        found[Slot(row.flow_id, row.day)] = _read(row)
    _take_out(found, _Few(db, days))
    return found


def became_by_flow(db: Executor, day: str) -> dict[Slot, Became]:
    rows = db.execute(_by_state(_flows(day), of_flow=True))
    found = {Slot(row.flow_id, row.day): _read(row) for row in rows}
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


def _by_state(table: Subquery, *, of_flow: bool) -> Select[Any]:
    within = _within(table, of_flow=of_flow)
    rare = (IN_FLOW_INDEX,) if of_flow else ()
    counts = {state: _count(*within, Run.state == state, *rare) for state in _RARE}
    counts["settled"] = _count(*within, Run.state.in_(FAILED), *rare, Run.settled_at.is_not(None))
    people = Run.reason.in_(NEEDS_PERSON_REASONS)
    counts["held"] = _count(*within, Run.state == "waiting", *rare, people)
    counts |= {state: _count(*within, Run.state == state) for state in _BEGUN}
    counts["total"] = _count(*within)
    return select(table.c.flow_id, table.c.day, *(count.label(name) for name, count in counts.items()))


def _read(row: Any) -> Became:
    others = sum(getattr(row, name) for name in (*_RARE, *_BEGUN))
    return Became(
        succeeded=row.total - others,
        filtered=row.filtered,
        failed=row.failed + row.dead - row.settled,
        settled=row.settled,
        held=row.held,
        waiting=row.waiting - row.held + row.queued + row.running,
        cancelled=row.cancelled,
    )


def _days(flow_id: str, days: Sequence[str]) -> Subquery:
    """A row per day with the range of its ids."""
    rows = [select(literal(flow_id).label("flow_id"), *_range(day)) for day in days]
    return union_all(*rows).subquery()


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
    state: str
    reason: str
    settled_at: datetime | None
    replay_of: str | None
    source: str

    @property
    def day(self) -> str:
        return day_of(from_ms(made_at_ms(self.id)))

    @property
    def kind(self) -> str:
        return kind_of(self.state, self.reason, self.settled_at)


_COLUMNS = [getattr(Run, name) for name in _One._fields]


def kind_of(state: str, reason: str, settled_at: datetime | None) -> str:
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
        begun = select(*_COLUMNS).where(Run.id >= self.low)
        tests = begun.where(_TEST, Run.id < self.high)
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
