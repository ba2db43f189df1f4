"""What a later description of an API changes about the connector that was made of an earlier one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.imports.apis.draft import Draft
from app.imports.apis.folder import print_of


@dataclass(frozen=True)
class Changes:
    """Keys of operations.  `gone`: they are in the connector, and not among those that are taken now."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    gone_triggers: tuple[str, ...] = ()


def changes_of(origin: dict[str, Any], draft: Draft, taken: Iterable[str] | None = None) -> Changes:
    """`origin`: what the connector was made of.  `taken`: what is chosen now, None = all."""
    chosen = None if taken is None else set(taken)
    now = {one.key: print_of(one.action) for one in draft.usable if chosen is None or one.key in chosen}
    triggers = {str(one.trigger["key"]) for one in draft.usable if one.trigger and one.key in now}
    before = {
        key: str(one.get("print")) for key, one in origin["operations"].items() if isinstance(one, dict)
    }
    rows = [one for one in origin["operations"].values() if isinstance(one, dict)]
    triggers_before = {str(one["trigger"]) for one in rows if one.get("trigger")}
    return Changes(
        tuple(key for key in now if key not in before),
        tuple(key for key in now if key in before and before[key] != now[key]),
        tuple(key for key in before if key not in now),
        tuple(sorted(triggers_before - triggers)),
    )
