"""The names that are there, when the one somebody asked for is not."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from itertools import islice

_MOST_COMPARED = 200
_LONGEST_COMPARED = 48
_MOST_LISTED = 4
_SHORTEST_HELD = 4
_HELD = 0.85


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name most like it, capitals and separators aside."""
    known = {_plain(one): one for one in islice(names, _MOST_COMPARED) if len(one) <= _LONGEST_COMPARED}
    close = get_close_matches(_plain(name[:_LONGEST_COMPARED]), known, n=1, cutoff=0.6)
    return known[close[0]] if close else None


def nearest_hint(name: str, names: Iterable[str], start: str) -> str:
    """`The data has 'mobile'.`: the nearest name, or else the first few; '' if there are none."""
    few = [one for one in islice(names, _MOST_COMPARED) if isinstance(one, str)]
    close = nearest(name, few)
    if close:
        return f"{start} '{close}'."
    listed = ", ".join(f"'{one[:_LONGEST_COMPARED]}'" for one in few[:_MOST_LISTED])
    return f"{start} {listed}{' and more' if len(few) > _MOST_LISTED else ''}." if listed else ""


def likeness(one: str, other: str) -> float:
    """0 to 1: how much one name is like another, capitals and separators aside; one that holds the
    other, as `email_address` does `email`, is much like it."""
    first, second = _plain(one[:_LONGEST_COMPARED]), _plain(other[:_LONGEST_COMPARED])
    ratio = SequenceMatcher(None, first, second).ratio()
    holds_other = min(len(first), len(second)) >= _SHORTEST_HELD and (first in second or second in first)
    return max(ratio, _HELD) if holds_other else ratio


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")
