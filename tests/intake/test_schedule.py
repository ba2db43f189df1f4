"""When schedules fire, compared with a reference that walks through every minute."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import FlowInvalid
from app.intake.schedule import fire_key, fires_until, next_fire, payload

ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"]
START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2028, 1, 1, tzinfo=UTC)


def fires(when: str, zone: str, start: datetime = START, end: datetime = END) -> list[datetime]:
    found: list[datetime] = []
    moment = next_fire(when, zone, start)
    while moment is not None and moment < end:
        found.append(moment)
        moment = next_fire(when, zone, moment)
    return found


@cache
def wall_clock(zone: str) -> list[tuple[datetime, datetime]]:
    """Every quarter of an hour of two years with what the clock on the wall shows."""
    here = ZoneInfo(zone)
    steps = int((END - START) / timedelta(minutes=15))
    moments = [START + timedelta(minutes=15 * step) for step in range(steps)]
    return [(moment, moment.astimezone(here).replace(tzinfo=None, fold=0)) for moment in moments]


WEEK = timedelta(days=7)


@cache
def spans(zone: str) -> list[tuple[datetime, datetime]]:
    """The two weeks around each change of the clocks in those two years, and two weeks without one: at a
    new year and at the end of February."""
    here, days = ZoneInfo(zone), int((END - START).days)
    offsets = [(START + timedelta(days=day)).astimezone(here).utcoffset() for day in range(days)]
    changes = [day for day in range(1, days) if offsets[day] != offsets[day - 1]]
    around = [(START + timedelta(days=day) - WEEK, START + timedelta(days=day) + WEEK) for day in changes]
    february = datetime(2027, 2, 25, tzinfo=UTC)
    return [(START, START + WEEK), (february, february + WEEK), *around]


def daily_reference(zone: str, hour: int, minute: int) -> list[datetime]:
    """For each local date the first moment at which the wall shows that time or, on that date, a
    later one."""
    first: dict[object, datetime] = {}
    for moment, wall in wall_clock(zone):
        if (wall.hour, wall.minute) >= (hour, minute):
            first.setdefault(wall.date(), moment)
    return sorted(moment for moment in first.values() if moment > START)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("hour", "minute"), [(0, 0), (1, 30), (2, 0), (2, 15), (2, 30), (3, 0), (23, 45)])
def test_a_daily_time_fires_once_per_local_date_over_two_years(zone: str, hour: int, minute: int) -> None:
    found = fires(f"{minute} {hour} * * *", zone)
    assert found == daily_reference(zone, hour, minute)
    dates = Counter(moment.astimezone(ZoneInfo(zone)).date() for moment in found)
    assert set(dates.values()) == {1}


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "when", ["0 * * * *", "*/15 * * * *", "30 * * * *", "*/30 1-3 * * *", "45 */2 * * *"]
)
def test_an_interval_fires_whenever_the_wall_shows_it(zone: str, when: str) -> None:
    minute, hour = when.split()[:2]
    minutes = {"0": {0}, "*/15": {0, 15, 30, 45}, "30": {30}, "*/30": {0, 30}, "45": {45}}[minute]
    hours = {"*": set(range(24)), "1-3": {1, 2, 3}, "*/2": set(range(0, 24, 2))}[hour]
    for start, end in spans(zone):
        expected = [
            moment
            for moment, wall in wall_clock(zone)
            if wall.minute in minutes and wall.hour in hours and start < moment < end
        ]
        assert fires(when, zone, start, end) == expected


def test_a_time_that_the_clocks_skip_fires_right_after_the_gap() -> None:
    before = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    assert next_fire("every day at 02:30", "Europe/Berlin", before) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_a_time_that_the_clocks_show_twice_fires_the_first_time_only() -> None:
    before = datetime(2026, 11, 1, 0, 0, tzinfo=UTC)
    first = next_fire("every day at 01:30", "America/New_York", before)
    assert first == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert first is not None
    assert next_fire("every day at 01:30", "America/New_York", first) == datetime(
        2026, 11, 2, 6, 30, tzinfo=UTC
    )


def test_weekdays_are_the_days_a_person_means() -> None:
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    days = [
        moment.strftime("%a") for moment in fires("0 9 * * 1-5", "UTC", monday, monday + timedelta(days=7))
    ]
    assert days == ["Mon", "Tue", "Wed", "Thu", "Fri"]
    days = [moment.strftime("%a") for moment in fires("0 9 * * 0", "UTC", monday, monday + timedelta(days=7))]
    assert days == ["Sun"]


def test_a_zone_that_does_not_exist_is_named() -> None:
    with pytest.raises(FlowInvalid, match="Mars/Olympus"):
        next_fire("hourly", "Mars/Olympus", START)
    with pytest.raises(FlowInvalid):
        next_fire("hourly", "../../etc/passwd", START)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        ["every day at 02:30", "*/20 * * * *", "every monday at 01:45", "on the 1st at 06:00", "0 2,3 * * *"]
    ),
    st.sampled_from(ZONES),
    st.integers(0, 2 * 365 * 24 * 3600),
    st.integers(0, 3 * 24 * 3600),
)
def test_the_next_moment_is_the_same_from_wherever_it_is_asked(
    when: str, zone: str, second: int, later: int
) -> None:
    """Nothing lies between a moment and its next one, and asking twice gives one answer."""
    after = START + timedelta(seconds=second)
    following = next_fire(when, zone, after)
    assert following is not None
    assert following > after
    between = min(after + timedelta(seconds=later), following - timedelta(seconds=1))
    if between >= after:
        assert next_fire(when, zone, between) == following


def test_what_was_missed_is_counted_from_the_planned_moment() -> None:
    planned = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    found = fires_until("every day at 09:00", "UTC", planned, planned + timedelta(days=3, hours=2))
    assert found.latest == planned + timedelta(days=3)
    assert found.missed == 3
    assert found.following == planned + timedelta(days=4)


def test_a_year_of_missed_minutes_ends_at_the_latest_one() -> None:
    now = datetime(2027, 3, 2, 9, 0, 30, tzinfo=UTC)
    found = fires_until("* * * * *", "UTC", now - timedelta(days=365), now)
    assert found.latest == now.replace(second=0)
    assert found.following == now.replace(second=0) + timedelta(minutes=1)
    assert found.missed >= 200


def test_a_clock_set_back_an_hour_repeats_nothing() -> None:
    planned = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    following = fires_until("hourly", "UTC", planned, planned).following
    assert following == planned + timedelta(hours=1)
    assert fires_until("hourly", "UTC", planned, planned - timedelta(hours=1)).following == following


def test_the_payload_says_when_in_the_zone_of_the_flow() -> None:
    moment = datetime(2026, 7, 1, 5, 30, tzinfo=UTC)
    assert payload(moment, "Europe/Berlin") == {
        "planned_at": "2026-07-01T05:30:00Z",
        "local_date": "2026-07-01",
        "local_time": "07:30",
        "weekday": "Wednesday",
    }


def test_both_hours_of_a_doubled_night_are_one_fire_of_a_fixed_time_and_two_of_an_interval() -> None:
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    second = first + timedelta(hours=1)
    daily, interval = "every day at 01:30", "*/30 * * * *"
    zone = "America/New_York"
    assert fire_key(daily, zone, first) == fire_key(daily, zone, second)
    assert fire_key(interval, zone, first) != fire_key(interval, zone, second)
