"""Who gives a command, and by which way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.commands.rights import DEEDS, RANKS, Deed, Role
from app.errors import NotAllowed

Via = Literal["page", "cli", "api", "mcp", "clock"]


@dataclass(frozen=True, kw_only=True)
class Who:
    """The person or program behind a command; `id` is None for the shell of the server and for the clock."""

    id: str | None
    name: str
    role: Role
    via: Via

    def may(self, deed: Deed) -> bool:
        return RANKS[self.role] >= RANKS[DEEDS[deed].role]

    def must(self, deed: Deed) -> None:
        """Raises NotAllowed, with who may do it instead, unless the role allows the deed."""
        if self.may(deed):
            return
        if DEEDS[deed].role == "admin":
            raise NotAllowed(
                f"Only administrators {DEEDS[deed].words}.", remedy=DEEDS[deed].remedy or "Ask one of them."
            )
        raise NotAllowed(
            "You can view everything here, but you cannot change it.",
            remedy="Ask an administrator of this Plumbline to make you an editor.",
        )


SHELL = Who(id=None, name="the command line", role="admin", via="cli")
CLOCK = Who(id=None, name="the clock", role="admin", via="clock")
