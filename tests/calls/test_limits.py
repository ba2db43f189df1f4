"""A connection's calls stay within its limits, and waiting calls come one after another."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.calls.limits import MAX_PAUSE_S, Budgets, Window
from app.catalog.definition import Limit
from tests.fakes.clock import FakeClock


def limit(key: str, requests: int, seconds: int) -> Limit:
    return Limit(key=key, requests=requests, per=f"{seconds}s")


BURST, DAILY, SEARCH = limit("burst", 3, 10), limit("daily", 5, 86400), limit("search", 1, 60)


def test_without_limits_nothing_waits() -> None:
    budgets = Budgets(FakeClock())
    assert [budgets.reserve("con_1", ()) for _ in range(100)] == [0.0] * 100


def test_the_call_after_the_last_allowed_one_waits_until_the_window_moves() -> None:
    clock = FakeClock()
    budgets = Budgets(clock)
    waits = []
    for number in range(5):
        waits.append(budgets.reserve("con_1", (BURST,), ticket=f"t{number}"))
        clock.advance(1)
    assert waits == [0, 0, 0, 7, 7]


def test_waiting_calls_are_given_places_one_after_another() -> None:
    clock = FakeClock()
    budgets = Budgets(clock)
    waits = [budgets.reserve("con_1", (BURST,), ticket=f"t{number}") for number in range(9)]
    assert waits == [0, 0, 0, 10, 10, 10, 20, 20, 20]
    clock.advance(10)
    assert [budgets.reserve("con_1", (BURST,), ticket=f"t{n}") for n in (3, 4, 5, 6)] == [0, 0, 0, 10]
    assert budgets.reserve("con_1", (BURST,), ticket="late") == 20


def test_asking_too_early_with_the_same_ticket_keeps_the_place() -> None:
    clock = FakeClock()
    budgets = Budgets(clock)
    for number in range(4):
        budgets.reserve("con_1", (BURST,), ticket=f"t{number}")
    clock.advance(4)
    assert budgets.reserve("con_1", (BURST,), ticket="t3") == 6
    assert budgets.reserve("con_1", (BURST,), ticket="t4") == 6
    clock.advance(6)
    assert budgets.reserve("con_1", (BURST,), ticket="t3") == 0


def test_several_windows_hold_at_once() -> None:
    clock = FakeClock()
    budgets = Budgets(clock)
    for number in range(5):
        wait = budgets.reserve("con_1", (BURST, DAILY), ticket=f"t{number}")
        if wait:
            clock.advance(wait)
            assert budgets.reserve("con_1", (BURST, DAILY), ticket=f"t{number}") == 0
    assert budgets.reserve("con_1", (BURST, DAILY), ticket="t6") == pytest.approx(86390, abs=1)


def test_a_line_before_one_window_does_not_hold_up_calls_that_do_not_count_there() -> None:
    budgets = Budgets(FakeClock())
    waits = [budgets.reserve("con_1", (BURST, SEARCH), ticket=f"s{number}") for number in range(20)]
    assert waits[:3] == [0, 60, 120]
    assert budgets.reserve("con_1", (BURST,), ticket="write") == 0


def test_connections_do_not_share_limits() -> None:
    budgets = Budgets(FakeClock())
    for number in range(3):
        budgets.reserve("con_1", (BURST,), ticket=f"t{number}")
    assert budgets.reserve("con_2", (BURST,), ticket="x") == 0
    assert budgets.reserve("con_1", (BURST,), ticket="x") == 10


def test_without_a_ticket_no_place_is_kept() -> None:
    clock = FakeClock()
    budgets = Budgets(clock)
    assert [budgets.reserve("con_1", (BURST,)) for _ in range(6)] == [0, 0, 0, 10, 10, 10]
    clock.advance(10)
    assert budgets.reserve("con_1", (BURST,)) == 0


def test_a_pause_holds_all_calls_back_and_lets_them_go_one_after_another() -> None:
    clock = FakeClock()
    budgets = Budgets(clock)
    budgets.pause("con_1", 30)
    budgets.pause("con_1", 5)
    waits = [budgets.reserve("con_1", (), ticket=f"t{number}") for number in range(200)]
    assert waits == sorted(waits)
    assert waits[0] >= 30
    assert 30.9 < waits[-1] < 31.1
    clock.advance(30)
    assert budgets.reserve("con_1", ()) == 0


def test_an_absurd_pause_ends_after_a_day_and_a_person_can_lift_it() -> None:
    clock = FakeClock()
    budgets = Budgets(clock)
    budgets.pause("con_1", 10**12)
    assert budgets.paused_for("con_1") == MAX_PAUSE_S
    budgets.lift("con_1")
    assert budgets.reserve("con_1", ()) == 0


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(1, 60),
    st.lists(st.floats(0, 20, allow_nan=False), min_size=1, max_size=150),
)
def test_no_window_ever_holds_more_than_allowed(most: int, per: int, gaps: list[float]) -> None:
    clock = FakeClock()
    budgets = Budgets(clock)
    gone: list[float] = []
    for number, gap in enumerate(gaps):
        clock.advance(gap)
        while wait := budgets.reserve("con_1", (limit("only", most, per),), ticket=f"t{number}"):
            clock.advance(wait)
        gone.append(clock.monotonic())
    for at, moment in enumerate(gone):
        later = [one for one in gone[at:] if one < moment + per - 1e-6]
        assert len(later) <= most


def test_a_large_window_counts_in_groups_and_never_lets_too_many_go() -> None:
    window = Window(250_000, 86400.0)
    now, gone = 0.0, 0
    while (start := window.earliest(now)) <= now:
        window.book(start)
        gone += 1
    assert 0.99 * 250_000 <= gone <= 250_000
