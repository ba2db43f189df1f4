"""Limits as people say them: “10 calls a second”, “1,200 runs wait”."""

from __future__ import annotations

from collections.abc import Sequence

from app.catalog.format.definition import Limit

# What a form offers; a window of another length that a connector names is shown as it is.
UNITS = (
    ("1", "a second"),
    ("10", "in 10 seconds"),
    ("60", "a minute"),
    ("3600", "an hour"),
    ("86400", "a day"),
)
_UNITS = {float(value): words for value, words in UNITS}
_LONGER = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def per_words(seconds: float) -> str:
    """`in 10 seconds`, `a day`."""
    if (known := _UNITS.get(seconds)) is not None:
        return known
    for length, name in _LONGER:
        if seconds >= length and seconds % length == 0:
            return f"in {seconds // length:,.0f} {name}s"
    return f"in {seconds:,g} seconds"


def limit_words(limit: Limit) -> str:
    calls = "1 call" if limit.requests == 1 else f"{limit.requests:,} calls"
    return f"{calls} {per_words(limit.per)}"


def binding(limits: Sequence[Limit], wait_s: float) -> Limit | None:
    """The limit that makes a line of that length: the slowest of those that can be behind it."""
    if not limits:
        return None
    shortest = min(limit.per for limit in limits)
    possible = [limit for limit in limits if limit.per <= max(wait_s, shortest)]
    return min(possible, key=lambda limit: limit.requests / limit.per)
