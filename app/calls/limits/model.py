"""The limits of one connection as numbers: windows of calls, who waits for them, the book of a process."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import Any, NamedTuple, Protocol

from app.catalog.format.definition import Limit
from app.clock import Clock

_MOST_GROUPS = 1000


class Window:
    """At most `most` calls in any `per_s` seconds.  Large windows count calls in groups, to keep
    the memory small; that errs on the side of fewer calls."""

    def __init__(self, most: int, per_s: float) -> None:
        self.most = most
        self.per_s = per_s
        self._group = max(1, math.ceil(most / _MOST_GROUPS))
        groups = max(1, most // self._group - (1 if self._group > 1 else 0))
        self._starts: deque[float] = deque(maxlen=groups)
        self._in_group = 0

    @property
    def _full_at(self) -> int:
        return self._starts.maxlen or 1

    @property
    def newest(self) -> float:
        """When the last call went that it counts."""
        return self._starts[-1] if self._starts else -math.inf

    def used(self, now: float) -> int:
        """How many calls count now, those of a group that is not full as they are."""
        groups = sum(1 for start in self._starts if start > now - self.per_s)
        missing = (self._group - self._in_group) % self._group if groups else 0
        return groups * self._group - missing

    def earliest(self, now: float) -> float:
        """When the next call may go."""
        if self._in_group:
            return max(now, self._starts[-1])
        if len(self._starts) < self._full_at:
            return now
        return max(now, self._starts[0] + self.per_s)

    def book(self, moment: float) -> None:
        if self._in_group == 0:
            self._starts.append(moment)
        self._in_group = (self._in_group + 1) % self._group

    def after(self, ahead: int, now: float) -> float:
        """When a call may go before which `ahead` others go."""
        left_in_group = (self._group - self._in_group) % self._group
        if ahead < left_in_group:
            return max(now, self._starts[-1])
        groups_ahead = (ahead - left_in_group) // self._group
        free = self._full_at - len(self._starts)
        if groups_ahead < free:
            return now
        rounds, at = divmod(groups_ahead - free, self._full_at)
        first = self._starts[at] if at < len(self._starts) else now
        return max(now, first + self.per_s) + rounds * self.per_s

    # ----------------------------------------------------------------------------- kept and read

    def as_json(self, offset: float) -> dict[str, Any]:
        """`offset`: what makes a moment of this process one of the calendar."""
        starts = [round(moment + offset, 3) for moment in self._starts]
        return {"most": self.most, "per": self.per_s, "starts": starts, "in_group": self._in_group}

    def take_over(self, kept: Any, offset: float) -> None:
        """The calls another window counted, which had perhaps other numbers.  They count as whole
        groups of its own; never fewer than they were."""
        theirs = Window(int(kept["most"]), float(kept["per"]))
        starts = [float(moment) - offset for moment in kept["starts"]][-theirs._full_at :]
        for at, moment in enumerate(starts):
            is_last = at == len(starts) - 1 and 0 < int(kept["in_group"]) < theirs._group
            for _ in range(int(kept["in_group"]) if is_last else theirs._group):
                self.book(moment)

    def fill(self, number: int, moment: float) -> None:
        """Calls that may have been made and are not on record."""
        for _ in range(min(number, self.most)):
            self.book(moment)


Windows = dict[str, Window]


def read_kept(kept: Any, offset: float = 0.0, now: float = math.inf) -> Windows:
    """As they were written; `offset`: what made moments of a process ones of the calendar.  Calls that
    are on record later than `now` were written by a clock that was ahead: they count as made now.  What
    cannot be read is begun anew."""
    found: Windows = {}
    for name, one in kept.items() if isinstance(kept, Mapping) else ():
        with contextlib.suppress(TypeError, ValueError, KeyError, OverflowError):
            most, per_s = int(one["most"]), float(one["per"])
            starts = [min(float(moment) - offset, now) for moment in one["starts"]]
            if most < 1 or not 0 < per_s < math.inf:
                continue
            window = Window(most, per_s)
            window.take_over({**one, "starts": starts, "in_group": int(one["in_group"])}, 0.0)
            found[name] = window
    return found


def name_of(limit: Limit) -> str:
    return f"{limit.key}/{limit.per:g}"


def windows_for(kept: Windows, limits: Sequence[Limit]) -> list[Window]:
    """Those of the limits, in `kept` from now on.  Where a number was changed, what was called so far
    still counts."""
    found = []
    for limit in limits:
        name = name_of(limit)
        window = kept.get(name)
        if window is None or window.most != limit.requests:
            before, window = window, Window(limit.requests, limit.per)
            if before is not None:
                window.take_over(before.as_json(0.0), 0.0)
            kept[name] = window
        found.append(window)
    return found


COMES_BACK_S = 2.0  # so late may a run be that comes back at its moment
_EARLY_S = 1.0


class Line:
    """Only moments are kept, not who they were given to: a run that was cancelled frees its place as
    soon as its moment has passed."""

    def __init__(self) -> None:
        self._flows: dict[str, deque[float]] = {}
        self._again: deque[float] = deque()  # of those that came back and found no room

    def ahead(self, flow: str, *, is_back: bool, now: float) -> int:
        """How many calls go before this one.  Who comes back at the moment that was given goes before
        all others; the rest take turns by flow."""
        self._pass(now)
        if is_back:
            return len(self._again)
        mine = len(self._flows.get(flow, ())) + 1
        others = sum(min(len(line), mine) for key, line in self._flows.items() if key != flow)
        return len(self._again) + mine - 1 + others

    def join(self, flow: str, moment: float, *, is_back: bool) -> None:
        line = self._again if is_back else self._flows.setdefault(flow, deque())
        line.append(max(moment, line[-1]) if line else moment)

    def leave(self, flow: str, now: float) -> None:
        """Somebody of that flow came back at their moment."""
        due = [line for line in (self._again, self._flows.get(flow)) if line and line[0] <= now + _EARLY_S]
        if due:
            min(due, key=lambda line: line[0]).popleft()

    def soonest(self, now: float) -> float | None:
        """The moment of whoever comes next."""
        self._pass(now)
        firsts = [line[0] for line in (self._again, *self._flows.values()) if line]
        return min(firsts, default=None)

    def __len__(self) -> int:
        return len(self._again) + sum(len(line) for line in self._flows.values())

    def by_flow(self) -> dict[str, int]:
        return {flow: len(line) for flow, line in self._flows.items()}

    def back_again(self) -> int:
        return len(self._again)

    def span(self) -> tuple[float, float]:
        """The first moment and the last; there are some."""
        lines = [line for line in (self._again, *self._flows.values()) if line]
        return min(line[0] for line in lines), max(line[-1] for line in lines)

    def clear(self) -> None:
        self._flows.clear()
        self._again.clear()

    def _pass(self, now: float) -> None:
        passed = now - COMES_BACK_S
        while self._again and self._again[0] < passed:
            self._again.popleft()
        for flow in list(self._flows):
            line = self._flows[flow]
            while line and line[0] < passed:
                line.popleft()
            if not line:
                del self._flows[flow]


IN_PLACE_S = 0.5
_SHORT_S = 60.0  # after a crash such a window starts as if full
_SAVED_EVERY_S = 5.0
_LEAST_STEP = 20  # a long window is saved when a fiftieth of it is used, and at least so many calls
_IDLE_S = 600.0


class Place(NamedTuple):
    """`is_mine`: go after `wait_s`, the call is counted.  Else come back after that, and ask again."""

    wait_s: float
    is_mine: bool


GO = Place(0.0, True)


class BudgetBook(Protocol):
    """Used inside the event loop only.  `is_shared`: with other processes; then it is asked, in turn,
    and not taken from."""

    is_shared: bool

    def take(
        self, connection_id: str, limits: Sequence[Limit], *, flow: str, is_back: bool, not_before: float
    ) -> Place:
        """`is_back`: it was told a moment and comes at it.  `not_before`: the end of a pause."""
        ...

    async def ask(
        self, connection_id: str, limits: Sequence[Limit], *, flow: str, is_back: bool, pause_s: float
    ) -> Place:
        """The same where it has to be looked up first; `pause_s`: how long the pause still lasts."""
        ...

    def room(self, connection_id: str, at_once: int) -> int:
        """Of so many calls at once, how many may be this process's."""
        ...

    def used(self, connection_id: str) -> Mapping[str, int] | None:
        """By window, how many calls count now; None where only the database knows."""
        ...

    def forget_line(self, connection_id: str) -> None:
        """Everybody who waits is woken, and asks anew."""
        ...

    async def start(self) -> None: ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class Budget:
    windows: Windows = field(default_factory=dict)
    line: Line = field(default_factory=Line)
    used_at: float = 0.0
    saved_at: float = -inf
    unsaved: int = 0
    step: int = _LEAST_STEP


