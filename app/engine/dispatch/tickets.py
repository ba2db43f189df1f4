"""Who brings a queued run to execution; the run itself is a row, a ticket only says "look at it"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


class Dispatcher(Protocol):
    """Called after the commit that made the runs; safe from any thread."""

    def enqueue(self, tickets: Sequence[RunTicket]) -> None: ...
