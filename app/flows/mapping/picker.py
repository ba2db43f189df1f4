"""The tree of a sample's data, from which a person picks: names for people, references for fields."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from app.flows.mapping.jsonpath import quoted_path
from app.flows.mapping.jsonpath_reader import EACH, Each
from app.flows.mapping.values import as_text

Kind = Literal["text", "number", "flag", "null", "list", "object"]
Keys = tuple[str | int | Each, ...]

LIMIT_NODES = 500
LIMIT_DEPTH = 12
_MOST_ITEMS = 20
_LONGEST_SAMPLE = 80


@dataclass(slots=True)
class PickerNode:
    """`reference` is what stands between the braces: `trigger:$['customer']['email']`."""

    label: str
    reference: str
    path: str
    kind: Kind
    sample: str
    children: list[PickerNode] = field(default_factory=list)


@dataclass(slots=True)
class _Budget:
    nodes: int = LIMIT_NODES


def tree(document: Any, root_id: str) -> PickerNode:
    """The whole document as one node; at most 500 nodes, 12 deep."""
    return _node("All of it", root_id, (), document, _Budget())


def _node(label: str, root: str, keys: Keys, value: Any, budget: _Budget) -> PickerNode:
    budget.nodes -= 1
    path = quoted_path(keys)
    node = PickerNode(label, f"{root}:{path}", path, _kind(value), _sample(value))
    if len(keys) < LIMIT_DEPTH and len(path) < 220:
        node.children = _children(root, keys, value, budget)
    return node


def _children(root: str, keys: Keys, value: Any, budget: _Budget) -> list[PickerNode]:
    if isinstance(value, dict):
        return _members(root, keys, value, budget)
    if isinstance(value, list) and value:
        return _items(root, keys, value, budget)
    return []


def _members(
    root: str, keys: Keys, value: dict[str, Any], budget: _Budget, suffix: str = ""
) -> list[PickerNode]:
    found = []
    for key, inner in value.items():
        if budget.nodes <= 0:
            break
        found.append(_node(humanise(key) + suffix, root, (*keys, key), inner, budget))
    return found


def _items(root: str, keys: Keys, value: list[Any], budget: _Budget) -> list[PickerNode]:
    """For a list of objects, "Title (each)" for every field any of the first items has; then the
    first item by itself."""
    found = []
    objects = [item for item in value[:_MOST_ITEMS] if isinstance(item, dict)]
    if objects and not any(isinstance(key, Each) for key in keys):
        merged = {key: inner for item in reversed(objects) for key, inner in item.items()}
        ordered = {key: merged[key] for item in objects for key in item}
        found += _members(root, (*keys, EACH), ordered, budget, " (each)")
    if budget.nodes > 0:
        found.append(_node("First item", root, (*keys, 0), value[0], budget))
    return found


def _kind(value: Any) -> Kind:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list):
        return "list"
    if isinstance(value, dict):
        return "object"
    return "null" if value is None else "text"


def _sample(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} item{'' if len(value) == 1 else 's'}"
    if isinstance(value, dict):
        return f"{len(value)} field{'' if len(value) == 1 else 's'}"
    text = " ".join(as_text(value)[: _LONGEST_SAMPLE * 4].split())
    return text if len(text) <= _LONGEST_SAMPLE else text[: _LONGEST_SAMPLE - 1] + "…"


# ------------------------------------------------------------------------------------ the names

_SEAM = re.compile(r"[_\-.\s]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_CAPITALS = {
    "id",
    "url",
    "utm",
    "ip",
    "sku",
    "vat",
    "html",
    "json",
    "api",
    "crm",
    "uuid",
    "uri",
    "pdf",
    "sms",
    "ok",
}


def humanise(key: str) -> str:
    """`first_name` -> `First name`, `customerID` -> `Customer ID`."""
    words = [word for word in _SEAM.split(key[:200].lstrip("$@")) if word]
    if not words:
        return key or "(no name)"
    lowered = [word.upper() if word.lower() in _CAPITALS else _small(word) for word in words]
    return lowered[0][:1].upper() + lowered[0][1:] + "".join(f" {word}" for word in lowered[1:])


def _small(word: str) -> str:
    return word.lower() if (word.isupper() and len(word) > 4) or word.istitle() else word
