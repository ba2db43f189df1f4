"""How many calls a connection may make: several windows at once, shared by all flows.

Nothing waits here: `reserve` says how long to wait and keeps the place in the line, so that
thousands of waiting runs come back one after another and not all at once.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.catalog.definition import Limit
from app.clock import Clock

MAX_PAUSE_S = 24 * 3600
_MOST_GROUPS = 1000
_RAMP_S = 0.005  # after a pause the waiting calls start 200 a second
_TICKET_KEEP_S = 3600.0
_SWEEP_EVERY = 4096


class Window:
    """At most `most` calls in any `per_s` seconds.  Large windows count calls in groups, to keep
    the memory small; that errs on the side of fewer calls."""

    def __init__(self, most: int, per_s: float) -> None:
        self.per_s = per_s
        self._group = max(1, math.ceil(most / _MOST_GROUPS))
        groups = max(1, most // self._group - (1 if self._group > 1 else 0))
        self._starts: deque[float] = deque(maxlen=groups)
        self._in_group = 0

    def earliest(self, now: float) -> float:
        """When the next call may go."""
        if self._in_group:
            return max(now, self._starts[-1])
        if len(self._starts) < (self._starts.maxlen or 1):
            return now
        return max(now, self._starts[0] + self.per_s)

    def book(self, moment: float) -> None:
        if self._in_group == 0:
            self._starts.append(moment)
        self._in_group = (self._in_group + 1) % self._group


@dataclass(slots=True)
class _Ticket:
    """A place in line: the windows that are booked already, and for when."""

    booked: dict[str, float] = field(default_factory=dict)
    due: float = 0.0


@dataclass(slots=True)
class _Budget:
    windows: dict[str, Window] = field(default_factory=dict)
    tickets: dict[str, _Ticket] = field(default_factory=dict)
    paused_until: float = 0.0
    behind_pause: int = 0


class Budgets:
    """Used inside the event loop only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._budgets: dict[str, _Budget] = {}
        self._reserved = 0

    def reserve(self, connection_id: str, limits: Sequence[Limit], *, ticket: str = "") -> float:
        """Seconds to wait; 0 = go now, and the call is counted.  Asking again with the same ticket
        after that wait keeps the place; without a ticket there is none to keep."""
        budget = self._budgets.get(connection_id)
        if budget is None:
            if not limits:
                return 0.0
            budget = self._budgets[connection_id] = _Budget()
        now = self._clock.monotonic()
        self._reserved += 1
        if self._reserved % _SWEEP_EVERY == 0:
            self._sweep(now)
        if budget.paused_until > now:
            budget.behind_pause += 1
            return budget.paused_until - now + budget.behind_pause * _RAMP_S
        budget.behind_pause = 0
        return _take_place(budget, limits, ticket, now) if limits else 0.0

    def pause(self, connection_id: str, seconds: float) -> None:
        """No call of this connection for so long; a shorter pause never ends a longer one."""
        budget = self._budgets.setdefault(connection_id, _Budget())
        until = self._clock.monotonic() + min(max(seconds, 0.0), MAX_PAUSE_S)
        budget.paused_until = max(budget.paused_until, until)

    def paused_for(self, connection_id: str) -> float:
        """Seconds the connection still pauses."""
        budget = self._budgets.get(connection_id)
        return max(0.0, budget.paused_until - self._clock.monotonic()) if budget is not None else 0.0

    def lift(self, connection_id: str) -> None:
        """A person mended the connection: nothing is left of its pause."""
        budget = self._budgets.get(connection_id)
        if budget is not None:
            budget.paused_until = 0.0

    def _sweep(self, now: float) -> None:
        """Places of runs that never came back (cancelled) are forgotten."""
        for budget in self._budgets.values():
            for name in [n for n, one in budget.tickets.items() if one.due + _TICKET_KEEP_S < now]:
                del budget.tickets[name]


def _take_place(budget: _Budget, limits: Sequence[Limit], ticket: str, now: float) -> float:
    windows = {_name_of(limit): _window(budget, limit) for limit in limits}
    if not ticket:
        start = max(window.earliest(now) for window in windows.values())
        for window in windows.values() if start <= now else ():
            window.book(now)
        return start - now
    place = budget.tickets.get(ticket) or _Ticket()
    for key, window in windows.items():
        if key not in place.booked and (start := window.earliest(now)) > now:
            window.book(start)
            place.booked[key] = start
    place.due = max(place.booked.values(), default=now)
    if place.due > now:
        budget.tickets[ticket] = place
        return place.due - now
    for key, window in windows.items():
        if key not in place.booked:
            window.book(now)
    budget.tickets.pop(ticket, None)
    return 0.0


def _window(budget: _Budget, limit: Limit) -> Window:
    window = budget.windows.get(_name_of(limit))
    if window is None:
        window = budget.windows[_name_of(limit)] = Window(limit.requests, limit.per)
    return window


def _name_of(limit: Limit) -> str:
    """With its numbers: a connector that was edited counts anew."""
    return f"{limit.key}/{limit.requests}/{limit.per:g}"
