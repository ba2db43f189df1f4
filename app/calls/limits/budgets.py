"""How many calls a connection may make: several windows at once, shared by all flows.

Nothing waits here: `take` says when a call may go.  Who has to wait longer than a moment lies down as
a row and comes back; the moment it is told is its place in the line, not a booking, so that a run that
never comes back costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import Any, NamedTuple, Protocol

from app.calls.limits.lines import Line
from app.calls.limits.windows import Window, Windows, read_kept, windows_for
from app.catalog.format.definition import Limit
from app.clock import Clock

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
