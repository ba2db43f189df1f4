"""Schedules: cron and words mean what people think, and are said back in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import FlowInvalid
from app.flows.schedules.cron import DAYS
from app.flows.schedules.schedule import EXAMPLES, When, describe, parse_when


def fields(text: str) -> tuple[str, str, str, str, str]:
    when = parse_when(text)
    return when.minute, when.hour, when.day, when.month, when.weekday


def trigger(when: When) -> CronTrigger:
    return CronTrigger(
        minute=when.minute,
        hour=when.hour,
        day=when.day,
        month=when.month,
        day_of_week=when.weekday,
        timezone=UTC,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 9 * * 0", ("0", "9", "*", "*", "sun")),
        ("0 9 * * 7", ("0", "9", "*", "*", "sun")),
        ("0 9 * * 1-5", ("0", "9", "*", "*", "mon,tue,wed,thu,fri")),
        ("0 9 * * 5-7", ("0", "9", "*", "*", "fri,sat,sun")),
        ("0 9 * * 0-6", ("0", "9", "*", "*", "*")),
        ("0 9 * * FRI-mon", ("0", "9", "*", "*", "mon,fri,sat,sun")),
        ("0 9 * * */2", ("0", "9", "*", "*", "tue,thu,sat,sun")),
        ("0 9 * nov-feb *", ("0", "9", "*", "1,2,11,12", "*")),
        ("*/15 * * * *", ("*/15", "*", "*", "*", "*")),
        ("5/20 * * * *", ("5,25,45", "*", "*", "*", "*")),
        ("0 8-18/2 * * *", ("0", "8,10,12,14,16,18", "*", "*", "*")),
        ("0,30 9,17 1,15 * *", ("0,30", "9,17", "1,15", "*", "*")),
        ("0 0 L * *", ("0", "0", "last", "*", "*")),
        ("0 0 29 2 *", ("0", "0", "29", "2", "*")),
        ("  0   9 * * ?", ("0", "9", "*", "*", "*")),
        ("@daily", ("0", "0", "*", "*", "*")),
        ("@weekly", ("0", "0", "*", "*", "sun")),
        ("every minute", ("*", "*", "*", "*", "*")),
        ("Every 15 Minutes", ("*/15", "*", "*", "*", "*")),
        ("hourly", ("0", "*", "*", "*", "*")),
        ("every hour at minute 5", ("5", "*", "*", "*", "*")),
        ("every 6 hours", ("0", "*/6", "*", "*", "*")),
        ("every day at 07:00", ("0", "7", "*", "*", "*")),
        ("at 9am and 5 pm", ("0", "9,17", "*", "*", "*")),
        ("daily at 12:30 am", ("30", "0", "*", "*", "*")),
        ("every day at noon and midnight", ("0", "0,12", "*", "*", "*")),
        ("every weekday at 9:30", ("30", "9", "*", "*", "mon,tue,wed,thu,fri")),
        ("weekends at 10", ("0", "10", "*", "*", "sat,sun")),
        ("every Monday and Thursday at 08:00", ("0", "8", "*", "*", "mon,thu")),
        ("on mon, wed, and fri at 8", ("0", "8", "*", "*", "mon,wed,fri")),
        ("on the 1st at 06:00", ("0", "6", "1", "*", "*")),
        ("on the 1st and 15th of the month at 06:00", ("0", "6", "1,15", "*", "*")),
        ("on the last day of the month at 18:00", ("0", "18", "last", "*", "*")),
        ("on the first monday of the month at 10:00", ("0", "10", "1st mon", "*", "*")),
        ("on the last friday of june at 16:00", ("0", "16", "last fri", "6", "*")),
        ("on 24 December at 18:00", ("0", "18", "24", "12", "*")),
        ("every year on march 3 at 9", ("0", "9", "3", "3", "*")),
    ],
)
def test_a_schedule_is_read_and_an_apscheduler_trigger_takes_it(text: str, expected: tuple[str, ...]) -> None:
    assert fields(text) == expected
    assert trigger(parse_when(text)).get_next_fire_time(None, datetime(2026, 11, 18, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing in it"),
        ("x" * 300, "too long"),
        ("sometimes", "at what time"),
        ("every tuesday", "at what time"),
        ("every frumday at 9", "There is 'friday'"),
        ("every day at 25:00", "not a time of day"),
        ("every day at 9:00 and 17:30", "same minute"),
        ("every 7 minutes", "steps of 1, 2, 3"),
        ("every 0 minutes", "steps of"),
        ("every 5 hours", "steps of 1, 2, 3, 4, 6, 8, 12"),
        ("every 99999999999999999 minutes", "steps of"),
        ("on the 32nd at 9", "1 to 31"),
        ("on the 31st of april at 9", "never comes"),
        ("0 0 31 2 *", "never comes"),
        ("0 9 1 * 1", "days of the month and of the week"),
        ("60 * * * *", "60 is not a minute"),
        ("* 24 * * *", "24 is not a hour"),
        ("* * * * 8", "8 is not a day of the week"),
        ("* * * 13 *", "13 is not a month"),
        ("* * 0 * *", "0 is not a day of the month"),
        ("9-5 * * * *", "runs backwards"),
        ("*/0 * * * *", "not a step"),
        ("* * * *", "has 4"),
        ("* * * * * *", "has 6"),
        ("1,,2 * * * *", "is not a minute"),
        ("²  * * * *", "²"),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_reason_and_examples(text: str, said: str) -> None:
    with pytest.raises(FlowInvalid) as refused:
        parse_when(text)
    assert said in refused.value.reason
    assert "every weekday at 9:30" in refused.value.remedy


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("30 7 * * 1-5", "every weekday at 07:30"),
        ("0 9 * * 0", "every Sunday at 09:00"),
        ("0 9,17 * * *", "every day at 09:00 and 17:00"),
        ("*/15 * * * *", "every 15 minutes"),
        ("*/7 * * * *", "every 7 minutes (counted from the full hour)"),
        ("*/15 9-17 * * 1-5", "every 15 minutes from 09:00 to 17:59 on weekdays"),
        ("* * * * 6", "every minute on Saturday"),
        ("0 */2 * * *", "every 2 hours"),
        ("5 * * * *", "every hour at minute 5"),
        ("0 6 1,15 * *", "on the 1st and 15th at 06:00"),
        ("0 6 22 12 *", "on the 22nd of December at 06:00"),
        ("0 0 L * *", "on the last day of the month at 00:00"),
        ("0 12 * 1,7 *", "every day in January and July at 12:00"),
        ("0,20 8-18 * * *", "every day at minute 0 and 20 past the hour, from 08:00 to 18:59"),
        ("on the second tuesday at 9", "on the second Tuesday of the month at 09:00"),
    ],
)
def test_a_schedule_is_said_in_words(text: str, words: str) -> None:
    assert describe(parse_when(text)) == words


def test_the_examples_are_read_and_their_words_mean_the_same() -> None:
    for example in EXAMPLES:
        assert fields(describe(parse_when(example))) == fields(example)


def test_cron_weekdays_fall_on_the_days_they_name() -> None:
    monday = datetime(2026, 11, 16, tzinfo=UTC)
    for number, day in enumerate(["sunday", *DAYS]):
        fire = trigger(parse_when(f"0 12 * * {number}")).get_next_fire_time(None, monday)
        assert DAYS[fire.weekday()] == day


_cron_field = st.from_regex(r"(\*|\d{1,2})(-\d{1,2})?(/\d{1,2})?(,\d{1,2})?", fullmatch=True)


@given(
    st.text(max_size=60)
    | st.lists(_cron_field, min_size=5, max_size=5).map(" ".join)
    | st.from_regex(
        r"(every|on) (the )?(day|monday|1st|last|weekday|\d+ minutes)( of \w+)?( at \d\d?:\d\d)?",
        fullmatch=True,
    )
)
@settings(max_examples=400, deadline=None)
def test_any_text_is_a_schedule_that_comes_or_is_refused(text: str) -> None:
    try:
        when = parse_when(text)
    except FlowInvalid as refused:
        assert refused.reason  # noqa: PT017
        return
    assert describe(when)
    assert trigger(when).get_next_fire_time(None, datetime(2026, 1, 1, tzinfo=UTC)) is not None
