"""The history of runs as lists: pages of it by flow, state, time and text, fast at a million rows.

A filter becomes one or more *lanes*: ranges of an index walked from the newest run downwards.  What no
index answers (a text, a rare state among many others) is looked at row by row, at most `SEARCH_ROWS`
of them for one page; the page then says how far back it looked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select

from app.ids import id_floor
from app.states import RunState
from app.storage.database.executor import Executor
from app.storage.history.detail import RunDetail, get_run
from app.storage.history.rows import (
    COLUMNS,
    HELD,
    IN_FLOW_INDEX,
    UNSETTLED,
    RunRow,
    Says,
    clean,
    not_replayed,
    runs_of_event,
    unindexed,
    with_facts,
)
from app.storage.tables.models import FINAL_STATES, OPEN_STATES, Run
from app.storage.tables.types import to_ms

__all__ = ["STATES", "RunDetail", "RunRow", "RunsPage", "get_run", "runs_page"]

SEARCH_ROWS = 150_000
STATES: tuple[RunState, ...] = OPEN_STATES + FINAL_STATES
_MOST_ROWS = 200
_INDEXED_BY_FLOW = frozenset(STATES) - {"queued", "running", "succeeded"}


@dataclass(frozen=True, slots=True)
class RunsPage:
    """`next_before`: the `before` of the next page, None at the end.  `searched_back_to`: set when the
    search stopped before it had seen everything."""

    rows: list[RunRow]
    next_before: str | None
    searched_back_to: datetime | None
    more_to_search: bool


@dataclass(frozen=True, slots=True)
class _Lane:
    """`where` is answered by an index from its end; `matches` are looked at row by row."""

    where: tuple[Any, ...]
    matches: tuple[Any, ...] = ()


def runs_page(
    db: Executor,
    *,
    flow_id: str | None = None,
    states: Sequence[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    text: str = "",
    needs_person: bool = False,
    only: Sequence[Any] = (),
    before: str | None = None,
    limit: int = 50,
) -> RunsPage:
    """The newest first.  `text` is looked for in the label, or is the id of a run or an event;
    `needs_person`: only runs that wait for a decision, whatever `states` says.  `only`: further
    conditions, looked at row by row."""
    limit = min(max(limit, 1), _MOST_ROWS)
    words, flow_id = clean(text), clean(flow_id) if flow_id else None
    if before is None and (found := _by_id(db, words, limit)):
        kept = [row for row in found if flow_id in (None, row.flow_id)]
        return RunsPage(with_facts(db, kept), None, None, False)
    low, high = _bounds(since, until, before)
    lanes = _needs_lanes(flow_id) if needs_person else _lanes(flow_id, states)
    lanes = [_Lane(lane.where, (*lane.matches, *only)) for lane in lanes]
    return _page(db, [_narrow(lane, low, high, words) for lane in lanes], limit)


def count_by_reason(
    db: Executor,
    *,
    flow_id: str | None = None,
    states: Sequence[str],
    since: datetime | None = None,
    until: datetime | None = None,
    text: str = "",
    before: str | None = None,
) -> dict[tuple[str, str], int]:
    """As `runs_page`, all of them counted: (state, reason of waiting) -> number.  Walks every run in
    these states: for those that are open, which are few beside the others."""
    words, flow_id = clean(text), clean(flow_id) if flow_id else None
    low, high = _bounds(since, until, before)
    found: dict[tuple[str, str], int] = {}
    for lane in _lanes(flow_id, states):
        narrow = _narrow(lane, low, high, words)
        query = select(Run.state, Run.reason, func.count()).where(*narrow.where, *narrow.matches)
        for state, reason, number in db.execute(query.group_by(Run.state, Run.reason)):
            found[state, reason] = found.get((state, reason), 0) + number
    return found


def _bounds(since: datetime | None, until: datetime | None, before: str | None) -> tuple[str, str]:
    low = id_floor("run", max(to_ms(since), 0)) if since else ""
    ends = [clean(before)] if before else []
    if until:
        ends.append(id_floor("run", max(to_ms(until), 0)))
    return low, min(ends, default="")


def _lanes(flow_id: str | None, states: Sequence[str]) -> list[_Lane]:
    wanted = [state for state in STATES if state in states]
    if not states or len(wanted) == len(STATES):
        return [_Lane((Run.flow_id == flow_id,) if flow_id else ())]
    if flow_id is None:
        return [_Lane((Run.state == state,)) for state in wanted]
    return [_flow_lane(flow_id, state) for state in wanted]


def _flow_lane(flow_id: str, state: RunState) -> _Lane:
    if state in _INDEXED_BY_FLOW:
        return _Lane((Run.flow_id == flow_id, Run.state == state, IN_FLOW_INDEX))
    if state == "succeeded":
        return _Lane((Run.flow_id == flow_id,), (unindexed(Run.state) == state,))
    return _Lane((Run.state == state,), (unindexed(Run.flow_id) == flow_id,))


def _needs_lanes(flow_id: str | None) -> list[_Lane]:
    of_flow = (unindexed(Run.flow_id) == flow_id,) if flow_id else ()
    return [
        _Lane((UNSETTLED,), (*of_flow, Run.source != "test", not_replayed(Run))),
        _Lane((HELD,), of_flow),
    ]


def _narrow(lane: _Lane, low: str, high: str, words: str) -> _Lane:
    """The lane between two ids, and only the rows with these words."""
    where = lane.where
    where += (Run.id >= low,) if low else ()
    where += (Run.id < high,) if high else ()
    return _Lane(where, (*lane.matches, _says(words)) if words else lane.matches)


def _says(words: str) -> ColumnElement[bool]:
    """SQLite knows capitals of plain letters only; others are tried in both forms."""
    forms = {words} if words.isascii() else {words, words.lower(), words.upper(), words.title()}
    label = or_(*(Says(Run.label, form) for form in sorted(forms)))
    return or_(Run.event_id == words, label) if words.startswith("evt_") else label


# ------------------------------------------------------------------------------------- one page


def _page(db: Executor, lanes: list[_Lane], limit: int) -> RunsPage:
    budget = SEARCH_ROWS // max(len(lanes), 1)
    walked = [_walk(db, lane, limit, budget) for lane in lanes]
    floor = max((end for _, end in walked), default="")
    found = sorted(chain.from_iterable(rows for rows, _ in walked), key=lambda row: row.id, reverse=True)
    certain = [row for row in found if row.id >= floor]
    shown = with_facts(db, certain[:limit])
    if len(certain) > limit:
        return RunsPage(shown, shown[-1].id, None, False)
    if not floor:
        return RunsPage(shown, None, None, False)
    back_to = db.execute(select(Run.created_at).where(Run.id == floor)).scalar_one_or_none()
    return RunsPage(shown, floor, back_to, True)


def _walk(db: Executor, lane: _Lane, limit: int, budget: int) -> tuple[list[RunRow], str]:
    """Matching rows, and the last id that was looked at ('' = all were)."""
    query = select(*COLUMNS).where(*lane.where, *lane.matches).order_by(Run.id.desc())
    end = _end(db, lane, budget) if lane.matches else ""
    rows = [RunRow(*row) for row in db.execute(query.where(Run.id >= end).limit(limit + 1))]
    return rows, rows[-1].id if len(rows) > limit else end


def _end(db: Executor, lane: _Lane, budget: int) -> str:
    """The id at which the budget is used up; '' where the lane is shorter."""
    ids = select(Run.id).where(*lane.where).order_by(Run.id.desc())
    return db.execute(ids.offset(budget - 1).limit(1)).scalar_one_or_none() or ""


# ---------------------------------------------------------------------------- runs by their ids


def _by_id(db: Executor, words: str, limit: int) -> list[RunRow]:
    """Where the words are the id of a run: it; the id of an event: its runs, replays included."""
    if words.startswith("run_"):
        return [RunRow(*row) for row in db.execute(select(*COLUMNS).where(Run.id == words))]
    if words.startswith("evt_"):
        return runs_of_event(db, words, limit=limit)
    return []
