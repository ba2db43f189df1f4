"""Does the ledger add up?  What came in is compared with the runs, for each flow and day; before anything
is said about a day, its events and deliveries are counted anew, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from app.storage.database.db import Database
from app.storage.database.server_values import put_value
from app.storage.history.received import DAY, SOURCES, Came, begin_of, count_came
from app.storage.upkeep import ledger_days
from app.storage.upkeep.ledger_days import Kept, counted_upto, kept_days
from app.storage.upkeep.ledger_runs import Became, Slot, totals_by_flow
from app.watch.ledger import SHOWN_DAYS, count_up, days_until

CHECKED_AT = "ledger checked at"
_NOTHING = Kept(Came(), Became())
_ALWAYS_ANEW = 2  # today and yesterday
_CLOSED_AFTER = timedelta(hours=1)


@dataclass(slots=True)
class Verdict:
    """`difference`: how many records or deliveries are unaccounted for; `sentence` says which.
    `late`: what a new count found more than was kept, by column.  `runs`: those of the day, pruned ones
    too, once it is over."""

    slot: Slot
    difference: int = 0
    sentence: str = ""
    late: dict[str, int] = field(default_factory=dict, compare=False)
    runs: int | None = field(default=None, compare=False)


@dataclass(slots=True)
class _Counts:
    """Of a day, all of one snapshot.  `came`: anew, up to where the kept rows count; `fresh`: since."""

    kept: dict[Slot, Kept]
    runs: dict[Slot, int]
    came: dict[str, Came]
    fresh: dict[str, Came]


def check(
    database: Database, now: datetime, *, days: int = SHOWN_DAYS, everything: bool = False
) -> list[Verdict]:
    """What does not add up, and it is kept with the days."""
    count_up(database, now)
    found: list[Verdict] = []
    for _, of_day in groupby(
        verdicts(database, now, days=days, everything=everything), lambda one: one.slot.day
    ):
        some = list(of_day)
        found += [one for one in some if one.difference]
        database.write(partial(_keep, some=some, now=now))
    database.write(lambda db: put_value(db, CHECKED_AT, now.isoformat()))
    return found


def verdicts(
    database: Database, now: datetime, *, days: int = SHOWN_DAYS, everything: bool = False
) -> Iterator[Verdict]:
    """Of what differs, or differed when it was last looked at.  `everything`: each day is counted anew,
    which reads all its events; else today, yesterday, what looks wrong, and one older day each hour."""
    names = days_until(now, days)
    older = names[_ALWAYS_ANEW:]
    turn = names[:_ALWAYS_ANEW] + ([older[int(now.timestamp()) // 3600 % len(older)]] if older else [])
    for day in names:
        with database.snapshot() as db:
            over = begin_of(day) + DAY + _CLOSED_AFTER <= now
            yield from _of_day(db, day, anew=everything or day in turn, is_over=over)


def _of_day(db: Connection, day: str, *, anew: bool, is_over: bool) -> Iterator[Verdict]:
    kept, runs = kept_days(db, day, day), totals_by_flow(db, day)
    begin, end = begin_of(day), begin_of(day) + DAY
    upto = min(max(counted_upto(db) or begin, begin), end)
    fresh = count_came(db, upto, end) if upto < end else {}
    if anew or any(_is_suspect(slot, kept, runs, fresh) for slot in {*kept, *runs}):
        counts = _Counts(kept, runs, count_came(db, begin, upto), fresh)
        flows = {slot.flow_id for slot in (*kept, *runs)} | {*counts.came, *fresh}
        judged = [_judge(Slot(flow_id, day), counts) for flow_id in sorted(flows)]
    else:
        judged = [Verdict(slot) for slot in sorted(kept)]
    for verdict in judged:
        before = kept.get(verdict.slot, _NOTHING)
        number = runs.get(verdict.slot, 0) + before.gone.total
        verdict.runs = number if is_over and number != before.runs else None
        if verdict.late or verdict.difference or before.difference or (number and verdict.runs is not None):
            yield verdict


def _is_suspect(slot: Slot, kept: dict[Slot, Kept], runs: dict[Slot, int], fresh: dict[str, Came]) -> bool:
    row = kept.get(slot, _NOTHING)
    records = row.came.records + fresh.get(slot.flow_id, Came()).records
    return bool(row.difference or row.came.lost or records != runs.get(slot, 0) + row.gone.total)


def _judge(slot: Slot, counts: _Counts) -> Verdict:
    kept = counts.kept.get(slot, _NOTHING)
    came, fresh = counts.came.get(slot.flow_id, Came()), counts.fresh.get(slot.flow_id, Came())
    late = _late(kept, came)
    records = kept.came.records + sum(late.get(name, 0) for name in SOURCES)
    no_run = records + fresh.records - counts.runs.get(slot, 0) - kept.gone.total
    vanished = records - came.records - kept.gone_events
    repeated = kept.came.duplicates + late.get("duplicates", 0) - came.duplicates - kept.gone_duplicates
    refused = kept.came.refused + late.get("refused", 0) - came.refused - kept.gone_refused
    lost = came.lost + fresh.lost
    if lost != kept.came.lost:
        late["lost"] = lost - kept.came.lost
    words = _words(no_run, vanished, repeated + refused, 0 if vanished else lost)
    return Verdict(slot, max(abs(no_run), vanished, lost) + repeated + refused, words, late)


def _late(kept: Kept, came: Came) -> dict[str, int]:
    """What was committed so late that it was not counted when its time came."""
    more = {name: max(getattr(came, name) - getattr(kept.came, name), 0) for name in SOURCES}
    rest = came.records + kept.gone_events - kept.came.records - sum(more.values())
    more["webhook"] += max(rest, 0)
    more["duplicates"] = max(came.duplicates + kept.gone_duplicates - kept.came.duplicates, 0)
    more["refused"] = max(came.refused + kept.gone_refused - kept.came.refused, 0)
    return {name: number for name, number in more.items() if number}


def _words(no_run: int, vanished: int, deliveries: int, lost: int) -> str:
    said = []
    if no_run > 0:
        said.append(
            f"{_number(no_run, 'record')} came in, and there is no run for {'it' if no_run == 1 else 'them'}."
        )
    if no_run < 0:
        number = -no_run
        are = ("is " if number == 1 else "are ") + _number(number, "run")
        said.append(f"There {are} for which no record came in.")
    if vanished > 0:
        said.append(f"{_number(vanished, 'record')} left the history without being too old.")
    if deliveries > 0:
        what = _number(deliveries, "repeated or refused delivery", "repeated or refused deliveries")
        said.append(f"{what} left the history without being too old.")
    if lost > 0:
        said.append(f"Of {_number(lost, 'accepted delivery', 'accepted deliveries')} the record is missing.")
    return " ".join(said)


def _number(number: int, one: str, many: str = "") -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many or one + 's'}"


def _keep(db: Connection, some: list[Verdict], now: datetime) -> None:
    for one in some:
        values: dict[str, Any] = {} if one.runs is None else {"runs": one.runs}
        values |= {"difference": one.difference, "sentence": one.sentence, "checked_at": now}
        ledger_days.keep_verdict(db, one.slot, late=one.late, **values)
