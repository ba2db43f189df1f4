"""Schedules: five cron fields, or words such as `every weekday at 07:00`; and a schedule in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from app.errors import FlowInvalid
from app.flows.near import nearest_hint
from app.flows.schedules.cron import DAYS, MONTHS, NICKNAMES, joined, read_cron

EXAMPLES: Final = (
    "every 15 minutes",
    "every hour",
    "every day at 07:00",
    "every weekday at 9:30",
    "every monday and thursday at 08:00",
    "every day at 9:00 and 17:00",
    "on the 1st at 06:00",
    "on the last day of the month at 18:00",
    "on the first monday of the month at 10:00",
    "30 7 * * 1-5",
)
LIMIT_LENGTH: Final = 200

_SIZES = {"minute": 60, "hour": 24}
_ORDINALS = {"first": "1st", "second": "2nd", "third": "3rd", "fourth": "4th", "last": "last"}
_DAY_NAMES = {
    **{name: (index,) for index, name in enumerate(DAYS)},
    "weekday": (0, 1, 2, 3, 4),
    "workday": (0, 1, 2, 3, 4),
    "working day": (0, 1, 2, 3, 4),
    "weekend": (5, 6),
}


@dataclass(frozen=True, slots=True)
class When:
    """Fields as a cron trigger with weekday names takes them; `day` may also be `last`, `1st mon`.
    `weekday` is `*` or names (`mon,tue`).  `words`: what was typed."""

    minute: str
    hour: str
    day: str = "*"
    month: str = "*"
    weekday: str = "*"
    words: str = ""


@lru_cache(maxsize=1024)
def parse_when(text: str) -> When:
    """FlowInvalid names what cannot be read, with examples."""
    words = " ".join(text.split())
    if not words or len(words) > LIMIT_LENGTH:
        raise _refused(text, "there is nothing in it" if not words else "it is too long")
    plain = NICKNAMES.get(words.lower(), words.lower())
    try:
        if _looks_like_cron(plain):
            return When(*read_cron(plain), words=words)
        return _from_words(plain, words)
    except ValueError as error:
        raise _refused(words, str(error)) from None


def _refused(text: str, reason: str) -> FlowInvalid:
    return FlowInvalid(
        f"'{text[:60]}' is not a schedule that can be read: {reason}.",
        where="when",
        remedy="Examples: " + "; ".join(EXAMPLES) + ".",
    )


def _looks_like_cron(plain: str) -> bool:
    fields = plain.split(" ")
    return bool(re.fullmatch(r"[\d*/,?-]+", fields[0])) and not re.match(r"\d+(st|nd|rd|th)", fields[0])


# ---------------------------------------------------------------------------------------- words


def _from_words(plain: str, words: str) -> When:
    said, times = _apart(plain)
    if match := re.fullmatch(r"(?:every (\d+ )?(minute|hour)s?|(hourly))", said):
        return _interval(match, times, words)
    if not times:
        raise ValueError("it does not say at what time; add for example `at 09:00`")
    minute, hour = _times(times)
    day, month, weekday = _days(said)
    return When(minute, hour, day, month, weekday, words)


def _apart(plain: str) -> tuple[str, str]:
    """What comes before the last `at`, and the times after it."""
    before, found, after = plain.rpartition(" at ")
    if not found and plain.startswith("at "):
        return "every day", plain[3:]
    return (before.strip(" ,"), after.strip()) if found else (plain, "")


def _interval(match: re.Match[str], at: str, words: str) -> When:
    amount, unit = int((match.group(1) or "1")[:6]), match.group(2) or "hour"
    size = _SIZES[unit]
    if amount < 1 or size % amount:
        allowed = ", ".join(str(number) for number in range(1, size) if size % number == 0)
        raise ValueError(f"{unit}s can be counted in steps of {allowed}")
    every = "*" if amount == 1 else f"*/{amount}"
    if unit == "minute":
        if at:
            raise ValueError("minutes cannot be counted `at` a time")
        return When(every, "*", words=words)
    return When(_minute_past(at), every, words=words)


def _minute_past(at: str) -> str:
    if not at:
        return "0"
    match = re.fullmatch(r"(?:minute |:)?(\d{1,2})", at)
    if not match or int(match.group(1)) > 59:
        raise ValueError("an hourly schedule has a minute, such as `every hour at minute 15`")
    return str(int(match.group(1)))


def _times(text: str) -> tuple[str, str]:
    found = sorted({_time(part) for part in _listed(text)})
    minutes = sorted({minute for _, minute in found})
    hours = sorted({hour for hour, _ in found})
    if len(found) != len(minutes) * len(hours):
        raise ValueError(
            "several times need the same minute (9:00 and 17:00); make a flow of its own for the others"
        )
    return joined(minutes), joined(hours)


def _listed(text: str) -> list[str]:
    return [part for part in re.split(r"\s*(?:,\s*and\b|,|\band\b|&)\s*", text) if part]


_TIME = re.compile(r"(\d{1,2})(?:[:.h](\d{2}))?\s*(am|pm|a\.m\.|p\.m\.|o'clock)?")


def _time(text: str) -> tuple[int, int]:
    named = {"noon": (12, 0), "midday": (12, 0), "midnight": (0, 0)}
    if text in named:
        return named[text]
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError(f"'{text[:30]}' is not a time of day")
    hour, minute, half = int(match.group(1)), int(match.group(2) or 0), (match.group(3) or "")[:1]
    if half in ("a", "p"):
        if not 1 <= hour <= 12:
            raise ValueError(f"'{text[:30]}' is not a time of day")
        hour = hour % 12 + (12 if half == "p" else 0)
    if hour > 23 or minute > 59:
        raise ValueError(f"'{text[:30]}' is not a time of day")
    return hour, minute


def _days(said: str) -> tuple[str, str, str]:
    """(day, month, weekday)"""
    if said in ("every day", "daily", "each day", "everyday"):
        return "*", "*", "*"
    text = re.sub(r"^(?:every month |monthly |each month |every year |yearly )", "", said)
    text = re.sub(r"^(?:on |every |each |weekly on )", "", text)
    if match := re.fullmatch(r"(?:the )?(first|second|third|fourth|last) (\w+)(?: of (.+))?", text):
        return _ordinal_day(match[1], match[2], match[3])
    if match := re.fullmatch(
        r"(?:the )?((?:\d{1,2}(?:st|nd|rd|th)?(?:, and |, | and )?)+)(?:(?: of)? (.+))?", text
    ):
        return _days_of_month(match[1], match[2])
    if match := re.fullmatch(r"([a-z]+) (\d{1,2})(?:st|nd|rd|th)?", text):
        return _days_of_month(match[2], match[1])
    return "*", "*", joined_names(_weekdays(text))


def _ordinal_day(which: str, what: str, of: str | None) -> tuple[str, str, str]:
    month = _months(of)
    if what == "day":
        if which not in ("last", "first"):
            raise ValueError("write `on the 2nd`")
        return ("last" if which == "last" else "1"), month, "*"
    names = _weekdays(what)
    if len(names) != 1:
        raise ValueError(f"'{what[:30]}' is not a day of the week")
    return f"{_ORDINALS[which]} {DAYS[names[0]][:3]}", month, "*"


def _days_of_month(text: str, of: str | None) -> tuple[str, str, str]:
    days = sorted({int(found) for found in re.findall(r"\d+", text)})
    if days[0] < 1 or days[-1] > 31:
        raise ValueError("a month has the days 1 to 31")
    month = _months(of)
    read_cron(f"0 0 {joined(days)} {month} *")  # refuses the 30th of February
    return joined(days), month, "*"


def _months(of: str | None) -> str:
    if of is None or of in ("the month", "each month", "every month", "month", "a month"):
        return "*"
    names = [part.removeprefix("every ") for part in _listed(of)]
    numbers = [index for name in names for index, month in enumerate(MONTHS, start=1) if _means(name, month)]
    if len(numbers) != len(names):
        raise ValueError(f"'{of[:30]}' is not a month")
    return joined(sorted(set(numbers)))


def _means(word: str, name: str) -> bool:
    return len(word) >= 3 and name.startswith(word)


def _weekdays(text: str) -> list[int]:
    if text in ("weekdays", "weekends", "workdays", "working days"):
        text = text.removesuffix("s")
    found: set[int] = set()
    for part in _listed(text):
        name = part.removeprefix("on ").removeprefix("every ")
        meant = [
            days for known, days in _DAY_NAMES.items() if name in (known, f"{known}s") or _means(name, known)
        ]
        if not meant:
            raise ValueError(
                f"'{part[:30]}' is not a day. {nearest_hint(part, _DAY_NAMES, 'There is')}".rstrip(" .")
            )
        found.update(meant[0])
    if not found:
        raise ValueError("it does not say on which days; begin for example with `every day`")
    return sorted(found)


def joined_names(days: list[int]) -> str:
    return "*" if len(days) == 7 else ",".join(DAYS[day][:3] for day in days)


# ------------------------------------------------------------------------------------- describe


def describe(when: When) -> str:
    """`every weekday at 07:00`, whatever way it was written."""
    days, times, months = _day_words(when), _time_words(when), _month_words(when)
    if not times.startswith("every "):
        if months and days.startswith("on the"):
            return f"{days.removesuffix(' of the month')} of {months} {times}"
        return " ".join(part for part in (days, f"in {months}" if months else "", times) if part)
    if days == "every day":
        days = ""
    elif days.startswith("every "):
        days = "on weekdays" if days == "every weekday" else f"on {days.removeprefix('every ')}"
    return " ".join(part for part in (times, days, f"in {months}" if months else "") if part)


def _time_words(when: When) -> str:
    minute, hour = when.minute, when.hour
    if "*" not in minute + hour:
        times = [(int(h), int(m)) for h in hour.split(",") for m in minute.split(",")]
        if len(times) <= 12:
            return "at " + _and([f"{h:02d}:{m:02d}" for h, m in times])
        return f"at minute {_and(minute.split(','))} past the hour, {_hours(hour)}"
    if "*" in minute:
        every = "every minute" if minute == "*" else f"every {minute[2:]} minutes"
        if minute != "*" and 60 % int(minute[2:]):
            every += " (counted from the full hour)"
        return every if hour == "*" else f"{every} {_hours(hour)}"
    return f"every {_hour_words(hour)}" + ("" if minute == "0" else f" at minute {_and(minute.split(','))}")


def _hour_words(hour: str) -> str:
    return "hour" if hour == "*" else f"{hour[2:]} hours"


def _hours(hour: str) -> str:
    if hour == "*":
        return "every hour"
    if hour.startswith("*/"):
        return f"in every {_ordinal(int(hour[2:]))} hour"
    hours = [int(one) for one in hour.split(",")]
    if len(hours) > 1 and hours == list(range(hours[0], hours[-1] + 1)):
        return f"from {hours[0]:02d}:00 to {hours[-1]:02d}:59"
    return f"in the hour{'s' if len(hours) > 1 else ''} {_and(hour.split(','))}"


def _day_words(when: When) -> str:
    if when.weekday != "*":
        return _weekday_words(when.weekday.split(","))
    if when.day == "last":
        return "on the last day of the month"
    if match := re.fullmatch(r"(\w+) (\w{3})", when.day):
        which = next(word for word, short in _ORDINALS.items() if short == match[1])
        return f"on the {which} {_full(match[2])} of the month"
    if when.day == "*":
        return "every day"
    return f"on the {_and([_ordinal(int(day)) for day in when.day.split(',')])}"


def _weekday_words(names: list[str]) -> str:
    if names == ["mon", "tue", "wed", "thu", "fri"]:
        return "every weekday"
    return f"every {_and([_full(name) for name in names])}"


def _month_words(when: When) -> str:
    if when.month == "*":
        return ""
    return _and([MONTHS[int(month) - 1].capitalize() for month in when.month.split(",")])


def _full(short: str) -> str:
    return next(name for name in DAYS if name.startswith(short)).capitalize()


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
