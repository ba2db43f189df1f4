"""At most so many calls in so many seconds: when the next one may go, and one far behind in the line."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from app.catalog.format.definition import Limit

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
