"""The settings of one part of the other tool: what was read is ticked off, so the rest can be named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from app.flows.mapping.template import LIMIT_TEMPLATE
from app.flows.model import Gap, Mapping
from app.imports.flows.expressions.meaning import Filled, translate
from app.imports.flows.expressions.reader import split_blocks
from app.imports.flows.places import Seen
from app.imports.flows.private import is_private, text_without
from app.imports.flows.report import NotCarried, Report, shortened
from app.imports.flows.values import Joined, Ref, Value, as_text, gap, joined, written

_DEPTH = 30
_MOST_LEAVES = 3_000
_MOST_BLOCKS = 300
_MOST_GAPS = 40  # on one step
_COSMETIC = frozenset(
    ("__rl", "cachedResultName", "cachedResultUrl", "mode", "id", "schema", "attemptToConvertTypes",
     "convertFieldsToString", "matchingColumns", "mappingMode", "displayName", "canBeUsedToMatch",
     "defaultMatch", "display", "removed", "readOnly", "required", "type", "version", "webhookId")
)  # fmt: skip


def leaves(value: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """(`a.b[0].c`, value) for everything that is no table and no list."""
    if depth > _DEPTH:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{place}.{key}" if place else str(key), depth + 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{place}[{index}]", depth + 1)
    else:
        yield place, value


def n8n_source(value: Any) -> str | None:
    """The template behind a value; None where it is plain.  In n8n a `=` in front says so."""
    return value[1:] if isinstance(value, str) and value.startswith("=") else None


def blocks_of(text: str) -> list[str]:
    return [piece[0].strip() for piece in split_blocks(text) if isinstance(piece, tuple)][:_MOST_BLOCKS]


def note_expressions(
    report: Report, part: str, parameters: Any, source: Callable[[Any], str | None] = n8n_source
) -> None:
    """Every expression of a part, so that none can go missing."""
    for number, (place, value) in enumerate(leaves(parameters)):
        if number > _MOST_LEAVES:
            report.leave_out("settings", part, f"It has more than {_MOST_LEAVES:,}; the rest was not read.")
            return
        if (template := source(value)) is not None:
            for index, text in enumerate(blocks_of(template)):
                report.expression(part, place, index, text)


class Settings:
    """Reads by place (`options.timeout`); each reading ticks off all that lies there."""

    def __init__(self, part: str, data: dict[str, Any], seen: Seen, report: Report) -> None:
        self.part = part
        self.data = data
        self.seen = seen
        self.report = report
        self.gaps: list[Gap] = []
        self._taken: set[str] = set()

    # ------------------------------------------------------------------------ the other tool

    def source(self, value: Any) -> str | None:
        return n8n_source(value)

    def meaning(self, text: str) -> Filled:
        return translate(text, self.seen)

    # ----------------------------------------------------------------------------- reading

    def raw(self, place: str, default: Any = None) -> Any:
        """As it stands there; a choice from a list (`{__rl, value}`) is its value."""
        self._taken.add(place)
        found: Any = self.data
        for key in re.findall(r"[^.\[\]]+", place):
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            else:
                return default
        if isinstance(found, dict) and found.get("__rl") and "value" in found:
            return found["value"]
        return default if found is None else found

    def peek(self, place: str, default: Any = None) -> Any:
        taken = set(self._taken)
        found = self.raw(place, default)
        self._taken = taken
        return found

    def text(self, place: str, default: str = "") -> str:
        """A text that has to be known now; an expression that is none is worked out."""
        value = self.raw(place, default)
        if self.source(value) is not None:
            mapping = self.mapping(place)
            if "{{" not in mapping.value:
                return mapping.value
            self.leave_out(f"the setting '{place}'", "It depends on the data there; here it has to be fixed.")
            return default
        return as_text(value) if isinstance(value, str | int | float | bool) else default

    def rows(self, place: str) -> list[dict[str, Any]]:
        """A list of tables, without ticking it off: its fields are read one by one."""
        found = self.peek(place)
        rows = found if isinstance(found, list) else [found] if isinstance(found, dict) else []
        return [row if isinstance(row, dict) else {} for row in rows]

    def flag(self, place: str) -> bool:
        return self.raw(place) in (True, "true", "=true")

    # ---------------------------------------------------------------------------- mappings

    def mapping(self, place: str, default: str = "") -> Mapping:
        """What a field gets; a part that cannot be carried over stands there as a gap."""
        return self.filled(self.raw(place, default), self.place_of(place))

    def place_of(self, place: str) -> str:
        """With `.value` where a choice from a list lies there, as the expression was noted."""
        found = self.peek_raw(place)
        return f"{place}.value" if isinstance(found, dict) and found.get("__rl") else place

    def peek_raw(self, place: str) -> Any:
        found: Any = self.data
        for key in re.findall(r"[^.\[\]]+", place):
            if isinstance(found, dict):
                found = found.get(key)
            elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            else:
                return None
        return found

    def filled(self, value: Any, place: str) -> Mapping:
        if isinstance(value, dict | list):
            self.leave_out(f"the setting '{place}'", "It is a table where a value was expected.")
            return Mapping()
        template = self.source(value)
        if template is None:
            return self._mapping(as_text(value), None)
        parts = list(self.pieces(template, place))
        single = len(parts) == 1
        default = parts[0].default if single else None
        return self._mapping(
            joined([part.value for part in parts]) if not single else parts[0].value, default
        )

    def _mapping(self, value: Value, default: Value) -> Mapping:
        try:
            text = written(value)
            other = "" if default is None else written(default)
        except NotCarried as reason:
            self.leave_out("a value", reason.reason)
            return Mapping()
        if len(text) > LIMIT_TEMPLATE:
            self.leave_out("a text", f"It has {len(text):,} characters, more than a field may hold.")
            return Mapping()
        return Mapping(value=text, when_empty="default", default=other) if other else Mapping(value=text)

    def pieces(self, text: str, place: str) -> Iterator[Filled]:
        """Plain pieces and blocks in turn; several stand-ins in one text are a gap each."""
        found = split_blocks(text)
        number = 0
        for piece in found:
            if isinstance(piece, str):
                yield Filled(piece)
                continue
            yield self.block(piece[0].strip(), place, number, alone=len(found) == 1)
            number += 1

    def block(self, text: str, place: str, number: int, *, alone: bool) -> Filled:
        try:
            filled = self.meaning(text)
            if filled.default is not None and not alone:
                raise NotCarried("It has a stand-in that is data, inside a longer text.")
            written(filled.value)
        except NotCarried as reason:
            self.report.expression_failed(self.part, place, number, reason.reason)
            return Filled(gap(text))
        except RecursionError:
            self.report.expression_failed(self.part, place, number, "It is nested too deeply.")
            return Filled(gap(text))
        self.report.expression_carried(self.part, place, number)
        return filled

    def value(self, place: str) -> Value:
        """A single value, where a function is to follow."""
        value = self.raw(place)
        template = self.source(value)
        if template is None:
            return value if isinstance(value, str | int | float | bool) else ""
        parts = list(self.pieces(template, self.place_of(place)))
        return joined([part.value for part in parts])

    # -------------------------------------------------------------------------------- gaps

    def leave_out(self, what: str, reason: str) -> None:
        """In the report, and on the step until somebody has seen to it."""
        self.report.leave_out(what, self.part, reason)
        found = Gap(what=shortened(what, 160), reason=reason)
        if len(self.gaps) < _MOST_GAPS and found not in self.gaps:
            self.gaps.append(found)
        elif len(self.gaps) == _MOST_GAPS:
            self.gaps.append(Gap(what="more", reason="The report of the import names the rest."))

    def ignore(self, *places: str) -> None:
        """What only says how the other tool's form looks, or is the same here anyway."""
        self._taken.update(places)

    def name_the_rest(self) -> None:
        """Whatever was not read and says something."""
        for number, (place, value) in enumerate(leaves(self.data)):
            if number > _MOST_LEAVES:
                return
            if (
                value in (None, "", False, "=")
                or self._is_taken(place)
                or (place.rpartition(".")[2] in _COSMETIC)
            ):
                continue
            shown = (
                "…" if is_private(place.rpartition(".")[2], as_text(value)) else text_without(as_text(value))
            )
            self.leave_out(f"the setting '{place}' ({shortened(shown, 60)})", _NO_SETTING)

    def _is_taken(self, place: str) -> bool:
        """It, or something it lies in."""
        if place in self._taken:
            return True
        return any(place[:at] in self._taken for at, char in enumerate(place) if char in ".[")


_NO_SETTING = "There is no such setting here."


__all__ = ["Joined", "Ref", "Settings", "blocks_of", "leaves", "n8n_source", "note_expressions"]
