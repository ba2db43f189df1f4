"""READMEs of connectors as blocks a template can show: headings, paragraphs, lists, code; no HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\((https?://[^\s)]+)\)")
_ITEM = re.compile(r"^\s*(?:[-*]|\d+[.)])\s+(.*)$")
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
_LONGEST = 100_000


@dataclass(frozen=True)
class Span:
    kind: Literal["text", "code", "strong", "link"]
    text: str
    address: str = ""


@dataclass
class Block:
    kind: Literal["heading", "paragraph", "list", "code"]
    spans: list[Span] = field(default_factory=list)
    items: list[list[Span]] = field(default_factory=list)
    text: str = ""


def blocks(text: str) -> list[Block]:
    """What is no heading, list or fenced code is a paragraph.  The title is left out: the page has one."""
    found = list(_blocks(text[:_LONGEST].splitlines()))
    return found[1:] if found and found[0].kind == "heading" else found


def _blocks(lines: list[str]) -> Iterator[Block]:
    gathered: list[str] = []
    items: list[str] = []
    code: list[str] | None = None
    for line in [*lines, ""]:
        if line.lstrip().startswith("```"):
            yield from _end(gathered, items)
            if code is not None:
                yield Block("code", text="\n".join(code))
            code = [] if code is None else None
        elif code is not None:
            code.append(line)
        elif heading := _HEADING.match(line):
            yield from _end(gathered, items)
            yield Block("heading", spans(heading[2]))
        elif item := _ITEM.match(line):
            if gathered:
                yield from _end(gathered, items)
            items.append(item[1])
        elif not line.strip():
            yield from _end(gathered, items)
        elif items:
            items[-1] += " " + line.strip()
        else:
            gathered.append(line.strip())
    if code:
        yield Block("code", text="\n".join(code))


def _end(gathered: list[str], items: list[str]) -> Iterator[Block]:
    if gathered:
        yield Block("paragraph", spans(" ".join(gathered)))
    if items:
        yield Block("list", items=[spans(item) for item in items])
    gathered.clear()
    items.clear()


def spans(text: str) -> list[Span]:
    found: list[Span] = []
    at = 0
    for match in _INLINE.finditer(text):
        if match.start() > at:
            found.append(Span("text", text[at : match.start()]))
        at = match.end()
        if match[1]:
            found.append(Span("code", match[1]))
        elif match[2]:
            found.append(Span("strong", match[2]))
        else:
            found.append(Span("link", match[3], match[4]))
    if at < len(text):
        found.append(Span("text", text[at:]))
    return found
