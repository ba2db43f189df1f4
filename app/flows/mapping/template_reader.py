"""Takes the text of a template apart: plain text, and references with their functions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from app.errors import MappingFailed

_BODY = re.compile(r"(?:[^'\"{}]|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\}(?!\}))*", re.DOTALL)
_ROOT = re.compile(r"\s*(?:([a-z][a-z0-9_]{0,47})\s*(?::|(?=\||$)))?\s*")
_FUNCTION = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]{0,40})\s*")
_ARGUMENT = re.compile(
    r"\s*(?:\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'|([^\s\"',:|][^\"',:|]*))\s*", re.DOTALL
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MOST_REFERENCES = 1000
_MOST_FUNCTIONS = 20
_LONGEST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Raw:
    """A reference as written: '' is the root of a short `{{$.x}}`."""

    text: str
    root: str
    path: str
    functions: tuple[tuple[str, tuple[str, ...]], ...]


def read_template(text: str) -> Iterator[str | Raw]:
    """Text and references in turn; neighbouring pieces of text come as one."""
    waiting: list[str] = []
    at = count = 0
    while (found := text.find("{{", at)) >= 0:
        before = text[at:found]
        plain = before.rstrip("\\")
        slashes = len(before) - len(plain)
        waiting.append(plain + "\\" * (slashes // 2))
        at = found + 2
        if slashes % 2:
            waiting.append("{{")
            continue
        yield from _joined(waiting)
        waiting.clear()
        body, at = _body(text, at)
        count += 1
        if count > _MOST_REFERENCES:
            raise MappingFailed(f"A field may hold {_MOST_REFERENCES} references; this one has more.")
        yield _raw(body)
    waiting.append(text[at:])
    yield from _joined(waiting)


def _joined(waiting: list[str]) -> Iterator[str]:
    if joined := "".join(waiting):
        yield joined


def _body(text: str, at: int) -> tuple[str, int]:
    match = _BODY.match(text, at)
    end = match.end() if match else at
    if not text.startswith("}}", end):
        part = text[at - 2 : at + 40]
        if text[end : end + 1] in ("'", '"'):
            _refuse(part, "a quote in it is not closed")
        _refuse(part, "the closing }} is missing")
    return text[at:end], end + 2


def _refuse(part: str, reason: str) -> NoReturn:
    part = part if len(part) <= _LONGEST_SHOWN else part[:_LONGEST_SHOWN] + "…"
    raise MappingFailed(
        f"'{part}' cannot be read: {reason}.",
        reference=part,
        remedy="Write a reference like {{$.email}}, or \\{{ where two braces are meant as text.",
    )


def _raw(body: str) -> Raw:
    shown = "{{" + body + "}}"
    root = _ROOT.match(body)
    at = root.end() if root else 0
    name = (root.group(1) or "") if root else ""
    end = _end_of_path(body, at)
    path = body[at:end].strip()
    if not path:
        if not name:
            _refuse(shown, "there is nothing between the braces")
        path = "$"
    if not path.startswith("$"):
        _refuse(shown, f"a path begins with $, such as {{{{$.{path.split()[0][:40]}}}}}")
    return Raw(body.strip(), name, path, tuple(_functions(body, end, shown)))


def _end_of_path(body: str, at: int) -> int:
    """The `|` before the functions: one that is neither in brackets nor in quotes."""
    depth, quote = 0, ""
    while at < len(body):
        char = body[at]
        if quote:
            if char == "\\":
                at += 1
            elif char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char in "[]":
            depth += 1 if char == "[" else -1
        elif char == "|" and depth <= 0:
            return at
        at += 1
    return len(body)


def _functions(body: str, at: int, shown: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    count = 0
    while at < len(body):
        match = _FUNCTION.match(body, at + 1)
        count += 1
        if not match:
            _refuse(shown, "after | the name of a function has to follow")
        if count > _MOST_FUNCTIONS:
            _refuse(shown, f"it has more than {_MOST_FUNCTIONS} functions")
        args, at = _arguments(body, match.end(), shown)
        yield match.group(1), args


def _arguments(body: str, at: int, shown: str) -> tuple[tuple[str, ...], int]:
    """`:"a","b"`; `:"a":"b"` means the same."""
    args: list[str] = []
    while body[at : at + 1] in (":", ",") and (args or body[at] == ":"):
        match = _ARGUMENT.match(body, at + 1)
        if not match:
            _refuse(shown, "after : a value in quotes has to follow")
        double, single, bare = match.groups()
        args.append(bare.strip() if bare is not None else _plain(single if double is None else double))
        at = match.end()
    if at < len(body) and body[at] != "|":
        _refuse(shown, f"'{body[at : at + 20]}' is not expected there")
    return tuple(args), at


def _plain(quoted: str) -> str:
    known = {"n": "\n", "t": "\t"}
    return _ESCAPE.sub(lambda match: known.get(match.group(1), match.group(1)), quoted)
