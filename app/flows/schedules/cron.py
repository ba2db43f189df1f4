"""The five fields of cron: Sunday is 0 and 7, names, ranges, steps and lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    first: int = 0  # the number of the first name


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, tuple(name[:3] for name in MONTHS), 1),
    _Field("day of the week", 0, 7, ("sun", *(name[:3] for name in DAYS[:6])), 0),
)


def read_cron(text: str) -> tuple[str, str, str, str, str]:
    """(minute, hour, day, month, weekday names); ValueError says in words what is wrong."""
    parts = text.split()
    if len(parts) != 5:
        raise ValueError(f"cron has five fields (minute, hour, day, month, weekday); this has {len(parts)}")
    minute, hour, day, month = (
        _read(part, field) for part, field in zip(parts[:4], _FIELDS[:4], strict=True)
    )
    weekday = _weekdays(parts[4])
    if day != "*" and weekday != "*":
        raise ValueError(
            "it names days of the month and of the week; cron would take either. "
            "Name one of them, or write `on the first monday of the month at 10:00`"
        )
    _refuse_never(day, month)
    return minute, hour, day, month, weekday


def _read(part: str, field: _Field) -> str:
    if part in ("*", "?", "*/1"):
        return "*"
    if part == "l" and field is _FIELDS[2]:
        return "last"
    if part.startswith("*/") and "," not in part and field.low == 0:
        return f"*/{_step(part[2:], field)}"
    return joined(_numbers(part, field))


def _weekdays(part: str) -> str:
    if part in ("*", "?", "*/1"):
        return "*"
    days = {(number - 1) % 7 for number in _numbers(part, _FIELDS[4])}  # Monday first
    return "*" if len(days) == 7 else ",".join(DAYS[day][:3] for day in sorted(days))


def _numbers(part: str, field: _Field) -> list[int]:
    return sorted({number for piece in part.split(",") for number in _piece(piece, field)})


def _piece(piece: str, field: _Field) -> Iterable[int]:
    span, slash, step_text = piece.partition("/")
    step = _step(step_text, field) if slash else 1
    high = 6 if field.names and not field.first else field.high  # `*` on weekdays: Sunday once
    if span in ("*", "?"):
        return range(field.low, high + 1, step)
    low_text, dash, high_text = span.partition("-")
    low = _number(low_text, field)
    if not dash:
        return range(low, high + 1, step) if slash else [low]
    top = _number(high_text, field)
    if low <= top:
        return range(low, top + 1, step)
    if field.names:  # fri-mon, nov-feb
        size = 7 if not field.first else 12
        return [(number - field.first) % size + field.first for number in range(low, top + size + 1, step)]
    raise ValueError(f"in the {field.name}, '{span}' runs backwards")


def _number(text: str, field: _Field) -> int:
    if text[:3] in field.names and text.isalpha():
        return field.names.index(text[:3]) + field.first
    if not text.isascii() or not text.isdecimal() or len(text) > 3:
        raise ValueError(f"'{text[:20]}' is not a {field.name}")
    number = int(text)
    if not field.low <= number <= field.high:
        raise ValueError(f"{number} is not a {field.name} ({field.low} to {field.high})")
    return number


def _step(text: str, field: _Field) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 3 or not 1 <= int(text) <= field.high:
        raise ValueError(f"'/{text[:20]}' is not a step for the {field.name}")
    return int(text)


def _refuse_never(day: str, month: str) -> None:
    if day in ("*", "last") or month == "*":
        return
    longest = max(_LONGEST_MONTHS[int(number) - 1] for number in month.split(","))
    if min(int(number) for number in day.split(",")) > longest:
        raise ValueError("that date never comes")


def joined(numbers: Iterable[int]) -> str:
    return ",".join(str(number) for number in numbers)
