"""JSONPath: reading a path, finding its values in a document, and writing a path that finds a key.

Plain paths (keys, positions, `[*]`) are walked directly.  Slices, unions, `..` and filters are
handed to jsonpath-ng in a canonical spelling, after what could be slow or evaluate anything
(`=~`, arithmetic, functions, nested queries) has been refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from jsonpath_ng.ext.parser import parse as parse_with_engine

from app.errors import MappingFailed
from app.flows.mapping.jsonpath_reader import EACH, Each, LooseKey, Read, read

LIMIT_RESULTS: Final = 10_000
LIMIT_WORK: Final = 20_000  # values looked at for one `..`, slice, union or filter

Segment = str | int | Each


class Missing:
    """The one value that says "nothing was found", which JSON null is not."""

    _only: Missing | None = None

    def __new__(cls) -> Missing:
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


@dataclass(frozen=True, slots=True)
class JsonPath:
    """`segments` is None where the engine is needed; `many`: a list of matches, not one value."""

    text: str
    segments: tuple[Segment, ...] | None
    many: bool
    engine: Any
    effort: int  # values looked at for each value of the document

    def value(self, document: Any) -> Any:
        """The value of a simple path, the list of matches of another; MISSING if there is none."""
        segments = self.segments
        if self.many:
            return self._matches_or_missing(document)
        value = document
        for segment in segments or ():
            kind = type(value)
            if kind is dict:
                if segment not in value:
                    return MISSING
                value = value[segment]
            elif kind is list:
                value = _item(value, segment)
                if value is MISSING:
                    return MISSING
            else:
                return MISSING
        return value

    def find(self, document: Any) -> list[Any]:
        """Every match; raises MappingFailed beyond the limits."""
        if self.segments is None:
            return self._find_with_engine(document)
        if not self.many:
            value = self.value(document)
            return [] if value is MISSING else [value]
        return _walk_each(self.segments, document, self.text)

    def _matches_or_missing(self, document: Any) -> Any:
        found = self.find(document)
        if found or self.segments is None:
            return found or MISSING
        before = self.segments[: self.segments.index(EACH)]
        values = _walk_each(before, document, self.text)
        return [] if values and values[0] in ([], {}) else MISSING

    def _find_with_engine(self, document: Any) -> list[Any]:
        if count_values(document, LIMIT_WORK // self.effort) is None:
            raise MappingFailed(
                f"The data is too large to search with {self.text}.",
                reference=self.text,
                remedy="Point at the list itself and use a plain path.",
            )
        found = [match.value for match in self.engine.find(document)]
        _refuse_too_many(found, self.text)
        return found


def _item(items: list[Any], segment: Segment) -> Any:
    if isinstance(segment, LooseKey) and segment.isdecimal():
        segment = int(segment)
    if isinstance(segment, int) and -len(items) <= segment < len(items):
        return items[segment]
    return MISSING


def _walk_each(segments: Sequence[Segment], document: Any, text: str) -> list[Any]:
    values = [document]
    for segment in segments:
        values = list(_step(values, segment))
        _refuse_too_many(values, text)
    return values


def _step(values: list[Any], segment: Segment) -> Iterator[Any]:
    for value in values:
        if isinstance(value, dict):
            if segment is EACH:
                yield from value.values()
            elif segment in value:
                yield value[segment]
        elif isinstance(value, list):
            if segment is EACH:
                yield from value
            elif (item := _item(value, segment)) is not MISSING:
                yield item


def _refuse_too_many(values: list[Any], text: str) -> None:
    if len(values) > LIMIT_RESULTS:
        raise MappingFailed(
            f"{text} finds more than {LIMIT_RESULTS:,} values, which is more than one field can take.",
            reference=text,
            remedy="Use a 'For each' step over the list itself.",
        )


def count_values(document: Any, limit: int) -> int | None:
    """How many values a document holds, itself included; None if more than `limit`."""
    count, waiting = 1, [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            count += len(value)
            if count > limit:
                return None
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return count


@lru_cache(maxsize=4096)
def parse_path(text: str) -> JsonPath:
    """Raises MappingFailed that names what is wrong with the path."""
    parsed: Read = read(text)
    if parsed.plain is not None:
        return JsonPath(text, parsed.plain, EACH in parsed.plain, None, 1)
    return JsonPath(text, None, True, _engine(text, parsed.canonical), parsed.effort)


def _engine(text: str, canonical: str) -> Any:
    try:
        return parse_with_engine(canonical)
    except Exception as error:
        raise MappingFailed(f"'{text}' is not a path that can be read.", reference=text) from error


def find(path: str, document: Any) -> list[Any]:
    """Every value the path finds."""
    return parse_path(path).find(document)


def first(path: str, document: Any, default: Any = None) -> Any:
    """The first value the path finds."""
    found = parse_path(path).find(document)
    return found[0] if found else default


def quoted_path(keys: Sequence[str | int | Each]) -> str:
    """`["customer", 0, "email"]` -> `$['customer'][0]['email']`, whatever the keys hold."""
    return "$" + "".join(_segment_text(key) for key in keys)


def _segment_text(key: str | int | Each) -> str:
    if isinstance(key, Each):
        return "[*]"
    if isinstance(key, int):
        return f"[{key}]"
    escaped = json.dumps(key, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'")
    return f"['{escaped}']"


def in_words(path: JsonPath) -> str:
    """`$['customer']['phone']` -> `customer → phone`, for sentences."""
    if path.segments is None:
        return path.text
    words: list[str] = []
    for segment in path.segments:
        if isinstance(segment, Each):
            words.append("each")
        elif isinstance(segment, int):
            words.append(
                f"no. {segment + 1}" if segment >= 0 else "the last" if segment == -1 else str(segment)
            )
        else:
            words.append(segment)
    return " → ".join(words) or "the whole data"
