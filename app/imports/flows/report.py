"""What came along and what did not: nothing is dropped without a line here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MOST_LINES = 5_000
_LONGEST = 300


def shortened(text: str, longest: int = _LONGEST) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


class NotCarried(Exception):
    """An expression (or setting) that has no counterpart here; the reason is a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class LeftOut:
    what: str
    where: str
    reason: str

    def as_json(self) -> dict[str, str]:
        return {"what": self.what, "where": self.where, "reason": self.reason}


@dataclass(slots=True)
class _Expression:
    text: str
    where: str
    carried: bool = False
    reason: str = ""


@dataclass
class Report:
    """Parts and expressions are counted by their place, however often a draft repeats them."""

    parts: dict[str, bool] = field(default_factory=dict)  # name -> carried
    left_out: dict[LeftOut, None] = field(default_factory=dict)  # in order, each once
    _expressions: dict[tuple[str, str, int], _Expression] = field(default_factory=dict)

    # ---------------------------------------------------------------------------------- telling

    def part(self, name: str) -> None:
        self.parts.setdefault(name, False)

    def carried(self, name: str) -> None:
        self.parts[name] = True

    def leave_out(self, what: str, where: str, reason: str) -> None:
        if len(self.left_out) < MOST_LINES:
            self.left_out[LeftOut(shortened(what), shortened(where, 200), reason)] = None

    def expression(self, part: str, place: str, number: int, text: str) -> None:
        where = f"{part}, {place}" if place else part
        self._expressions.setdefault((part, place, number), _Expression(text, where))

    def expression_carried(self, part: str, place: str, number: int) -> None:
        if found := self._expressions.get((part, place, number)):
            found.carried = True

    def expression_failed(self, part: str, place: str, number: int, reason: str) -> None:
        if found := self._expressions.get((part, place, number)):
            found.reason = reason

    def add(self, other: Report, prefix: str) -> None:
        """The report of one of several flows in a file."""
        self.parts.update({prefix + name: carried for name, carried in other.parts.items()})
        self.left_out.update(
            {LeftOut(one.what, prefix + one.where, one.reason): None for one in other.left_out}
        )
        for (part, place, number), one in other._expressions.items():
            one.where = prefix + one.where
            self._expressions[prefix + part, place, number] = one

    # ----------------------------------------------------------------------------------- asking

    @property
    def lines(self) -> list[LeftOut]:
        lost = [
            LeftOut(shortened(one.text), shortened(one.where, 200), one.reason or _UNUSED)
            for one in self._expressions.values()
            if one.reason or not one.carried
        ]
        return [*self.left_out, *lost[:MOST_LINES]]

    def as_json(self) -> dict[str, Any]:
        expressions = self._expressions.values()
        return {
            "nodes": len(self.parts),
            "carried": sum(self.parts.values()),
            "expressions": len(expressions),
            "carried_expressions": sum(one.carried and not one.reason for one in expressions),
            "left_out": [line.as_json() for line in self.lines],
        }


_UNUSED = "It stands in a setting that has no counterpart here."
