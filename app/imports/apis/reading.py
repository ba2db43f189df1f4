"""Foreign bytes as a document: JSON or YAML, bounded in size, depth and what its anchors may unfold to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson
import yaml

from app.catalog.yaml_text import WORDS, Plain, no_yaml
from app.errors import ConnectorInvalid

MOST_BYTES = 16 * 1024 * 1024
_DEEPEST = 200
_MOST_PARTS = 3_000_000
_PLAIN = Plain(
    {**WORDS, "True": True, "False": False, "TRUE": True, "FALSE": False, "Null": None, "NULL": None},
    integer=re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})"),
    decimal=re.compile(r"[-+]?[0-9]{1,17}\.[0-9]{1,17}(?:[eE][-+]?[0-9]{1,3})?"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


def read_document(content: bytes, file: str) -> Any:
    """Raises ConnectorInvalid that says what is wrong, and where."""
    if len(content) > MOST_BYTES:
        raise ConnectorInvalid(f"it is larger than {MOST_BYTES // 1_048_576} MB.", file=file)
    text = _text(content, file)
    if not text.strip():
        raise ConnectorInvalid("it is empty.", file=file)
    if text.lstrip()[:1] in "{[":
        found = _json(text, file)
        if found is not None:
            return found
    return _yaml(text, file)


def _text(content: bytes, file: str) -> str:
    """UTF-8, or UTF-16 where its mark says so."""
    coding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(coding)
    except UnicodeDecodeError as reason:
        raise ConnectorInvalid(
            f"it is not a text file: byte {reason.start:,} fits no character.",
            file=file,
            remedy="Save it as JSON or YAML in UTF-8.",
        ) from reason


def _json(text: str, file: str) -> Any:
    """None when it may be YAML after all.  Control characters inside texts are taken as they are."""
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError):
        pass
    try:
        return json.loads(text, strict=False)
    except RecursionError as reason:
        raise ConnectorInvalid("it is nested too deeply to be read.", file=file) from reason
    except ValueError as reason:
        if text.lstrip()[0] == "{" and re.match(r'\s*\{\s*"', text):
            raise ConnectorInvalid(f"it is not JSON: {reason}.", file=file) from reason
        return None


def _yaml(text: str, file: str) -> Any:
    text = _CONTROL.sub(" ", text)
    try:
        return _Builder(file).build(yaml.parse(text, yaml.CSafeLoader))
    except yaml.MarkedYAMLError as reason:
        raise no_yaml(reason, file) from reason
    except (yaml.YAMLError, ValueError, RecursionError) as reason:
        raise ConnectorInvalid(f"it cannot be read as YAML: {str(reason)[:200]}.", file=file) from reason


class _Open:
    """A table or list that is being read."""

    __slots__ = ("anchor", "key", "merges", "parts", "value")

    def __init__(self, value: Any, anchor: str | None) -> None:
        self.value = value
        self.anchor = anchor
        self.key: str | None = None
        self.parts = 1
        self.merges: list[Any] = []


class _Builder:
    """Straight from the parser's events: dates, `on` and `no` stay texts, an alias points to what it
    names, and what all aliases together would unfold to is counted."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._stack = [_Open([], None)]
        self._anchors: dict[str, tuple[Any, int]] = {}

    def build(self, events: Iterator[Any]) -> Any:
        documents = 0
        for event in events:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                value = _PLAIN.value(event)
                self._take(value, event, 1)
                if event.anchor is not None:
                    self._anchors[event.anchor] = (value, 1)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._open(event, {} if kind is yaml.MappingStartEvent else [])
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                done = self._stack.pop()
                for table in reversed(done.merges):
                    done.value = {**table, **done.value}
                if done.anchor is not None:
                    self._anchors[done.anchor] = (done.value, done.parts)
                self._take(done.value, event, done.parts)
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    break  # the first document is the API; what follows is something else
        first: list[Any] = self._stack[0].value
        return first[0] if first else None

    def _open(self, event: Any, value: Any) -> None:
        if len(self._stack) > _DEEPEST:
            raise self._wrong(event, "it is nested too deeply to be read.")
        if isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None:
            raise self._wrong(event, "a name has to be a plain text.")
        self._stack.append(_Open(value, event.anchor))

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise self._wrong(event, f"*{event.anchor} names nothing that stands before it.")
        value, parts = self._anchors[event.anchor]
        self._take(value, event, parts)

    def _take(self, value: Any, event: Any, parts: int) -> None:
        top = self._stack[-1]
        top.parts += parts
        if top.parts > _MOST_PARTS:
            raise self._wrong(event, "its anchors unfold to more than can be read.")
        if isinstance(top.value, list):
            top.value.append(value)
        elif top.key is None:
            top.key = _name(value, event)
        elif top.key == "<<" and isinstance(value, dict | list):
            tables = value if isinstance(value, list) else [value]
            top.merges += [one for one in tables if isinstance(one, dict)]
            top.key = None
        else:
            top.value[top.key] = value
            top.key = None

    def _wrong(self, event: Any, sentence: str) -> ConnectorInvalid:
        return ConnectorInvalid(sentence, file=self._file, field=f"line {event.start_mark.line + 1}")


def _name(value: Any, event: Any) -> str:
    """A status such as 200 is a name too, and so is `on`."""
    if isinstance(event, yaml.ScalarEvent):
        return str(event.value)
    return value if isinstance(value, str) else str(value)[:80]
