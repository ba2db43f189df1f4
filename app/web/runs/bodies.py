"""Bodies and texts of strangers made fit to look at: indented, coloured, as a tree; bounded, with nothing
hidden in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

SHOWN_CHARS = 16_000
ALL_CHARS = 300_000
MOST_NODES = 600
_DEEPEST = 24
_PARSED_TO_GUESS = 64_000
_MOST_FIELDS = 500
_BINARY_SHOWN = 256
_LONGEST_VALUE = 600

# Control characters, marks that turn the direction of text, characters without width, and halves of pairs.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\],:]|[^\s{}\[\],:"]+', re.S)
_TAG_OR_TEXT = re.compile(r"<[^>]*>?|[^<]+")
_VOID_TAGS = frozenset(("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "wbr"))

Piece = tuple[str, str]  # what it is (key | text | number | word | tag | "" for the rest), the text


@dataclass(frozen=True, slots=True)
class ShownBody:
    """`kind`: json | xml | form | text | binary | empty.  `note` says what is not shown."""

    kind: str
    pieces: list[Piece]
    size: str
    note: str = ""

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.pieces)


def visible(text: object) -> str:
    """The text with everything that could hide or turn it around written out, as ⟨U+202E⟩."""
    return HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", str(text).replace("\r\n", "\n"))


def one_line(text: object, most: int = 160) -> str:
    """For labels: no line breaks, never longer than `most`."""
    line = " ".join(visible(text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def size_words(size: int) -> str:
    if size < 1024:
        return f"{size} byte" if size == 1 else f"{size} bytes"
    return f"{size / 1024:.1f} KB" if size < 1024 * 1024 else f"{size / 1024 / 1024:.1f} MB"


def show(
    body: bytes | None, content_type: str = "", *, size: int | None = None, most: int = SHOWN_CHARS
) -> ShownBody:
    """`size`: what it was before the history cut it."""
    if not body:
        return ShownBody("empty", [], size_words(size or 0), "Cut from the history." if size else "")
    whole = max(size or 0, len(body))
    try:
        text = body.decode()
    except UnicodeDecodeError as reason:
        if whole == len(body) or reason.start < len(body) - 4:
            return _binary(body, whole)
        text = body.decode(errors="replace")
    kind = _kind(text, content_type)
    pieces = list(_pieces(kind, visible(text[:most])))
    return ShownBody(kind, pieces, size_words(whole), _note(text, most, whole - len(body)))


def show_document(document: Any, *, most: int = SHOWN_CHARS) -> ShownBody:
    """A JSON document from the history (a step's input or output)."""
    text = json.dumps(document, ensure_ascii=False, default=str)
    size = size_words(len(text.encode("utf-8", "replace")))
    return ShownBody("json", list(_pieces("json", visible(text[:most]))), size, _note(text, most, 0))


def _note(text: str, most: int, lost: int) -> str:
    if lost > 0:
        return f"The history keeps the beginning; {size_words(lost)} more were cut."
    if len(text) > most:
        return f"The first {most:,} of {len(text):,} characters."
    return ""


def _binary(body: bytes, size: int) -> ShownBody:
    dump = body[:_BINARY_SHOWN].hex(" ")
    lines = "\n".join(dump[start : start + 96].rstrip() for start in range(0, len(dump), 96))
    return ShownBody(
        "binary", [("", lines)], size_words(size), "Not text; its first bytes as hexadecimal numbers."
    )


def _kind(text: str, content_type: str) -> str:
    named = content_type.lower()
    start = text.lstrip()[:1]
    if "json" in named or (start in ("{", "[") and _is_json(text)):
        return "json"
    if "xml" in named or "html" in named or start == "<":
        return "xml"
    return "form" if "x-www-form-urlencoded" in named else "text"


def _is_json(text: str) -> bool:
    if len(text) > _PARSED_TO_GUESS:
        return True
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _pieces(kind: str, text: str) -> Iterator[Piece]:
    if kind == "json":
        return _joined(_json_pieces(text))
    if kind == "xml":
        return _joined(_xml_pieces(text))
    if kind == "form":
        return _form_pieces(text)
    return iter([("", text)])


def _joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Neighbours of one kind become one piece: fewer elements on the page."""
    before: Piece | None = None
    for piece in pieces:
        if before is not None and before[0] == piece[0]:
            before = (piece[0], before[1] + piece[1])
            continue
        if before is not None:
            yield before
        before = piece
    if before is not None:
        yield before


def _json_pieces(text: str) -> Iterator[Piece]:
    """Indents part by part: numbers, doubled keys and cut ends stay exactly as they came."""
    depth, opened = 0, False
    for found in _JSON_TOKEN.finditer(text):
        part = found[0]
        if part in "}]":
            depth = max(depth - 1, 0)
            yield "", part if opened else _line(depth) + part
        elif part in "{[":
            yield "", (_line(depth) if opened else "") + part
            depth += 1
        elif part in ",:":
            yield "", ": " if part == ":" else "," + _line(depth)
        else:
            yield "", _line(depth) if opened else ""
            yield _json_kind(part, text, found.end()), part
        opened = part in "{["


def _line(depth: int) -> str:
    return "\n" + "  " * min(depth, _DEEPEST)


def _json_kind(part: str, text: str, end: int) -> str:
    if part[0] != '"':
        return "number" if part[0] in "-0123456789" else "word"
    return "key" if text[end : end + 8].lstrip()[:1] == ":" else "text"


def _xml_pieces(text: str) -> Iterator[Piece]:
    depth, fresh = 0, True
    for found in _TAG_OR_TEXT.finditer(text):
        part = found[0]
        if part[0] != "<":
            if part.strip():
                yield "", part.strip()
                fresh = False
            continue
        closes, stands_alone = part.startswith("</"), _stands_alone(part)
        depth = max(depth - 1, 0) if closes else depth
        yield "tag", part if closes and not fresh else (_line(depth) if found.start() else "") + part
        depth += 0 if closes or stands_alone else 1
        fresh = closes or stands_alone


def _stands_alone(tag: str) -> bool:
    name = tag[1:].split(None, 1)[0].rstrip("/>").lower() if len(tag) > 1 and not tag[1].isspace() else ""
    return tag.endswith("/>") or tag.startswith(("<?", "<!")) or name in _VOID_TAGS


def _form_pieces(text: str) -> Iterator[Piece]:
    for name, value in islice(parse_qsl(text, keep_blank_values=True), _MOST_FIELDS):
        yield "key", visible(name)
        yield "", f" = {visible(value)}\n"


def header_pairs(headers: Any) -> list[tuple[str, str]]:
    """Headers as the history holds them: pairs, or names with values."""
    rows = headers.items() if isinstance(headers, dict) else headers or []
    return [(str(row[0]), str(row[1])) for row in rows if len(row) == 2]


def content_type(headers: Any) -> str:
    return next((value for name, value in header_pairs(headers) if name.lower() == "content-type"), "")


# ---------------------------------------------------------------------- a document as a tree


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
    """Returns a document as a tree that opens and closes, or None for what is not JSON; bounded, so that a
    hostile document cannot fill the page."""
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
        cut = visible(document[:_LONGEST_VALUE])
        is_whole = len(document) <= _LONGEST_VALUE
        return Node(shown, "text", cut if is_whole else f"{cut}… ({len(document):,} characters)")
    return Node(shown, "word", {None: "null", True: "true", False: "false"}[document])


def _parent(node: Node, pairs: list[tuple[str, Any]], room: list[int], depth: int) -> Node:
    for name, value in pairs:
        if room[0] <= 0 or depth >= _DEEPEST:
            node.left_out = node.size - len(node.children)
            break
        node.children.append(_node(name, value, room, depth + 1))
    return node
