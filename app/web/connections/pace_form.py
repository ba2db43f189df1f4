"""The form for the numbers somebody sets for a connection: read, checked, shown again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.calls.connections.pace import LONGEST_PER_S, MOST_AT_ONCE, MOST_CALLS, MOST_OWN, Pace, write_pace
from app.catalog.format.definition import Limit
from app.web.connections.pace_words import UNITS, limit_words, per_words

_SPARE = 2  # empty rows to fill in
_STOPS = "0 would let nothing through. To stop it for a while, hold the connection."


@dataclass
class Number:
    """One number of the form, as it was typed."""

    name: str
    label: str
    value: str = ""
    usual: str = ""
    problem: str = ""


@dataclass
class Row:
    """A further window: so many calls in so long."""

    at: int
    number: Number
    per: str = "1"
    units: Sequence[tuple[str, str]] = UNITS


@dataclass
class PaceForm:
    at_once: Number
    changed: list[Number] = field(default_factory=list)
    own: list[Row] = field(default_factory=list)
    pace: Any = None  # what is to be kept

    @property
    def problems(self) -> list[str]:
        numbers = [self.at_once, *self.changed, *(row.number for row in self.own)]
        return [f"{one.label}: {one.problem}" for one in numbers if one.problem]


def show(pace: Pace, limits: Sequence[Limit], usual_at_once: int, kept: Any) -> PaceForm:
    """As it is set now."""
    set_at_once = kept.get("at_once") if isinstance(kept, dict) else None
    values = {"at_once": str(set_at_once or "")}
    values |= {f"limit.{key}": str(number) for key, number in pace.changed.items()}
    for at, limit in enumerate(pace.own):
        values |= {f"own.{at}": str(limit.requests), f"per.{at}": f"{limit.per:g}"}
    return _form(values, limits, usual_at_once, len(pace.own))


def read(values: Mapping[str, str], limits: Sequence[Limit], usual_at_once: int) -> PaceForm:
    """As it was filled in; `pace` is what to keep where there is no problem."""
    form = _form(values, limits, usual_at_once, MOST_OWN)
    at_once = _number(form.at_once, MOST_AT_ONCE)
    changed = {one.name.partition(".")[2]: _number(one, MOST_CALLS) for one in form.changed}
    own: list[tuple[int, float]] = []
    for row in form.own:
        number, per = _number(row.number, MOST_CALLS), _per(row.per)
        if number and per is None:
            row.number.problem = "Choose in how long."
        elif number and any(per == other for _, other in own):
            row.number.problem = f"There are two numbers {per_words(per or 0)}. Keep the smaller one."
        elif number and per is not None:
            own.append((number, per))
    form.own = [row for row in form.own if row.number.value or row.at < _SPARE]
    kept = {key: number for key, number in changed.items() if number}
    if not form.problems:
        form.pace = write_pace(at_once, kept, own)
    return form


def _form(values: Mapping[str, str], limits: Sequence[Limit], usual_at_once: int, rows: int) -> PaceForm:
    def text(name: str) -> str:
        return values.get(name, "").strip()[:30]

    at_once = Number("at_once", "Calls at once", text("at_once"), str(usual_at_once))
    changed = [
        Number(f"limit.{one.key}", limit_label(one), text(f"limit.{one.key}"), str(one.requests))
        for one in limits
    ]
    own = []
    for at in range(min(MOST_OWN, rows + _SPARE)):
        per = text(f"per.{at}") or "1"
        known = any(value == per for value, _ in UNITS)
        units = UNITS if known or _per(per) is None else (*UNITS, (per, per_words(float(per))))
        own.append(Row(at, Number(f"own.{at}", f"Own limit {at + 1}", text(f"own.{at}")), per, units))
    return PaceForm(at_once, changed, own)


def limit_label(limit: Limit) -> str:
    name = limit.key.replace("_", " ").capitalize()
    return f"{name} ({limit_words(limit)})"


def _number(one: Number, most: int) -> int | None:
    """None where nothing, or nothing sensible, was entered; then `problem` says what."""
    digits = one.value.replace(",", "").replace(" ", "").replace("\u202f", "")
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit()):
        one.problem = f"“{one.value}” is not a whole number."
        return None
    if len(digits) > 12 or int(digits) > most:
        one.problem = f"At most {most:,} can be entered."
        return None
    if int(digits) == 0:
        one.problem = _STOPS
        return None
    return int(digits)


def _per(text: str) -> float | None:
    try:
        per = float(text)
    except ValueError:
        return None
    return per if 1 <= per <= LONGEST_PER_S else None
