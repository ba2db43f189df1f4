"""Who may do what: each deed with the least role that may do it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["viewer", "editor", "admin"]
RANKS: dict[Role, int] = {"viewer": 0, "editor": 1, "admin": 2}

Deed = Literal[
    "flows",  # create, edit, publish, switch, hold, delete
    "runs",  # start, replay, cancel, settle
    "letters",  # replay or settle many
    "trials",  # try a step, fetch a sample
    "choices",  # ask a service for the choices of a field
    "connections",  # connect, rename, limit, hold, delete
    "own_account",  # one's own name, password and sessions
    "people",
    "apps",  # registering Plumbline at a service
    "connectors",
    "history",  # how long it is kept
    "alerts",  # who is told of them
    "mark_seen",
    "ledger",  # check it now
    "database",  # back it up, put a backup in its place
]


@dataclass(frozen=True)
class Right:
    """The least role, and what "Only administrators ..." goes on with where that is admin."""

    role: Role
    words: str = ""
    remedy: str = ""


DEEDS: dict[Deed, Right] = {
    "flows": Right("editor"),
    "runs": Right("editor"),
    "letters": Right("editor"),
    "trials": Right("editor"),
    "choices": Right("viewer"),
    "connections": Right("editor"),
    "own_account": Right("viewer"),
    "people": Right("admin", "add people"),
    "apps": Right(
        "admin", "register Plumbline at a service", "Copy the text on that page and give it to one of them."
    ),
    "connectors": Right("admin", "make and change connectors"),
    "history": Right("admin", "choose how long history is kept"),
    "alerts": Right("admin", "choose who is told of alerts"),
    "mark_seen": Right("editor"),
    "ledger": Right("editor"),
    "database": Right("admin", "back up and restore"),
}
