"""Who waits for a connection's limit, and when their turn comes: in turn by flow, so that a spike of
one flow does not make the others wait for its end."""

from __future__ import annotations

from collections import deque

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
