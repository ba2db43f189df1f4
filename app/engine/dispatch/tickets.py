"""Who brings a queued run to execution; the run itself is a row, a ticket only says "look at it"."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(slots=True)
class RunTicket:
    """`payload`: the event's document as JSON bytes; None = read it from the database when it is
    the run's turn (after a restart, or when many runs wait)."""

    run_id: str
    flow_id: str
    version_id: str
    event_id: str
    payload: bytes | None = None
    delivery: dict[str, Any] | None = None
    fresh: bool = True  # just accepted: nothing of it can have happened yet
    after_stop: bool = False  # left open by a process that ended: this run may be why


# Performs what can be performed now of a run; returns the moment to come back, if there is one.
Execute = Callable[[RunTicket], Awaitable[datetime | None]]
# How many runs of a flow version may be under way; 0 = as many as there is room for, None = not known
# before the first of them has been taken up.
MostAtOnce = Callable[[str], int | None]


def as_many_as_fit(version_id: str) -> int | None:
    """No flow has a setting of its own."""
    return 0


class Enqueue(Protocol):
    """Called after the commit that made the runs; safe from any thread."""

    def enqueue(self, tickets: Sequence[RunTicket]) -> None: ...


class Dispatcher(Enqueue, Protocol):
    """What brings queued runs to execution where runs are performed."""

    def stand_aside(self, flow_id: str, number: int) -> None:
        """So many more (or fewer) runs of the flow wait for a service that takes no more calls for the
        moment: they take no place from others.  Called in the loop's thread."""

    def look_again(self) -> None:
        """Looks through the line anew, for a flow version is known now.  Called in the loop's thread."""
