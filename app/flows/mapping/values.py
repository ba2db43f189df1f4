"""Reading JSON values as text, as numbers, as moments and as yes or no."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from app.errors import MappingFailed
from app.flows.mapping.jsonpath import MISSING

LIMIT_TEXT: Final = 2_000_000

TRUE_WORDS = frozenset({"true", "yes", "y", "1", "on"})
FALSE_WORDS = frozenset({"false", "no", "n", "0", "off"})


def is_empty(value: Any) -> bool:
    """Nothing, null, a blank text, an empty list or object; 0 and false are not empty."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or value is MISSING or value == [] or value == {}


def as_text(value: Any) -> str:
    """Numbers and true/false as JSON writes them, lists joined by ", ", objects as JSON."""
    if isinstance(value, str):
        return value
    if value is None or value is MISSING:
        return ""
    if isinstance(value, list):
        if all(not isinstance(item, list | dict) for item in value):
            return ", ".join(as_text(item) for item in value)
        return ", ".join(as_json(item) if isinstance(item, list | dict) else as_text(item) for item in value)
    return as_json(value)


def as_json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise MappingFailed(
            "The value cannot be written as text: it is nested too deeply or too big."
        ) from error


# ------------------------------------------------------------------------------------- numbers

_NUMBER = re.compile(r"[+-]?(?:\d{1,300}(?:\.\d{0,300})?|\.\d{1,300})(?:[eE][+-]?\d{1,2})?")


def as_number(value: Any) -> Decimal | None:
    """A JSON number, or a text that is nothing but one; true and false are no numbers."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value) if -(10**300) < value < 10**300 else None
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else None
    if isinstance(value, str) and len(value) <= 400 and _NUMBER.fullmatch(text := value.strip()):
        return Decimal(text)
    return None


def json_number(number: Decimal) -> int | float:
    """The number as JSON would hold it: whole numbers without a fraction."""
    return int(number) if number == number.to_integral_value() else float(number)


def as_flag(value: Any) -> bool | None:
    """True or false, also spelled yes/no, on/off, 1/0; anything else is None."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in TRUE_WORDS else False if word in FALSE_WORDS else None
    return None


# ------------------------------------------------------------------------------------- moments

_MONTHS = {
    "jan": 1,
    "feb": 2,
    "mar": 3,
    "apr": 4,
    "may": 5,
    "jun": 6,
    "jul": 7,
    "aug": 8,
    "sep": 9,
    "oct": 10,
    "nov": 11,
    "dec": 12,
}
_TIME = (
    r"(?:(?:\s*,\s*|[T\s]+)(?:at\s+)?(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.\d{1,9})?)?"
    r"\s*(?P<half>[aApP]\.?[mM]\.?)?\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?)?"
)
_FORMS = [
    re.compile(form + _TIME)
    for form in (
        r"(?P<year>\d{4})[/.-](?P<month>\d{1,2})[/.-](?P<day>\d{1,2})",
        r"(?P<day>\d{1,2})[.-](?P<month>\d{1,2})[.-](?P<year>\d{4})",
        r"(?P<slash1>\d{1,2})/(?P<slash2>\d{1,2})/(?P<year>\d{4})",
        r"(?:[A-Za-z]{3,9},?\s+)?(?P<day>\d{1,2})(?:st|nd|rd|th)?[\s.-]+(?P<name>[A-Za-z]{3,9})\.?[\s,.-]+(?P<year>\d{4})",
        r"(?:[A-Za-z]{3,9},?\s+)?(?P<name>[A-Za-z]{3,9})\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year>\d{4})",
    )
]
_EPOCH = re.compile(r"-?\d{9,10}(?:\.\d{1,9})?|\d{12,13}|\d{15,16}")


def as_moment(value: Any, zone: ZoneInfo | None = None) -> datetime | None:
    """ISO 8601, epoch seconds or milliseconds, mail dates, `18.11.2026`, `11/18/2026` (month first
    unless that cannot be), `18 Nov 2026`, `Nov 18, 2026`, each with a time or without; aware.
    What names no zone of its own is in `zone`, or else in UTC."""
    try:
        moment = _read_moment(value)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    if moment is None:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone or UTC)


def _read_moment(value: Any) -> datetime | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _from_epoch(float(value)) if abs(value) >= 1e8 else None
    if not isinstance(value, str) or not 6 <= len(value) <= 80:
        return None
    text = value.strip()
    if _EPOCH.fullmatch(text):
        return _from_epoch(float(text))
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for form in _FORMS:
        if match := form.fullmatch(text):
            return _from_match(match.groupdict())
    return parsedate_to_datetime(text)


def _from_epoch(seconds: float) -> datetime:
    if not math.isfinite(seconds):
        raise ValueError("no moment")
    while abs(seconds) >= 1e11:
        seconds /= 1000
    return datetime.fromtimestamp(seconds, UTC)


def _from_match(found: dict[str, str | None]) -> datetime:
    month, day = _month_and_day(found)
    hour, minute, second = (int(found[part] or 0) for part in ("hour", "minute", "second"))
    if half := (found["half"] or "").lower():
        if not 1 <= hour <= 12:
            raise ValueError("no such hour")
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    return datetime(int(found["year"] or 0), month, day, hour, minute, second, tzinfo=_zone(found["zone"]))


def _month_and_day(found: dict[str, str | None]) -> tuple[int, int]:
    if slash := found.get("slash1"):
        first, second = int(slash), int(found["slash2"] or 0)
        return (second, first) if first > 12 else (first, second)
    if name := found.get("name"):
        month = _MONTHS.get(name[:3].lower(), 0)
    else:
        month = int(found["month"] or 0)
    return month, int(found["day"] or 0)


def _zone(text: str | None) -> timezone | None:
    if not text:
        return None
    if text[0] not in "+-":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)
