"""When schedules ought to fire, found by living through every minute: slow, plain, and without a line of
the product."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
Matches = Callable[[datetime], bool]


@dataclass(frozen=True)
class Rule:
    """`says`: what is written in the flow; `matches`: which walls it means.  A fixed time of day is owed
    once for each of its walls, also for one that the clocks leap over; any other only when it is shown."""

    says: str
    matches: Matches
    fixed: bool = True


def _at(*times: tuple[int, int]) -> Matches:
    hours = {hour for hour, _ in times}
    return lambda wall: wall.hour in hours and (wall.hour, wall.minute) in times


def _and(*all_of: Matches) -> Matches:
    return lambda wall: all(one(wall) for one in all_of)


def _is_last_day(wall: datetime) -> bool:
    return wall.day == monthrange(wall.year, wall.month)[1]


RULES = (
    Rule("every day at 02:30", _at((2, 30))),
    Rule("every day at 00:00", _at((0, 0))),
    Rule("15 1,2,3 * * *", _at((1, 15), (2, 15), (3, 15))),
    Rule("every weekday at 07:00", _and(_at((7, 0)), lambda wall: wall.weekday() < 5)),
    Rule("every sunday at 01:59", _and(_at((1, 59)), lambda wall: wall.weekday() == 6)),
    Rule("on the last day of the month at 18:00", _and(_at((18, 0)), _is_last_day)),
    Rule("on the 30th at 23:45", _and(_at((23, 45)), lambda wall: wall.day == 30)),
    Rule(
        "on the first sunday of the month at 02:00",
        _and(_at((2, 0)), lambda wall: wall.day <= 7 and wall.weekday() == 6),
    ),
    Rule("0 */6 * * *", lambda wall: wall.minute == 0 and wall.hour % 6 == 0, fixed=False),
    Rule("*/10 1-3 * * *", lambda wall: wall.minute % 10 == 0 and 1 <= wall.hour <= 3, fixed=False),
)


@dataclass(frozen=True)
class Lived:
    """`shown`: each minute with what the wall shows; `reached`: each wall time with the moment at which
    the wall first shows it or leaps over it."""

    shown: list[tuple[datetime, datetime]]
    reached: list[tuple[datetime, datetime]]


@lru_cache(maxsize=1)  # a million minutes of one place at a time
def lived(zone: str, first: datetime, last: datetime) -> Lived:
    here, minutes = ZoneInfo(zone), Lived([], [])
    latest = (first - MINUTE).astimezone(here).replace(tzinfo=None)
    moment = first
    while moment < last:
        wall = moment.astimezone(here).replace(tzinfo=None)
        minutes.shown.append((moment, wall))
        while latest < wall:
            latest += MINUTE
            minutes.reached.append((moment, latest))
        moment += MINUTE
    return minutes


def owed(rule: Rule, zone: str, first: datetime, last: datetime) -> list[datetime]:
    """The moments at which the rule fires, in UTC; several wall times leapt over at once are one."""
    minutes = lived(zone, first, last)
    walls = minutes.reached if rule.fixed else minutes.shown
    return list(dict.fromkeys(moment for moment, wall in walls if rule.matches(wall)))


def year(number: int) -> datetime:
    return datetime(number, 1, 1, tzinfo=UTC)