class MemoryBook:
    """For one process.  Long windows outlive it: `keep` gets them every few seconds while they are in
    use, more often the more they are used, and when the process ends.  A start that follows a crash
    assumes that what may have been called since then was called."""

    is_shared = False

    def __init__(
        self,
        clock: Clock,
        keep: Callable[[str, Any], None] = lambda connection_id, windows: None,
        read: Callable[[], Iterable[tuple[str, Any, datetime]]] = lambda: (),
    ) -> None:
        self._clock = clock
        self._keep = keep
        self._read = read
        self._budgets: dict[str, Budget] = {}

    def take(
        self,
        connection_id: str,
        limits: Sequence[Limit],
        *,
        flow: str = "",
        is_back: bool = False,
        not_before: float = 0.0,
    ) -> Place:
        now = self._clock.monotonic()
        budget = self._budgets.get(connection_id)
        if budget is None:
            budget = self._budgets[connection_id] = Budget()
        if is_back:
            budget.line.leave(flow, now)
        windows = windows_for(budget.windows, limits)
        place = take_place(budget.line, windows, flow, is_back=is_back, now=now, not_before=not_before)
        budget.used_at = now
        if place.is_mine and windows:
            budget.unsaved += 1
            if budget.unsaved >= budget.step or now - budget.saved_at >= _SAVED_EVERY_S:
                self._save(connection_id, budget, now)
        return place

    async def ask(
        self, connection_id: str, limits: Sequence[Limit], *, flow: str, is_back: bool, pause_s: float
    ) -> Place:
        until = self._clock.monotonic() + pause_s
        return self.take(connection_id, limits, flow=flow, is_back=is_back, not_before=until)

    def room(self, connection_id: str, at_once: int) -> int:
        return at_once

    def used(self, connection_id: str) -> Mapping[str, int] | None:
        budget, now = self._budgets.get(connection_id), self._clock.monotonic()
        windows = budget.windows if budget is not None else {}
        return {name: window.used(now) for name, window in windows.items()}

    def forget_line(self, connection_id: str) -> None:
        if (budget := self._budgets.get(connection_id)) is not None:
            budget.line.clear()

    async def start(self) -> None:
        now, wall = self._clock.monotonic(), self._clock.now().timestamp()
        for connection_id, kept, saved_at in self._read():
            budget = self._budgets.setdefault(connection_id, Budget())
            budget.windows.update(read_windows(kept, wall - now, wall - saved_at.timestamp(), now))

    async def close(self) -> None:
        now = self._clock.monotonic()
        for connection_id, budget in self._budgets.items():
            if budget.windows:
                self._save(connection_id, budget, now, is_end=True)

    def _save(self, connection_id: str, budget: Budget, now: float, *, is_end: bool = False) -> None:
        long = [window.most for window in budget.windows.values() if window.per_s > _SHORT_S]
        budget.step = max(_LEAST_STEP, min(long) // 50) if long else 2**31
        budget.saved_at, budget.unsaved = now, 0
        offset = self._clock.now().timestamp() - now
        windows = {name: window.as_json(offset) for name, window in budget.windows.items()}
        self._keep(connection_id, {"windows": windows, "unseen": 0 if is_end else budget.step})
        if not is_end:
            self._drop_idle(now)

    def _drop_idle(self, now: float) -> None:
        """A connection that is never used again does not stay in memory for good."""
        for connection_id in list(self._budgets):
            budget = self._budgets[connection_id]
            idle = now - budget.used_at
            longest = max((window.per_s for window in budget.windows.values()), default=0.0)
            if idle > max(_IDLE_S, longest) and not budget.line:
                del self._budgets[connection_id]


def take_place(
    line: Line, windows: Sequence[Window], flow: str, *, is_back: bool, now: float, not_before: float
) -> Place:
    """A call goes now, or within a moment, where nobody who waits is due before it."""
    start = max((window.earliest(now) for window in windows), default=now)
    soonest = line.soonest(now)
    is_free = soonest is None or soonest > max(start, now) + IN_PLACE_S
    if not_before <= now and start <= now + IN_PLACE_S and (is_free or is_back):
        _book(windows, start)
        return Place(start - now, True)
    ahead = line.ahead(flow, is_back=is_back, now=now)
    base = max(now, not_before)
    moment = max((window.after(ahead, base) for window in windows), default=base)
    if not_before <= now and moment <= now + IN_PLACE_S:
        _book(windows, max(start, moment))
        return Place(max(start, moment) - now, True)
    moment = max(moment, now + IN_PLACE_S)
    line.join(flow, moment, is_back=is_back)
    return Place(moment - now, False)


def _book(windows: Sequence[Window], moment: float) -> None:
    for window in windows:
        window.book(moment)


def read_windows(kept: Any, offset: float, away: float, now: float) -> Windows:
    """The windows of an earlier process.  `away`: seconds since they were written.  If it did not end
    on purpose, a long window counts what it may have called after that, and a short one is full."""
    if not isinstance(kept, Mapping):
        return {}
    found = read_kept(kept.get("windows"), offset, now)
    unseen = kept.get("unseen")
    if isinstance(unseen, int) and unseen > 0:
        for window in found.values():
            if away < window.per_s + _SAVED_EVERY_S:
                window.fill(window.most if window.per_s <= _SHORT_S else unseen, now)
    return found
