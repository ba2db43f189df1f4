"""YAML without its traps: no dates, no yes/no, no octal or base-60 numbers, no key given twice, no
anchors, no tags, nothing nested without end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from app.errors import ConnectorInvalid

MOST_BYTES = 256 * 1024
_DEEPEST = 40
WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True)
class Plain:
    """What a value without quotes is: one of these words, a number that looks so, else a text."""

    words: Mapping[str, Any]
    integer: re.Pattern[str]
    decimal: re.Pattern[str]

    def value(self, event: Any) -> Any:
        text: str = event.value
        if not event.implicit[0]:  # quoted, or a block of text
            return text
        if text in self.words:
            return self.words[text]
        if self.integer.fullmatch(text):
            return int(text)
        return float(text) if self.decimal.fullmatch(text) else text


_PLAIN = Plain(
    WORDS,
    integer=re.compile(r"-?(?:0|[1-9][0-9]{0,17})"),
    decimal=re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,17}"),
)


class Trap(Exception):
    """`line` counts from 1."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.sentence = sentence


def read_yaml(text: str, file: str) -> Any:
    """Raises ConnectorInvalid that names the file, the line and what is wrong there."""
    if len(text.encode("utf-8", "replace")) > MOST_BYTES:
        raise ConnectorInvalid(f"the file is larger than {MOST_BYTES // 1024} KB.", file=file)
    try:
        return _build(yaml.parse(text, yaml.CSafeLoader))
    except Trap as trap:
        raise ConnectorInvalid(trap.sentence, file=file, field=f"line {trap.line}") from trap
    except yaml.MarkedYAMLError as reason:
        raise no_yaml(reason, file) from reason
    except (yaml.YAMLError, ValueError) as reason:
        raise ConnectorInvalid(f"this cannot be read as YAML: {str(reason)[:200]}.", file=file) from reason


def no_yaml(reason: yaml.MarkedYAMLError, file: str) -> ConnectorInvalid:
    """What the parser complains of, at the line that it marks."""
    mark = reason.problem_mark or reason.context_mark
    place = f"line {mark.line + 1}" if mark is not None else ""
    words = reason.problem or reason.context or "this is not YAML"
    return ConnectorInvalid(f"{words}.", file=file, field=place)


class _Open:
    """A table or list that is being read; `key` is the name that waits for its value."""

    __slots__ = ("key", "value")

    def __init__(self, value: dict[str, Any] | list[Any]) -> None:
        self.value = value
        self.key: str | None = None

    def take(self, value: Any, event: Any, *, is_text: bool) -> None:
        if isinstance(self.value, list):
            self.value.append(value)
        elif self.key is not None:
            self.value[self.key] = value
            self.key = None
        else:
            if not is_text:
                raise Trap(_line(event), "a name has to be a plain text.")
            self.key = event.value
            if self.key in self.value:
                raise Trap(_line(event), f"'{self.key}' is given twice.")


def _build(events: Iterator[Any]) -> Any:
    """Straight from the parser's events: PyYAML's own composer dies of deep nesting."""
    stack: list[_Open] = [_Open([])]
    documents = 0
    for event in events:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            _refuse_special(event)
            stack[-1].take(_PLAIN.value(event), event, is_text=True)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            _refuse_special(event)
            if len(stack) > _DEEPEST:
                raise Trap(_line(event), "this is nested too deeply.")
            inner: dict[str, Any] | list[Any] = {} if kind is yaml.MappingStartEvent else []
            stack[-1].take(inner, event, is_text=False)
            stack.append(_Open(inner))
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            stack.pop()
        elif kind is yaml.AliasEvent:
            _refuse_special(event)
        elif kind is yaml.DocumentStartEvent:
            documents += 1
            if documents > 1:
                raise Trap(_line(event), "a second document begins here; one file holds one.")
    return stack[0].value[0] if stack[0].value else None  # type: ignore[index]


def _refuse_special(event: Any) -> None:
    if event.anchor is not None:
        raise Trap(_line(event), "anchors and aliases (& and *) are not read here; write the value out.")
    if event.tag is not None:
        raise Trap(_line(event), f"the tag {event.tag} is not read here; write the plain value.")


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
