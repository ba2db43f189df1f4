"""The next moment of a schedule, and the event that such a moment is.

A fixed time of day (`30 7 * * *`) fires exactly once on each of its dates: where the clocks skip it,
at the first moment after the gap; where they show it twice, the first time.  Anything with a wildcard
or step in the hour or minute (`*/15 * * * *`) follows the time that really passes: it fires whenever
the wall clock shows a matching time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.cron import CronTrigger

from app.errors import FlowInvalid
from app.flows.schedules.schedule import parse_when

_STEP = timedelta(microseconds=1)
_NEAR = timedelta(hours=26)  # no change of clocks is larger, not even at the date line
_PATIENCE = 100
_LEAPS = (timedelta(days=2), timedelta(hours=2))


@dataclass(frozen=True)
class Plan:
    """`cron` runs in UTC and stands for the wall clock of `zone`, which it knows nothing of."""

    cron: CronTrigger
    zone: ZoneInfo
    fixed: bool


@lru_cache(maxsize=1024)
def plan(when: str, time_zone: str) -> Plan:
    parsed = parse_when(when)
    cron = CronTrigger(
        minute=parsed.minute,
        hour=parsed.hour,
        day=parsed.day,
        month=parsed.month,
        day_of_week=parsed.weekday,
        timezone=UTC,
    )
    return Plan(cron, _zone(time_zone), "*" not in parsed.minute + parsed.hour)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as reason:
        raise FlowInvalid(
            f"There is no time zone “{name}”.", remedy="Choose one such as Europe/Berlin."
        ) from reason


def next_fire(when: str, time_zone: str, after: datetime) -> datetime | None:
    """The first moment after `after` (aware), in UTC; None when there is none (31 February)."""
    planned = plan(when, time_zone)
    wall = _wall(after, planned.zone)
    quick = _next_wall(planned.cron, wall)
    if quick is None:
        return None
    moment = _instant(quick, planned.zone)
    change = max(_change(after, planned.zone), _change(moment, planned.zone))
    return _near_a_change(planned, after, wall, change) if change else moment


def _near_a_change(planned: Plan, after: datetime, wall: datetime, change: timedelta) -> datetime | None:
    """Looks at each wall time around and takes the earliest moment one of them stands for."""
    best: datetime | None = None
    last: datetime | None = None
    for candidate in _walls(planned.cron, wall - change):
        if last is not None and candidate > last:
            break
        moments = [moment for moment in _moments(candidate, planned) if moment > after]
        if moments and (best is None or min(moments) < best):
            best = min(moments)
            last = _wall(best, planned.zone) + change
    return best


def _walls(cron: CronTrigger, start: datetime) -> Iterator[datetime]:
    wall = _next_wall(cron, start)
    while wall is not None:
        yield wall
        wall = _next_wall(cron, wall)


def _next_wall(cron: CronTrigger, wall: datetime) -> datetime | None:
    found = cron.get_next_fire_time(None, wall.replace(tzinfo=UTC) + _STEP)
    return None if found is None else found.replace(tzinfo=None)


def _moments(wall: datetime, planned: Plan) -> list[datetime]:
    first = _instant(wall, planned.zone)
    if _wall(first, planned.zone) != wall:  # the clocks skip it
        return [_end_of_gap(wall, planned.zone)] if planned.fixed else []
    second = wall.replace(tzinfo=planned.zone, fold=1).astimezone(UTC)
    return [first] if planned.fixed or second == first else [first, second]


def _end_of_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    """The moment the clocks jump: between what the wall time means by the offset of after the jump and
    by that of before."""
    early = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    late = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    offset = early.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            early = middle
        else:
            late = middle
    return late.replace(microsecond=0)


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _change(moment: datetime, zone: ZoneInfo) -> timedelta:
    """By how much the clocks change near that moment."""
    around = (moment - _NEAR, moment, moment + _NEAR)
    offsets = [at.astimezone(zone).utcoffset() or timedelta() for at in around]
    return max(offsets) - min(offsets)


# --------------------------------------------------------------------------------- what is due


@dataclass(frozen=True)
class Fires:
    """`latest`: the last moment that is due; `missed`: how many before it never came to pass, at least;
    `following`: the first one in the future."""

    latest: datetime
    missed: int
    following: datetime | None


def fires_until(when: str, time_zone: str, planned: datetime, now: datetime) -> Fires:
    """From the moment that was planned, never from now: a clock that jumps neither adds nor drops one."""
    latest, missed = planned, 0
    leaps = iter(_LEAPS)
    following = next_fire(when, time_zone, planned)
    while following is not None and following <= now:
        latest, missed = following, missed + 1
        start = latest
        if missed % _PATIENCE == 0 and (leap := next(leaps, None)) is not None:
            start = max(latest, now - leap)  # a month of minutes is not walked through one by one
        following = next_fire(when, time_zone, start)
    return Fires(latest, missed, following)


def payload(moment: datetime, time_zone: str) -> dict[str, Any]:
    """What mappings of a scheduled run see."""
    local = moment.astimezone(_zone(time_zone))
    return {
        "planned_at": moment.isoformat().replace("+00:00", "Z"),
        "local_date": local.date().isoformat(),
        "local_time": local.strftime("%H:%M"),
        "weekday": local.strftime("%A"),
    }


def fire_key(when: str, time_zone: str, moment: datetime) -> str:
    """One event per moment, and for a fixed time one per local date and time."""
    planned = plan(when, time_zone)
    local = moment.astimezone(planned.zone) if planned.fixed else moment
    return f"schedule:{local:%Y-%m-%dT%H:%M}{'' if planned.fixed else 'Z'}"
