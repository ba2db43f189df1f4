"""The ledger: of each flow and day what came in, what became of it, and whether that adds up.

What came in is counted from events and deliveries, once, soon after; what became of it from the runs,
each time it is asked for.  The two meet nowhere else, so that a record that gets lost shows.  Days are
days in UTC: flows have time zones of their own, and a sum over several needs one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from app.storage.database.db import Database
from app.storage.history.received import DAY, Came, begin_of, count_came, day_of
from app.storage.upkeep import ledger_days
from app.storage.upkeep.ledger_days import Kept, counted_upto, kept_days, kept_sums
from app.storage.upkeep.ledger_runs import Became, Slot, became_by_day, became_by_flow

SHOWN_DAYS = 30
_COMMITTED_BY = timedelta(minutes=1)  # what an id was made for is on disk by then, or is counted again


@dataclass(slots=True)
class Day:
    """A line of the ledger.  `flow_id`: '' = all flows.  `became`: with what was pruned since."""

    flow_id: str
    day: str
    came: Came = field(default_factory=Came)
    became: Became = field(default_factory=Became)
    sentence: str = ""
    found: int = 0  # what the last check found to differ

    @property
    def received(self) -> int:
        return self.came.records + self.came.duplicates + self.came.refused

    @property
    def accounted(self) -> int:
        return self.became.total + self.came.duplicates + self.came.refused

    @property
    def difference(self) -> int:
        """More than nothing: records without a run."""
        return self.received - self.accounted

    @property
    def adds_up(self) -> bool:
        return self.difference == 0 and self.found == 0

    def add(self, other: Day) -> None:
        self.came.add(other.came)
        self.became.add(other.became)


# -------------------------------------------------------------------------------------- counting


def count_up(database: Database, now: datetime) -> None:
    """What came in since the last time is read beside everything else; the writer only adds sums."""
    with database.read() as db:
        after = counted_upto(db)
        low = after or ledger_days.oldest(db) or now
    for begin, end in _pieces(low, now - _COMMITTED_BY):
        with database.read() as db:
            came = count_came(db, begin, end)
        add = partial(ledger_days.add_came, day=day_of(begin), came=came, after=after, upto=end)
        if not database.write(add):
            return
        after = end


def _pieces(low: datetime, high: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Each within a day."""
    while low < high:
        end = min(high, begin_of(day_of(low)) + DAY)
        yield low, end
        low = end


# --------------------------------------------------------------------------------------- reading


def by_day(database: Database, now: datetime, *, days: int = SHOWN_DAYS) -> list[Day]:
    """All flows together, the newest day first."""
    names = days_until(now, days)
    with database.snapshot() as db:
        kept = kept_sums(db, names[-1], names[0])
        live = became_by_day(db, names, known=_known(kept))
        return _put_together(live, kept, _uncounted(db, names))


def of_flow(database: Database, now: datetime, flow_id: str, *, days: int = SHOWN_DAYS) -> list[Day]:
    """The newest day first."""
    names = days_until(now, days)
    with database.snapshot() as db:
        kept = kept_days(db, names[-1], names[0], flow_id=flow_id)
        live = became_by_day(db, names, flow_id=flow_id, known=_known(kept))
        return _put_together(live, kept, _uncounted(db, names))


def of_day(database: Database, day: str) -> list[Day]:
    """The flows for which something came in that day."""
    with database.snapshot() as db:
        found = _put_together(became_by_flow(db, day), kept_days(db, day, day), _uncounted(db, [day]))
    return [one for one in found if one.received or one.accounted or one.found]


def _known(kept: Mapping[Slot, Kept]) -> dict[str, int]:
    return {slot.day: row.runs_there for slot, row in kept.items() if row.runs_there is not None}


def days_until(now: datetime, number: int) -> list[str]:
    return [day_of(now - back * DAY) for back in range(number)]


def _uncounted(db: Connection, days: list[str]) -> dict[Slot, Came]:
    """What came in since `count_up` ran, by flow, and under the empty flow all of a day."""
    first, last = begin_of(min(days)), begin_of(max(days)) + DAY
    found: dict[Slot, Came] = {}
    for low, high in _pieces(max(counted_upto(db) or first, first), last):
        for flow_id, came in count_came(db, low, high).items():
            for slot in (Slot(flow_id, day_of(low)), Slot("", day_of(low))):
                found.setdefault(slot, Came()).add(came)
    return found


def _put_together(
    live: Mapping[Slot, Became], kept: Mapping[Slot, Kept], fresh: Mapping[Slot, Came]
) -> list[Day]:
    lines = []
    for slot, now in live.items():
        line = Day(*slot, became=now)
        if (row := kept.get(slot)) is not None:
            line.add(Day(*slot, row.came, row.gone))
            line.sentence, line.found = row.sentence, row.difference
        line.came.add(fresh.get(slot, Came()))
        lines.append(line)
    return lines
