"""The fields of a form as a document: `data[merges][FNAME]` lies in objects, repeated names in a list."""

from __future__ import annotations

import re
from typing import Any

_NESTED = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])+)")
_PART = re.compile(r"\[([^\[\]]*)\]")
_DEEPEST = 16


def gathered(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name that does not fit beside the others (`a` and `a[b]`) stays as it was written."""
    fields: dict[str, Any] = {}
    repeated: set[tuple[str, ...]] = set()
    for name, value in pairs:
        parts = _parts(name)
        place = _place(fields, parts[:-1])
        if place is None:
            place, parts = fields, [name]
        _put(place, parts, value, repeated)
    return fields


def _parts(name: str) -> list[str]:
    """`a[b][]` -> a, b: the empty brackets only say that there may be several."""
    found = _NESTED.fullmatch(name)
    if found is None:
        return [name]
    parts = [found[1], *_PART.findall(found[2])]
    if parts[-1] == "":
        parts.pop()
    return parts if "" not in parts and len(parts) <= _DEEPEST else [name]


def _place(fields: dict[str, Any], parts: list[str]) -> dict[str, Any] | None:
    place = fields
    for part in parts:
        inner = place.setdefault(part, {})
        if not isinstance(inner, dict):
            return None
        place = inner
    return place


def _put(place: dict[str, Any], parts: list[str], value: Any, repeated: set[tuple[str, ...]]) -> None:
    name, whole = parts[-1], tuple(parts)
    if name not in place:
        place[name] = value
    elif whole in repeated:
        place[name].append(value)
    else:
        place[name] = [place[name], value]
        repeated.add(whole)
