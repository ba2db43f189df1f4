"""An answer that says that nothing is left of a limit holds the next calls back; garbage does nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.calls.http.client import Caller
from app.calls.limits.keeping import outlive
from app.calls.limits.limits import Limits
from app.calls.message.call import Answer
from app.calls.outcome.signals import LONGEST_STOP_S, members, speaks_of_limits, used_up
from app.catalog.format.definition import Limit
from app.errors import CallFailed
from app.settings import Settings
from app.storage.database.db import Database
from tests.calls.calling import call, connection
from tests.fakes.clock import START, FakeClock
from tests.fakes.service import FakeService

EPOCH = int(START.timestamp())


def good(*rows: tuple[str, str]) -> Answer:
    return Answer(200, list(rows), b"{}", host="api.example.com")


def said(remaining: str, reset: str, *more: tuple[str, str]) -> Answer:
    return good(("X-RateLimit-Remaining", remaining), ("X-RateLimit-Reset", reset), *more)


def wait(answer: Answer, others: int = 0) -> float | None:
    found = used_up(answer, START, others)
    return None if found is None else found.wait_s


# ------------------------------------------------------------------------------------ understood


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("30", 30),
        ("1.5", 1.5),
        (str(EPOCH + 40), 40),
        (f"{EPOCH + 40}.5", 40.5),
        (str((EPOCH + 40) * 1000), 40),
        ("6m0s", 360),
        ("120ms", 0.12),
        ("2026-03-02T09:00:20Z", 20),
        (format_datetime(START + timedelta(seconds=90), usegmt=True), 90),
        ("86400", LONGEST_STOP_S),
        (str(EPOCH + 20 * 86400), LONGEST_STOP_S),
    ],
)
def test_a_reset_is_read_in_each_of_its_forms(reset: str, seconds: float) -> None:
    assert wait(said("0", reset)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("rows", "seconds"),
    [
        ([("RateLimit", '"default";r=0;t=25')], 25),
        ([("RateLimit", "default;r=0;t=25")], 25),
        ([("RateLimit", '"burst";r=0;t=3, "day";r=9;t=80000')], 3),
        ([("RateLimit", '"burst";r=0;t=3'), ("ratelimit", '"day";r=0;t=900')], 900),
        ([("RateLimit", '"a,b;r=9;t=1";r=0;t=7;pk=:Zm9v:')], 7),
        ([("RateLimit", '"burst";r=0;t=9000'), ("RateLimit-Policy", '"burst";q=10;w=60')], 60),
        ([("RateLimit", "limit=10, remaining=0, reset=30")], 30),
        ([("RateLimit-Remaining", "0"), ("RateLimit-Reset", "4")], 4),
        ([("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "8s")], 8),
        ([("Anthropic-RateLimit-Tokens-Remaining", "0"), ("anthropic-ratelimit-tokens-reset", "9")], 9),
        ([("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset-After", "1.25")], 1.25),
        ([("X-Rate-Limit-Requests-Left", "0"), ("X-Rate-Limit-Time-Reset-Ms", "15000")], 15),
        ([("X-RateLimit-Remaining", "1, 0"), ("X-RateLimit-Reset", "1, 50")], 50),
        ([("X-Shopify-Shop-Api-Call-Limit", "40/40")], 2),
        ([("X-Business-Use-Case-Usage", '{"7":[{"estimated_time_to_regain_access":3}]}')], 180),
    ],
)
def test_what_is_left_is_read_in_each_of_its_forms(rows: list[tuple[str, str]], seconds: float) -> None:
    answer = good(*rows)
    assert speaks_of_limits(answer.headers)
    assert wait(answer) == pytest.approx(seconds)


def test_a_moment_is_one_of_the_services_own_clock_and_a_cached_answer_says_nothing() -> None:
    ahead = START + timedelta(minutes=9)
    date = ("Date", format_datetime(ahead, usegmt=True))
    assert wait(said("0", str(EPOCH + 9 * 60 + 20), date)) == 20
    assert wait(said("0", str(EPOCH + 20), ("Date", "Fri, 13 Jun 1997 00:00:00 GMT"))) == 20
    assert wait(said("0", str(EPOCH + 20), ("Date", "yesterday"))) == 20
    assert wait(said("0", "20", ("Age", "700"))) is None


def test_a_little_is_nothing_where_other_calls_are_under_way() -> None:
    assert wait(said("2", "30")) is None
    assert wait(said("2", "30"), others=2) == 30
    assert wait(said("6", "30"), others=400) is None, "what is left of a large limit is used"
    assert wait(good(("X-Shopify-Shop-Api-Call-Limit", "39/40")), others=3) == 2


# ----------------------------------------------------------------------------------- of no effect


@pytest.mark.parametrize(
    ("remaining", "reset"),
    [
        ("3", "30"), ("0", "0"), ("0", "-30"), ("-1", "30"), ("0", ""), ("", "30"), ("none", "30"),
        ("0", "soon"), ("0", "inf"), ("nan", "30"), ("0", "1e3"), ("0", "9" * 30), ("0", "9" * 15),
        ("0", "86400000"), ("0", str(EPOCH - 30)), ("0", str(EPOCH + 40 * 86400)), ("0", "Mon, 02 Mar 2016"),
        ("0", "9999-12-31T23:59:59Z"), ("0", "0001-01-01 00:00:00+23:59"), ("0", "30; drop"), ("0x0", "30"),
        ("0, 0", "30"), ("0", "30, 60"), ("0" * 300, "30"), ("٠", "30"), ("0", "\x00"), ("0", "30" * 100),
    ],
)  # fmt: skip
def test_garbage_and_absurd_values_have_no_effect(remaining: str, reset: str) -> None:
    assert wait(said(remaining, reset)) is None


@pytest.mark.parametrize(
    "rows",
    [
        [("RateLimit", '"burst";r=4;t=3')],
        [("RateLimit", '"burst";r=0')],
        [("RateLimit", '"burst";r=0;t=-3')],
        [("RateLimit", '"burst";r=-0;t=3.5')],
        [("RateLimit", '"burst;r=0;t=3')],
        [("RateLimit", '"burst";r=0;t=3,')],
        [("RateLimit", '"burst";r=0;t=3 "day"')],
        [("RateLimit", '"burst";r=0;t=99999999999999')],
        [("RateLimit", '"burst";r=0;t=9999999999999999999')],
        [("RateLimit", '"burst";r="0";t="3"')],
        [("RateLimit", ",".join(['"a";r=0;t=3'] * 400))],
        [("RateLimit", '"c";r=0;t=9'), ("RateLimit-Policy", '"c";q=5;qu="concurrent-requests"')],
        [("RateLimit", "limit=0, remaining=0, reset=30")],
        [("RateLimit-Policy", '"burst";q=0;w=60')],
        [("X-RateLimit-Limit", "0"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "60")],
        [("X-RateLimit-Remaining", "0")],
        [("X-RateLimit-Reset", "60")],
        [("X-Shopify-Shop-Api-Call-Limit", "1/40")],
        [("X-Shopify-Shop-Api-Call-Limit", "0/0")],
        [("X-Shopify-Shop-Api-Call-Limit", "40/40/40")],
        [("X-Shopify-Shop-Api-Call-Limit", "all/40")],
        [("X-Storage-Usage", "10/10")],
        [("X-Rate-Limit", "100/100")],
        [("X-Frame-Limit", "10")],
        [("X-Business-Use-Case-Usage", '{"7":[{"estimated_time_to_regain_access":0}]}')],
        [("X-Business-Use-Case-Usage", '{"estimated_time_to_regain_access":')],
        [("Retry-After", "30")],
    ],
)
def test_headers_that_say_nothing_of_a_used_up_limit_have_no_effect(rows: list[tuple[str, str]]) -> None:
    assert wait(good(*rows)) is None


def test_most_answers_are_not_even_looked_into() -> None:
    assert not speaks_of_limits([("Date", "x"), ("Content-Type", "application/json"), ("X-Request-Id", "7")])
    assert not speaks_of_limits([])
    assert speaks_of_limits([("X-RATELIMIT-REMAINING", "0")])


def test_the_same_header_a_thousand_times_is_read_at_once() -> None:
    assert wait(good(*[("X-RateLimit-Remaining", "0" * 50_000)] * 1000, ("X-RateLimit-Reset", "3"))) is None


def test_nothing_but_numbers_of_a_header_is_kept() -> None:
    found = used_up(good(("RateLimit", '"canary-7f";r=0;t=30;pk=:c2VjcmV0:')), START)
    assert found is not None
    assert found.said == "RateLimit: r=0;t=30"


# -------------------------------------------------------------------------------------- properties

_NAMES = st.sampled_from(
    ["RateLimit", "RateLimit-Policy", "RateLimit-Remaining", "RateLimit-Reset", "X-RateLimit-Remaining",
     "X-RateLimit-Reset", "X-RateLimit-Reset-After", "X-RateLimit-Limit", "X-Rate-Limit-Time-Reset-Ms",
     "X-Rate-Limit-Requests-Left", "X-Shopify-Shop-Api-Call-Limit", "X-Business-Use-Case-Usage",
     "Date", "Age", "x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"]
)  # fmt: skip
_VALUES = (
    st.text(max_size=60)
    | st.from_regex(r"[0-9a-z;=,\"/:.\- ]{1,40}", fullmatch=True)
    | st.integers(-(10**20), 10**20).map(str)
    | st.floats().map(str)
    | st.datetimes().map(lambda at: at.isoformat())
    | st.datetimes().map(lambda at: format_datetime(at))
)


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=8), st.integers(-3, 1000))
def test_no_mixture_of_headers_fails_or_stops_a_lane_for_longer_than_an_hour(
    rows: list[tuple[str, str]], others: int
) -> None:
    answer = good(*rows)
    found = used_up(answer, START, others)
    assert found is None or 0 < found.wait_s <= LONGEST_STOP_S
    assert found is None or (speaks_of_limits(answer.headers) and len(found.said) < 260)


@given(st.integers(0, 20), st.integers(-100, 40 * 86400), st.integers(0, 12), st.booleans())
def test_a_lane_waits_exactly_where_nothing_is_left_until_a_moment_to_come(
    left: int, seconds: int, others: int, is_draft: bool
) -> None:
    pair = [("RateLimit-Remaining", str(left)), ("RateLimit-Reset", str(seconds))]
    rows = [("RateLimit", f'"default";r={left};t={seconds}')] if is_draft else pair
    is_used_up = left <= min(others, 5) and 0 < seconds <= 31 * 86400
    assert wait(good(*rows), others) == (min(seconds, LONGEST_STOP_S) if is_used_up else None)


@given(
    st.lists(st.tuples(st.from_regex(r"[ -~]{0,12}", fullmatch=True), st.integers(0, 10**15 - 1)), max_size=9)
)
def test_a_list_that_is_well_formed_is_read_as_it_was_written(items: list[tuple[str, int]]) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text = ", ".join(f"{quoted(name)};r={number}; t=1" for name, number in items)
    assert [one.number("r") for one in members(text)] == [number for _, number in items]


@given(st.text(max_size=200))
def test_no_text_makes_the_reading_of_a_list_fail(text: str) -> None:
    assert isinstance(members(text), list)


# ---------------------------------------------------------------------------------------- the lane


def test_a_good_answer_with_nothing_left_holds_the_next_calls_of_that_connection_and_host_back() -> None:
    clock = FakeClock()
    service = FakeService().answers("*", "*", (200, {}, {"RateLimit": '"burst";r=0;t=30'}))
    request = call(connection=connection())

    async def work() -> Limits:
        caller = Caller(Settings(), clock, transport=service.transport)
        assert (await caller.send(request)).failure is None
        return caller.limits

    limits = asyncio.run(work())
    held = limits.take(request)
    assert held is not None
    assert (held.seconds, held.why) == (30, "pause")
    assert limits.lane_for(request).pause_said == "RateLimit: r=0;t=30"
    assert limits.take(call()) is None, "calls without the connection have a limit of their own"
    clock.advance(30)
    assert limits.take(request) is None


def test_a_refusal_that_says_how_long_is_heeded_and_its_other_headers_are_not() -> None:
    limits, request = Limits(FakeClock()), call(connection=connection())
    limits.heed(request, CallFailed("rate_limited", "slow down", wait_s=5), said("0", "900"))
    assert limits.paused_for("con_1") == 5
    limits.heed(request, CallFailed("invalid_payload", "no such field", status=422), said("0", "9"))
    assert limits.paused_for("con_1") == 9


def test_calls_under_way_are_counted_as_made() -> None:
    limits, request = Limits(FakeClock()), call(connection=connection())
    lane = limits.lane_for(request)
    assert lane.begin()
    limits.heed(request, None, said("1", "30"))
    assert limits.take(request) is None, "it is the only one under way: one more may go"
    assert lane.begin()
    limits.heed(request, None, said("1", "30"))
    assert limits.take(request) is not None


def test_places_in_a_line_come_after_the_moment_that_was_said() -> None:
    limits = Limits(FakeClock())
    request = call(connection=connection(), limits=(Limit(key="burst", requests=3, per="10s"),))
    limits.heed(request, None, said("0", "100"))
    waits = [one.seconds for _ in range(4) if (one := limits.take(request)) is not None]
    assert waits == [100, 100, 100, 110]


def test_a_person_lifts_it_and_the_next_answer_counts_anew() -> None:
    limits, request = Limits(FakeClock()), call(connection=connection())
    limits.heed(request, None, said("0", "100"))
    limits.lift("con_1")
    assert limits.take(request) is None
    limits.heed(request, None, said("0", "60"))
    assert limits.paused_for("con_1") == 60


@pytest.mark.parametrize("refused_first", [True, False])
def test_the_longer_of_two_pauses_holds_with_its_own_words(refused_first: bool) -> None:
    limits, request = Limits(FakeClock()), call(connection=connection())
    refusal = CallFailed("rate_limited", "slow down", wait_s=50)
    for is_refusal in (refused_first, not refused_first):
        limits.heed(request, refusal if is_refusal else None, None if is_refusal else said("0", "100"))
    assert limits.paused_for("con_1") == 100
    assert limits.lane_for(request).pause_said == "X-RateLimit-Remaining: 0"


# ------------------------------------------------------------------------- restarts and processes


def test_it_holds_after_a_restart_and_says_why(database: Database) -> None:
    async def work() -> None:
        clock, request = FakeClock(), call(connection=connection())
        before, after = Limits(clock), Limits(clock)
        for limits in (before, after):
            outlive(limits, database, clock)
        await before.start()
        before.heed(request, None, said("0", "0.5"))
        before.heed(request, None, said("0", "600"))
        await before.close()
        clock.advance(60)
        await after.start()
        assert after.paused_for("con_1") == 540
        assert after.lane_for(request).pause_said == "X-RateLimit-Remaining: 0"
        await after.close()

    asyncio.run(work())
