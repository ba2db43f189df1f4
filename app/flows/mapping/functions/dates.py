"""Functions for dates: writing them in a form and a zone, shifting them, as time stamps."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.flows.mapping.functions.function import Arg, Function, Unfit, shown, zone_named
from app.flows.mapping.values import as_moment, as_number

Args = tuple[str, ...]

NAMED = {
    "short": "%d.%m.%Y",
    "iso": "%Y-%m-%d",
    "us": "%m/%d/%Y",
    "eu": "%d/%m/%Y",
    "long": "%-d %B %Y",
    "month": "%B %Y",
    "weekday": "%A",
    "time": "%H:%M",
}
_MONTHS = [
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_CODE = re.compile(r"%(-?[a-zA-Z%])")


def _zone(name: str, flow_zone: str) -> ZoneInfo:
    return zone_named(name or flow_zone) or ZoneInfo("UTC")


def _needed(value: Any, zone: ZoneInfo) -> datetime:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    moment = as_moment(value, zone)
    if moment is None:
        raise Unfit(f"{shown(value)} is not a date.", "Pick a value like 2026-11-18 or 18 Nov 2026 09:30.")
    return moment


def _in_zone(moment: datetime, zone: ZoneInfo) -> datetime:
    try:
        return moment.astimezone(zone)
    except (OverflowError, ValueError) as error:
        raise Unfit("the date is too far away.") from error


def _date(value: Any, args: Args, zone: str) -> Any:
    """A date without a time is that day everywhere: it is not moved to another zone."""
    pattern, target = NAMED.get(args[0], args[0]), _zone(args[1], zone)
    moment = _in_zone(_needed(value, target), target)
    codes = _codes(moment)
    return _CODE.sub(lambda match: codes.get(match.group(1), match.group()), pattern)[:500]


def _codes(moment: datetime) -> dict[str, str]:
    """Written out here, because the C library's own differ by machine and language."""
    month, day = _MONTHS[moment.month - 1], _DAYS[moment.weekday()]
    hour = moment.hour % 12 or 12
    offset = moment.strftime("%z")
    return {
        "d": f"{moment.day:02d}", "-d": str(moment.day), "e": str(moment.day), "j": moment.strftime("%j"),
        "m": f"{moment.month:02d}", "-m": str(moment.month), "b": month[:3], "B": month,
        "y": f"{moment.year % 100:02d}", "Y": f"{moment.year:04d}", "a": day[:3], "A": day,
        "H": f"{moment.hour:02d}", "-H": str(moment.hour), "I": f"{hour:02d}", "-I": str(hour),
        "M": f"{moment.minute:02d}", "S": f"{moment.second:02d}", "f": f"{moment.microsecond:06d}",
        "p": "AM" if moment.hour < 12 else "PM", "z": offset, "Z": moment.tzname() or "",
        "u": str(moment.isoweekday()), "w": str(moment.isoweekday() % 7),
        "V": f"{moment.isocalendar()[1]:02d}", "G": str(moment.isocalendar()[0]),
        "F": f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}",
        "T": f"{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d}",
        "R": f"{moment.hour:02d}:{moment.minute:02d}", "s": str(int(moment.timestamp())), "%": "%",
    }  # fmt: skip


def _iso_date(value: Any, args: Args, zone: str) -> Any:
    target = _zone(args[0], zone)
    moment = _in_zone(_needed(value, target), target)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _timestamp(value: Any, args: Args, zone: str) -> Any:
    seconds = int(_needed(value, _zone("", zone)).timestamp())
    return seconds * 1000 if args[0] == "milliseconds" else seconds


_UNITS = {"minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800}


def _add_time(value: Any, args: Args, zone: str) -> Any:
    """Days and weeks keep the time of day over a clock change; months the day, or the month's last."""
    amount, unit = as_number(args[0]) or 0, args[1]
    target = _zone("", zone)
    try:
        moment = _in_zone(_needed(value, target), target)
        return _shifted(moment, float(amount), unit).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError) as error:
        raise Unfit("the date would be too far away.") from error


def _shifted(moment: datetime, amount: float, unit: str) -> datetime:
    if unit in ("months", "years"):
        return _months_later(moment, int(amount) * (12 if unit == "years" else 1))
    if unit in ("days", "weeks"):
        return moment + timedelta(seconds=amount * _UNITS[unit])
    return (moment.astimezone(UTC) + timedelta(seconds=amount * _UNITS[unit])).astimezone(moment.tzinfo)


def _months_later(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    for day in range(moment.day, 27, -1):
        try:
            return moment.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    return moment.replace(year=year, month=month + 1, day=min(moment.day, 28))


FUNCTIONS = [
    Function(
        "date",
        "Date as…",
        "In a form such as %d.%m.%Y, or short, iso, us, eu, long, month, weekday, time; in a time zone.",
        _date,
        (Arg("Form", "%d %b %Y"), Arg("Time zone", "", "zone")),
        "Dates",
    ),
    Function(
        "iso_date",
        "Date, ISO 8601",
        "As 2026-11-18T09:30:00Z.",
        _iso_date,
        (Arg("Time zone", "", "zone"),),
        "Dates",
    ),
    Function(
        "timestamp",
        "Date as a number",
        "Seconds (or milliseconds) since 1970.",
        _timestamp,
        (Arg("In", "seconds", "choice", ("seconds", "milliseconds")),),
        "Dates",
    ),
    Function(
        "add_time",
        "Add time",
        "Later, or earlier with a minus.",
        _add_time,
        (
            Arg("How much", "1", "number"),
            Arg("Unit", "days", "choice", ("minutes", "hours", "days", "weeks", "months", "years")),
        ),
        "Dates",
    ),
]
