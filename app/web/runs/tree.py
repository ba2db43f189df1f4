"""A document as a tree that opens and closes: bounded, so that a hostile one cannot fill the page."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from app.web.runs.bodies import one_line, visible

MOST_NODES = 600
_DEEPEST = 24
_LONGEST_VALUE = 600


@dataclass(slots=True)
class Node:
    """`kind`: object | list | text | number | word.  `left_out`: children that are not shown."""

    name: str
    kind: str
    value: str = ""
    children: list[Node] = field(default_factory=list)
    left_out: int = 0
    size: int = 0


def tree(payload: bytes) -> Node | None:
    """None for what is not a JSON document."""
    try:
        document = json.loads(payload, parse_float=_Written, parse_int=_Written)
    except (ValueError, RecursionError):
        return None
    return _node("", document, [MOST_NODES], 0)


class _Written(str):
    """A number as it was written: 1.10 stays 1.10, and long ids keep their last digits."""


def _node(name: str, document: Any, room: list[int], depth: int) -> Node:
    room[0] -= 1
    shown = one_line(name, 120)
    if isinstance(document, dict):
        pairs = [(str(key), value) for key, value in document.items()]
        return _parent(Node(shown, "object", size=len(pairs)), pairs, room, depth)
    if isinstance(document, list):
        pairs = [(f"#{number}", value) for number, value in enumerate(document, 1)]
        return _parent(Node(shown, "list", size=len(pairs)), pairs, room, depth)
    if isinstance(document, _Written):
        return Node(shown, "number", str(document))
    if isinstance(document, str):
        return Node(shown, "text", _text(document))
    return Node(shown, "word", {None: "null", True: "true", False: "false"}[document])


def _parent(node: Node, pairs: list[tuple[str, Any]], room: list[int], depth: int) -> Node:
    for name, value in pairs:
        if room[0] <= 0 or depth >= _DEEPEST:
            node.left_out = node.size - len(node.children)
            break
        node.children.append(_node(name, value, room, depth + 1))
    return node


def _text(value: str) -> str:
    cut = visible(value[:_LONGEST_VALUE])
    return cut if len(value) <= _LONGEST_VALUE else f"{cut}… ({len(value):,} characters)"
