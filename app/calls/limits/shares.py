"""What several processes know of each other's use of one connection: who waits, and how many of the calls
at once each of them may have under way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.calls.limits.model import COMES_BACK_S, Line

LEASE_S = 15.0  # of one that has gone silent the others take over what it had
_YIELD_AFTER_S = 1.0
_BLOCK = 2  # so many are there without asking, for who uses the connection at all

Kept = Mapping[str, Any]


class SharedLine(Line):
    """`others`: the lines of the other processes, as numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.others: list[Kept] = []

    def see(self, lines: Kept, mine: str, now: float) -> None:
        self.others = [
            one for name, one in lines.items() if name != mine and one["last"] >= now - COMES_BACK_S
        ]

    def ahead(self, flow: str, *, is_back: bool, now: float) -> int:
        super().ahead(flow, is_back=is_back, now=now)  # whose moment has passed is gone from the line
        again: int = self.back_again() + sum(one["again"] for one in self.others)
        if is_back:
            return again
        flows: dict[str, int] = self.by_flow()
        for one in self.others:
            for key, number in one["flows"].items():
                flows[key] = flows.get(key, 0) + number
        turn = flows.pop(flow, 0) + 1
        return again + turn - 1 + sum(min(number, turn) for number in flows.values())

    def soonest(self, now: float) -> float | None:
        mine = super().soonest(now)
        theirs = [one["first"] for one in self.others if one["first"] >= now - COMES_BACK_S]
        return min([*theirs, mine] if mine is not None else theirs, default=None)

    def as_json(self) -> dict[str, Any] | None:
        """None where nobody waits."""
        if not self:
            return None
        first, last = self.span()
        return {"flows": self.by_flow(), "again": self.back_again(), "first": first, "last": last}


def share_of_slots(
    slots: dict[str, list[float]], mine: str, *, most: int, wants: int, under_way: int, now: float
) -> int:
    """How many calls of this process may be under way at once; `slots` is changed accordingly: by
    process, how many it has, how many it wants, until when that holds and since when it has some.

    It gets what is free.  Where others want more than there is, nobody keeps more than an equal part;
    and where there are fewer than processes, they take turns."""
    for name in [name for name, one in slots.items() if one[2] < now]:
        del slots[name]
    others = [one for name, one in slots.items() if name != mine]
    free = most - sum(int(one[0]) for one in others)
    before = slots.get(mine, [0, 0, 0, now])
    target = most if wants and not others else min(most, max(wants, _BLOCK))
    if any(one[1] > one[0] for one in others):
        equal = most // (1 + len(others))
        if equal == 0 and (not before[0] or now - before[3] < _YIELD_AFTER_S):
            equal = 1
        left = most - sum(int(max(one[0], one[1])) for one in others)
        target = min(target, max(min(equal, wants), left))
    granted = max(0, min(target, free))
    has = max(granted, under_way)
    if has or wants:
        since = before[3] if before[0] and has else now
        slots[mine] = [has, wants, now + LEASE_S, since]
    else:
        slots.pop(mine, None)
    return granted
