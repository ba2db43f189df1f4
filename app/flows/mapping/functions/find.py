"""Functions that find something inside a value: by a pattern in a text, by names in data."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import re2

from app.flows.mapping.functions.function import Arg, Function, Unfit, shown
from app.flows.mapping.values import as_number, as_text

Args = tuple[str, ...]
LIMIT_PATTERN: Final = 1000
LIMIT_SEARCHED: Final = 200_000


def _match(value: Any, args: Args, zone: str) -> Any:
    """re2, so that no pattern can take long."""
    pattern, group = _compiled(args[0]), int(as_number(args[1]) or 0)
    found = pattern.search(as_text(value)[:LIMIT_SEARCHED])
    if found is None:
        raise Unfit(f"the pattern {shown(args[0])} is not found in {shown(value)}.")
    if not 0 <= group <= pattern.groups:
        raise Unfit(f"the pattern {shown(args[0])} has {pattern.groups} groups, not {group}.")
    return found.group(group) or ""


@lru_cache(maxsize=512)
def _compiled(text: str) -> Any:
    if not text or len(text) > LIMIT_PATTERN:
        raise Unfit("the pattern is empty." if not text else "the pattern is too long.")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 4 << 20
    try:
        return re2.compile(text, options)
    except re2.error:
        raise Unfit(f"{shown(text)} is not a pattern that can be used.") from None


def _inside(value: Any, args: Args, zone: str) -> Any:
    """`customer.emails.0`: the names and numbers on the way, with dots between."""
    here = value
    for key in args[0].split("."):
        if isinstance(here, dict) and key in here:
            here = here[key]
        elif isinstance(here, list) and key.isdecimal() and int(key[:9]) < len(here):
            here = here[int(key[:9])]
        else:
            raise Unfit(f"there is no {shown(key)} in it.")
    return here


FUNCTIONS = [
    Function(
        "match",
        "Find by a pattern",
        "What a pattern finds in a text, or one of its groups: #(\\d+) and 1 give the number.",
        _match,
        (Arg("Pattern"), Arg("Group", "0", "number")),
    ),
    Function(
        "inside",
        "A value inside…",
        "From data that was read, by its names: customer.email.",
        _inside,
        (Arg("Where"),),
        "Other",
    ),
]
