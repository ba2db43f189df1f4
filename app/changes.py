"""What changed, told to whoever keeps something of it.

In this process a listener is called at once; what concerns the door's process travels over its link
(`server/door.py`), and what concerns other processes on the same PostgreSQL with the commit that made it
(`storage/cluster/messages.py`).  Rule: a change that gets lost costs freshness, never truth, for each
listener also looks by itself at an interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import TypeVar


@dataclass(frozen=True, slots=True)
class FlowChanged:
    """A flow was switched, held, published, or got a new address."""

    flow_id: str


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """A connection has other facts than before: its secrets, its state, its name."""

    connection_id: str


@dataclass(frozen=True, slots=True)
class ConnectionFreed:
    """Nothing keeps a connection's calls back any more: it works again, or a person does not want to
    wait for the end of a pause."""

    connection_id: str


@dataclass(frozen=True, slots=True)
class LimitsChanged:
    """A person set other numbers for how often a connection may be called."""

    connection_id: str


@dataclass(frozen=True, slots=True)
class HostChanged:
    """Another process began, or ended, to leave a host alone.  `place`: `con_…|host`, or `|host`."""

    place: str


@dataclass(frozen=True, slots=True)
class ConnectorsChanged:
    """The files of connectors were added to, changed or removed."""


@dataclass(frozen=True, slots=True)
class RunCancelled:
    """A run is to make no further call."""

    run_id: str


@dataclass(frozen=True, slots=True)
class ProcessGone:
    """This process was taken for dead: what it has under way is now others' work."""

    process_id: str


@dataclass(frozen=True, slots=True)
class DoorEnded:
    """The process for deliveries ended before the server did; the pages' process takes them now."""

    at: datetime


# What can be said in words, to other processes.
Told = (
    FlowChanged
    | ConnectionChanged
    | ConnectionFreed
    | LimitsChanged
    | HostChanged
    | ConnectorsChanged
    | RunCancelled
)
Change = Told | ProcessGone | DoorEnded

C = TypeVar("C", bound=Change)

_KINDS: dict[str, type[Told]] = {
    kind.__name__: kind
    for kind in (
        FlowChanged,
        ConnectionChanged,
        ConnectionFreed,
        LimitsChanged,
        HostChanged,
        ConnectorsChanged,
        RunCancelled,
    )
}


class Changes:
    """One per process.  Listeners are added while the parts are put together, and called in the thread
    of whoever tells."""

    def __init__(self) -> None:
        self._heard: dict[type[Change], list[Callable[[Change], None]]] = {}

    def on(self, kind: type[C], heard: Callable[[C], None]) -> None:
        """Calls `heard` with each change of this kind from now on."""
        self._heard.setdefault(kind, []).append(heard)  # type: ignore[arg-type]

    def tell(self, change: Change) -> None:
        """Calls every listener of this kind, in the order in which they were added."""
        for heard in self._heard.get(type(change), ()):
            heard(change)


def in_words(change: Told) -> str:
    """Returns a change as one line of text: `FlowChanged flow_…`."""
    return " ".join((type(change).__name__, *astuple(change)))


def from_words(words: str) -> Told | None:
    """Returns the change that `in_words` wrote; None for a line of another release."""
    name, *values = words.split(" ")
    kind = _KINDS.get(name)
    try:
        return None if kind is None else kind(*values)
    except TypeError:
        return None
