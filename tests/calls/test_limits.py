"""A connection's calls stay within its limits, and a host that fails is left alone for a while."""

from __future__ import annotations

import asyncio

import pytest

from app.calls.connections.pace import Pace, own_limit, read_pace, write_pace
from app.calls.limits.limits import MAX_PAUSE_S, Limits, Wait, host_of
from app.calls.message.call import CallRequest
from app.catalog.format.definition import Limit
from app.errors import CallFailed
from tests.calls.calling import call, connection
from tests.fakes.clock import FakeClock

BURST = Limit(key="burst", requests=3, per="10s")
AWAY = CallFailed("unavailable", "api.example.com is unavailable.", status=503)


def to_crm(*limits: Limit, **facts: object) -> CallRequest:
    return call(connection=connection(**facts), limits=limits)  # type: ignore[arg-type]


def fail(limits: Limits, request: CallRequest, times: int) -> None:
    for _ in range(times):
        limits.heed(request, AWAY)


def seconds(wait: Wait | None) -> float:
    return 0.0 if wait is None else wait.seconds


# ------------------------------------------------------------------------------------ pauses


def test_a_pause_holds_all_calls_back_and_lets_them_go_one_after_another() -> None:
    clock, request = FakeClock(), to_crm()
    limits = Limits(clock)
    limits.heed(request, CallFailed("rate_limited", "slow down", wait_s=30))
    limits.heed(request, CallFailed("rate_limited", "slow down", wait_s=5))
    waits = [seconds(limits.take(request)) for _ in range(200)]
    assert waits == sorted(waits)
    assert waits[0] == 30
    assert 30.9 < waits[-1] < 31.1
    clock.advance(30)
    assert limits.take(request) is None


def test_an_absurd_pause_ends_after_a_day_and_a_person_can_lift_it() -> None:
    limits, request = Limits(FakeClock()), to_crm()
    limits.heed(request, CallFailed("rate_limited", "slow down", wait_s=10**12))
    assert limits.paused_for("con_1") == MAX_PAUSE_S
    limits.lift("con_1")
    assert limits.take(request) is None


def test_a_service_that_does_not_say_how_long_gets_two_seconds() -> None:
    limits, request = Limits(FakeClock()), to_crm()
    limits.heed(request, CallFailed("rate_limited", "slow down", status=429))
    assert seconds(limits.take(request)) == 2


def test_a_pause_is_that_hosts_and_that_connections_alone() -> None:
    limits = Limits(FakeClock())
    limits.heed(call(), CallFailed("rate_limited", "slow down", wait_s=30))
    assert seconds(limits.take(call(path="/other"))) >= 30
    assert limits.take(to_crm()) is None
    assert limits.take(call(path="https://another.example.com/")) is None


def test_a_pause_moves_the_places_in_the_line_behind_it() -> None:
    limits, request = Limits(FakeClock()), to_crm(BURST)
    limits.heed(request, CallFailed("rate_limited", "slow down", wait_s=100))
    waits = [seconds(limits.take(request)) for _ in range(7)]
    assert waits == [100, 100, 100, 110, 110, 110, 120]


# -------------------------------------------------------------------------------- left alone


def test_a_host_that_fails_half_of_ten_calls_is_left_alone_and_tried_again() -> None:
    clock, request = FakeClock(), call()
    limits = Limits(clock)
    for _ in range(5):
        limits.heed(request, None)
    fail(limits, request, 4)
    assert limits.take(request) is None
    fail(limits, request, 1)
    first, second = limits.take(request), limits.take(request)
    assert first == Wait(30, "away")
    assert second is not None
    assert second.seconds > 31
    clock.advance(30)
    assert limits.take(request) is None, "one call tries it"
    assert limits.take(request) is not None, "the others wait for what it finds"


def test_the_tries_come_at_longer_and_longer_intervals_up_to_ten_minutes() -> None:
    clock, request = FakeClock(), call()
    limits = Limits(clock)
    fail(limits, request, 10)
    waits = []
    for _ in range(7):
        waits.append(seconds(limits.take(request)))
        clock.advance(waits[-1])
        assert limits.take(request) is None
        fail(limits, request, 1)
    assert waits == [30, 60, 120, 240, 480, 600, 600]


def test_a_try_that_succeeds_lets_everybody_go() -> None:
    clock, request = FakeClock(), call()
    limits = Limits(clock)
    fail(limits, request, 10)
    clock.advance(30)
    assert limits.take(request) is None
    limits.heed(request, CallFailed("invalid_payload", "it answers again", status=422))
    assert [limits.take(request) for _ in range(50)] == [None] * 50
    fail(limits, request, 9)
    assert limits.take(request) is None, "what was before no longer counts"


def test_a_try_that_never_ends_is_made_by_another_call_a_minute_later() -> None:
    clock, request = FakeClock(), call()
    limits = Limits(clock)
    fail(limits, request, 10)
    clock.advance(30)
    assert limits.take(request) is None
    clock.advance(61)
    assert limits.take(request) is None


def test_calls_begun_before_say_nothing_about_the_try() -> None:
    clock, request = FakeClock(), call()
    limits = Limits(clock)
    fail(limits, request, 10)
    fail(limits, request, 50)
    limits.heed(request, None)
    assert seconds(limits.take(request)) == 30


