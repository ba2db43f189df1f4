"""Dates in expressions: now, today, shifted, written in a form; Luxon's letters as our codes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from app.flows.mapping.functions.function import zone_named
from app.imports.flows.report import NotCarried
from app.imports.flows.values import Joined, Ref, Value

_UNITS = ("minutes", "hours", "days", "weeks", "months", "years")
_LETTERS = {
    "yyyy": "%Y", "yy": "%y", "y": "%Y", "YYYY": "%Y", "YY": "%y",
    "LLLL": "%B", "LLL": "%b", "LL": "%m", "L": "%-m", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%-m",
    "dd": "%d", "d": "%-d", "DD": "%d", "D": "%-d", "ooo": "%j",
    "EEEE": "%A", "EEE": "%a", "cccc": "%A", "ccc": "%a", "E": "%u", "c": "%u", "dddd": "%A", "ddd": "%a",
    "HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I", "mm": "%M", "ss": "%S",
    "a": "%p", "A": "%p", "ZZZ": "%z", "X": "%s", "x": "%s000", "WW": "%V", "kkkk": "%G",
}  # fmt: skip
_RUN = re.compile(r"'([^']*)'|\[([^\]]*)\]|([A-Za-z])\3*|[^A-Za-z'\[]+", re.DOTALL)
_PARTS = {
    "year": "%Y", "month": "%-m", "day": "%-d", "hour": "%-H", "minute": "%M", "second": "%S",
    "weekday": "%u", "weekNumber": "%V", "ordinal": "%j",
}  # fmt: skip
_WORDS = {"weekdayLong": "%A", "weekdayShort": "%a", "monthLong": "%B", "monthShort": "%b"}
_JS_PARTS = {
    "getFullYear": "year", "getDate": "day", "getHours": "hour", "getMinutes": "minute",
    "getSeconds": "second",
}  # fmt: skip
METHODS = frozenset(
    ("plus", "minus", "format", "toFormat", "toISODate", "setZone", "startOf", "toSeconds", "toUnixInteger",
     "toUTC", "toLocal", "beginningOf", "toISOTime", *_JS_PARTS)
)  # fmt: skip
_STARTS = {"day": "%Y-%m-%d", "month": "%Y-%m-01", "year": "%Y-01-01", "hour": "%Y-%m-%dT%H:00:00%z"}


@dataclass(frozen=True, slots=True)
class Moment:
    """`pattern`: how it is written when nothing else is said; '' = in full."""

    ref: Ref
    zone: str = ""
    pattern: str = ""

    def as_value(self) -> Value:
        if self.pattern:
            return self._as(self.pattern)
        return self.ref if not self.zone else self.ref.through("iso_date", self.zone)

    def _as(self, pattern: str) -> Ref:
        return self.ref.through("date", pattern, *((self.zone,) if self.zone else ()))

    def part(self, name: str) -> Value:
        if name in _PARTS:
            return self._as(_PARTS[name]).through("number")
        if name in _WORDS:
            return self._as(_WORDS[name])
        raise NotCarried(f"'{name[:40]}' of a date is not known here.")

    def method(self, name: str, args: list[Any]) -> Any:
        if name in ("plus", "minus"):
            return self.shifted(args, -1 if name == "minus" else 1)
        if name in ("format", "toFormat"):
            return self._as(pattern_of(_text(args)))
        if name in ("startOf", "beginningOf"):
            return self.start_of(_text(args))
        if name == "setZone":
            return self.in_zone(_text(args))
        if name in ("toUTC", "toLocal", "toJSDate", "toDateTime"):
            return replace(self, zone="UTC" if name == "toUTC" else self.zone)
        if name in _JS_PARTS:
            return self.part(_JS_PARTS[name])
        return self.written(name)

    def written(self, name: str) -> Value:
        match name:
            case "toISO" | "toISOString" | "toJSON":
                base = self._as(self.pattern) if self.pattern else self.ref
                return base.through("iso_date", *((self.zone,) if self.zone else ()))
            case "toString":
                return self.as_value()
            case "toISODate":
                return self._as("iso")
            case "toISOTime":
                return self._as("%H:%M:%S")
            case "toMillis" | "getTime" | "valueOf":
                return self.ref.through("timestamp", "milliseconds")
            case "toSeconds" | "toUnixInteger":
                return self.ref.through("timestamp", "seconds")
        raise NotCarried(f"There is no function like '{name[:40]}' for dates here.")

    def shifted(self, args: list[Any], sign: int) -> Moment:
        amounts = args[0] if args and isinstance(args[0], dict) else {}
        if len(args) == 2:
            amounts = {str(args[1]): args[0]}
        elif len(args) == 1 and not amounts:
            amounts = {"milliseconds": args[0]}
        ref = self.ref if not self.pattern else self._as(self.pattern)
        for unit, amount in amounts.items():
            ref = ref.through("add_time", *_amount(str(unit), amount, sign))
        if not amounts:
            raise NotCarried("It shifts a date by nothing that is known.")
        return replace(self, ref=ref)

    def start_of(self, unit: str) -> Moment:
        unit = unit.lower().removesuffix("s")
        if unit not in _STARTS:
            raise NotCarried(f"The start of a {unit[:20]} is not known here.")
        return replace(self, pattern=_STARTS[unit])

    def in_zone(self, zone: str) -> Moment:
        if zone.lower() in ("utc", "local", "system"):
            zone = "UTC" if zone.lower() == "utc" else ""
        elif not zone_named(zone):
            raise NotCarried(f"There is no time zone '{zone[:40]}'.")
        return replace(self, zone=zone)


def _amount(unit: str, amount: Any, sign: int) -> tuple[str, str]:
    if isinstance(amount, Ref | Joined) or not isinstance(amount, int | float | str):
        raise NotCarried("How far it shifts a date depends on the data.")
    try:
        number = float(amount) * sign
    except ValueError:
        raise NotCarried("It shifts a date by something that is not a number.") from None
    unit = unit.lower().rstrip("s") + "s"
    if unit in ("seconds", "milliseconds", "quarters"):
        size = {"seconds": 60.0, "milliseconds": 60_000.0, "quarters": 1 / 3}[unit]
        number, unit = number / size, "months" if unit == "quarters" else "minutes"
    if unit not in _UNITS:
        raise NotCarried(f"It shifts a date by '{unit[:20]}'.")
    return (str(int(number)) if number.is_integer() else str(round(number, 6))), unit


def _text(args: list[Any]) -> str:
    if not args or not isinstance(args[0], str):
        raise NotCarried("How it writes a date depends on the data.")
    return args[0]


def pattern_of(text: str) -> str:
    """`yyyy-MM-dd HH:mm` -> `%Y-%m-%d %H:%M`."""
    out = ""
    for match in _RUN.finditer(text[:200]):
        run = match.group()
        if match.group(1) is not None or match.group(2) is not None:
            out += (match.group(1) or match.group(2) or "").replace("%", "%%")
        elif match.group(3):
            if run == "T":
                out += "T"
            elif run not in _LETTERS:
                raise NotCarried(f"'{run[:12]}' in the form of a date is not known here.")
            else:
                out += _LETTERS[run]
        else:
            out += run.replace("%", "%%")
    return out


def from_value(value: Value) -> Moment:
    if isinstance(value, Ref):
        return Moment(value)
    if isinstance(value, str) and value:
        from_text = Ref("run", ("nothing",)).through("default", value)
        return Moment(from_text)
    raise NotCarried("It makes a date out of something that is none.")


NOW = Moment(Ref("run", ("started_at",)))
TODAY = Moment(Ref("run", ("started_at",)), pattern="%Y-%m-%d")