@pytest.mark.parametrize(
    "failure",
    [
        CallFailed("rate_limited", "slow down", wait_s=1),
        CallFailed("unavailable", "later", wait_s=1, status=503),
        CallFailed("invalid_payload", "no", status=422),
        CallFailed("unavailable", "our mistake", is_ours=True),
    ],
)
def test_what_is_no_outage_does_not_count_as_one(failure: CallFailed) -> None:
    clock, request = FakeClock(), call()
    limits = Limits(clock)
    for _ in range(50):
        limits.heed(request, failure)
    clock.advance(2)
    assert limits.take(request) is None


def test_failures_that_are_a_minute_old_are_forgotten() -> None:
    clock, request = FakeClock(), call()
    limits = Limits(clock)
    fail(limits, request, 9)
    clock.advance(70)
    fail(limits, request, 9)
    assert limits.take(request) is None


def test_a_person_can_have_it_tried_now() -> None:
    limits, request = Limits(FakeClock()), to_crm()
    fail(limits, request, 10)
    assert seconds(limits.take(request)) == 30
    limits.lift("con_1")
    assert limits.take(request) is None
    assert limits.take(request) is not None


# ---------------------------------------------------------------------------------- retries


def test_with_many_calls_only_a_tenth_of_them_may_be_retries() -> None:
    clock, request = FakeClock(), call()
    limits = Limits(clock)
    gone = 0
    for _ in range(200):
        limits.take(request)
    for _ in range(100):
        gone += limits.take(request, attempt=2) is None
    assert 20 <= gone <= 23
    assert limits.take(request) is None, "first attempts go on"
    clock.advance(70)
    assert limits.take(request, attempt=2) is None


def test_with_few_calls_all_may_be_retries() -> None:
    limits, request = Limits(FakeClock()), call()
    assert [limits.take(request, attempt=2) for _ in range(90)] == [None] * 90


# ------------------------------------------------------------------------- so many at once


def test_a_connection_has_ten_calls_under_way_and_the_next_wait_in_turn() -> None:
    async def work() -> list[int]:
        limits, order = Limits(FakeClock()), []
        lane = limits.lane_for(to_crm())
        assert [lane.begin() for _ in range(11)] == [True] * 10 + [False]

        async def one(number: int) -> None:
            await lane.wait()
            order.append(number)

        waiting = [asyncio.ensure_future(one(number)) for number in range(3)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        lane.end()
        lane.end()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert (lane.under_way, lane.waiting) == (10, 0)
        for _ in range(10):
            lane.end()
        assert lane.under_way == 0
        return order

    assert asyncio.run(work()) == [0, 2]


def test_a_waiting_call_that_is_broken_off_in_the_moment_of_its_turn_gives_it_on() -> None:
    async def work() -> None:
        lane = Limits(FakeClock()).lane_for(to_crm())
        while lane.begin():
            pass
        first, second = asyncio.ensure_future(lane.wait()), asyncio.ensure_future(lane.wait())
        await asyncio.sleep(0)
        lane.end()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await asyncio.wait_for(second, 30)
        assert lane.under_way == 10

    asyncio.run(work())


def test_several_hundred_calls_without_a_connection_go_to_one_host_at_once() -> None:
    lane = Limits(FakeClock()).lane_for(call())
    assert all(lane.begin() for _ in range(300))
    assert lane.stands_aside


def test_somebodys_own_number_holds_at_once_and_lets_more_in() -> None:
    async def work() -> None:
        limits = Limits(FakeClock())
        lane = limits.lane_for(to_crm(pace=Pace(at_once=1)))
        assert lane.begin()
        waiting = asyncio.ensure_future(lane.wait())
        await asyncio.sleep(0)
        limits.lane_for(to_crm(pace=Pace(at_once=2)))
        await asyncio.wait_for(waiting, 30)

    asyncio.run(work())


# ------------------------------------------------------------------------------ own numbers


def test_own_numbers_stand_beside_and_in_place_of_the_connectors() -> None:
    clock, pace = FakeClock(), Pace(changed={"burst": 5}, own=(own_limit(7, 3600),))
    limits, request = Limits(clock), to_crm(BURST, pace=pace)
    gone = []
    for is_back in (False, True):
        while (wait := limits.take(request, is_back=is_back)) is None:
            gone.append(clock.monotonic() - 1000)
        clock.advance(10)
    assert gone == [0] * 5 + [10] * 2
    assert wait.seconds > 3000


def test_own_numbers_are_kept_and_read_as_they_were_set() -> None:
    kept = write_pace(4, {"burst": 9}, [(10, 1.0), (1000, 3600.0)])
    assert read_pace(kept, 25) == Pace(4, {"burst": 9}, (own_limit(10, 1), own_limit(1000, 3600)))
    assert write_pace(None, {}, []) is None
    assert read_pace(None, 25).at_once == 25
    assert read_pace(None).at_once == 10


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://API.example.com/a?b#c", "api.example.com"),
        ("https://api.example.com:8443?x=1/2", "api.example.com:8443"),
        ("https://user:pass@api.example.com/", "api.example.com"),
        ("smtp://mail.example.com", "mail.example.com"),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_a_host_is_read_from_any_address(url: str, host: str) -> None:
    assert host_of(url) == host


def test_addresses_without_end_do_not_fill_the_memory() -> None:
    clock = FakeClock()
    limits = Limits(clock)
    for number in range(12_000):
        limits.take(call(path=f"https://{number}.example.com/"))
    assert len(limits._lanes) <= 5000
    assert len(limits._hosts) <= 5000
