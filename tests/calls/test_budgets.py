"""Windows hold whatever happens, who waits comes in turn, and a start knows what was used before."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.calls.limits.model import Line, MemoryBook, Window
from app.catalog.format.definition import Limit
from tests.fakes.clock import FakeClock


def limit(key: str, requests: int, seconds: int) -> Limit:
    return Limit(key=key, requests=requests, per=f"{seconds}s")


BURST, HOURLY, DAILY = limit("burst", 3, 10), limit("hourly", 5, 3600), limit("daily", 100, 86400)
TEN_A_SECOND = limit("second", 10, 1)


def take(book: MemoryBook, *limits: Limit, flow: str = "a", back: bool = False) -> tuple[float, bool]:
    return tuple(book.take("con_1", limits or (BURST,), flow=flow, is_back=back))  # type: ignore[return-value]


# ------------------------------------------------------------------------------------ windows


def test_the_call_after_the_last_allowed_one_comes_when_the_window_moves() -> None:
    clock = FakeClock()
    book = MemoryBook(clock)
    told = []
    for _ in range(5):
        told.append(take(book)[0])
        clock.advance(1)
    assert told == [0, 0, 0, 7, 7]


def test_who_waits_is_told_the_moment_of_its_turn() -> None:
    book = MemoryBook(FakeClock())
    assert [take(book)[0] for _ in range(10)] == [0, 0, 0, 10, 10, 10, 20, 20, 20, 30]


def test_a_wait_of_a_moment_is_made_in_place_and_is_counted() -> None:
    clock = FakeClock()
    book = MemoryBook(clock)
    assert [take(book, limit("sec", 1, 1)) for _ in range(1)] == [(0.0, True)]
    clock.advance(0.75)
    assert take(book, limit("sec", 1, 1)) == (0.25, True)
    assert take(book, limit("sec", 1, 1)) == (1.25, False)


def test_several_windows_hold_at_once() -> None:
    clock = FakeClock()
    book = MemoryBook(clock)
    gone = []
    for _ in range(8):
        wait, is_mine = take(book, BURST, HOURLY, DAILY)
        while not is_mine:
            clock.advance(wait)
            wait, is_mine = take(book, BURST, HOURLY, DAILY, back=True)
        gone.append(clock.monotonic() - 1000)
    assert gone == [0, 0, 0, 10, 10, 3600, 3600, 3600]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(1, 60),
    st.lists(st.tuples(st.floats(0, 20), st.sampled_from("abc")), min_size=1, max_size=120),
)
def test_no_window_ever_holds_more_than_allowed(
    most: int, per: int, arrivals: list[tuple[float, str]]
) -> None:
    clock = FakeClock()
    book = MemoryBook(clock)
    only = limit("only", most, per)
    gone: list[float] = []
    waiting: list[tuple[float, str]] = []
    for gap, flow in arrivals:
        now = clock.monotonic() + gap
        while waiting and min(waiting)[0] <= now:
            moment, of_flow = min(waiting)
            waiting.remove((moment, of_flow))
            clock.advance(max(0.0, moment - clock.monotonic()))
            _take(book, only, of_flow, clock, gone, waiting, back=True)
        clock.advance(max(0.0, now - clock.monotonic()))
        _take(book, only, flow, clock, gone, waiting, back=False)
    gone.sort()
    for at, moment in enumerate(gone):
        assert len([one for one in gone[at:] if one < moment + per - 1e-6]) <= most


def _take(
    book: MemoryBook,
    only: Limit,
    flow: str,
    clock: FakeClock,
    gone: list[float],
    waiting: list[tuple[float, str]],
    *,
    back: bool,
) -> None:
    wait, is_mine = take(book, only, flow=flow, back=back)
    (gone if is_mine else waiting).append(  # type: ignore[attr-defined]
        clock.monotonic() + wait if is_mine else (clock.monotonic() + wait, flow)
    )


@pytest.mark.parametrize("flows", [1, 3])
def test_a_spike_is_through_at_the_moment_its_last_run_was_told(flows: int) -> None:
    clock = FakeClock()
    book = MemoryBook(clock)
    waiting: list[tuple[float, int, str]] = []
    for number in range(1000):
        flow = str(number % flows)
        wait, is_mine = take(book, TEN_A_SECOND, flow=flow)
        if not is_mine:
            waiting.append((clock.monotonic() + wait, number, flow))
    last = max(waiting)[0]
    came_again = 0
    while waiting:
        waiting.sort()
        moment, number, flow = waiting.pop(0)
        clock.advance(max(0.0, moment - clock.monotonic()))
        wait, is_mine = take(book, TEN_A_SECOND, flow=flow, back=True)
        if not is_mine:
            came_again += 1
            waiting.append((clock.monotonic() + wait, number, flow))
    assert last - 1000 == pytest.approx(99, abs=1)
    assert clock.monotonic() <= last + 1
    assert came_again < 50


def test_a_large_window_counts_in_groups_and_never_lets_too_many_go() -> None:
    window = Window(250_000, 86400.0)
    now, gone = 0.0, 0
    while (start := window.earliest(now)) <= now:
        window.book(start)
        gone += 1
    assert 0.99 * 250_000 <= gone <= 250_000


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 2500), st.integers(0, 3000), st.integers(0, 5000))
def test_a_turn_that_is_foretold_is_the_turn_that_comes(most: int, gone: int, ahead: int) -> None:
    window = Window(most, 100.0)
    for _ in range(gone):
        window.book(window.earliest(0.0))
    told = window.after(ahead, 0.0)
    for _ in range(ahead):
        window.book(window.earliest(0.0))
    assert window.earliest(0.0) == pytest.approx(told)


def test_a_changed_number_counts_on() -> None:
    clock = FakeClock()
    book = MemoryBook(clock)
    assert [take(book, limit("sec", 3, 10))[0] for _ in range(3)] == [0] * 3
    assert [take(book, limit("sec", 5, 10))[0] for _ in range(3)] == [0, 0, 10]


# --------------------------------------------------------------------------------------- fair


def test_a_spike_of_one_flow_does_not_make_another_wait_for_its_end() -> None:
    book = MemoryBook(FakeClock())
    spike = [take(book, TEN_A_SECOND, flow="spike")[0] for _ in range(4000)]
    others = [take(book, TEN_A_SECOND, flow="other")[0] for _ in range(20)]
    assert spike[-1] > 390
    assert others[-1] < 6


def test_who_was_overtaken_at_its_turn_is_the_next() -> None:
    clock = FakeClock()
    book = MemoryBook(clock)
    for _ in range(300):
        take(book, flow="spike")
    for _ in range(3):
        take(book, flow="other")
    clock.advance(10)
    for _ in range(3):
        assert take(book, flow="other", back=True) == (0.0, True)
    wait, is_mine = take(book, flow="spike", back=True)
    assert (wait, is_mine) == (10, False)


def test_a_run_that_never_comes_back_costs_nothing() -> None:
    clock = FakeClock()
    book = MemoryBook(clock)
    for _ in range(300):
        take(book)
    clock.advance(15)
    assert take(book) == (0.0, False) or take(book)[1]
    clock.advance(985)
    assert take(book) == (0.0, True)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 5)), max_size=60))
def test_a_line_never_has_a_place_before_its_beginning(steps: list[tuple[str, bool, float]]) -> None:
    line, now = Line(), 0.0
    for flow, is_back, gap in steps:
        now += gap
        if is_back:
            line.leave(flow, now)
        ahead = line.ahead(flow, is_back=is_back, now=now)
        assert 0 <= ahead <= len(line)
        line.join(flow, now + ahead, is_back=is_back)


# ------------------------------------------------------------------------------ over a stop


class Kept:
    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.rows: dict[str, tuple[Any, datetime]] = {}
        self.writes = 0

    def keep(self, connection_id: str, windows: Any) -> None:
        self.writes += 1
        self.rows[connection_id] = (windows, self._clock.now())

    def read(self) -> list[tuple[str, Any, datetime]]:
        return [(key, *row) for key, row in self.rows.items()]

    def book(self) -> MemoryBook:
        return MemoryBook(self._clock, self.keep, self.read)


def test_a_day_that_is_used_up_is_so_after_a_restart_as_well() -> None:
    clock = FakeClock()
    kept = Kept(clock)
    book = kept.book()
    assert [take(book, DAILY)[0] for _ in range(100)] == [0] * 100
    asyncio.run(book.close())
    clock.advance(3600)
    again = kept.book()
    asyncio.run(again.start())
    assert take(again, DAILY) == (pytest.approx(86400 - 3600), False)


def test_after_a_crash_what_may_have_been_called_counts_as_called() -> None:
    clock = FakeClock()
    kept = Kept(clock)
    book = kept.book()
    for _ in range(55):
        assert take(book, DAILY) == (0.0, True)
    clock.advance(1)
    again = kept.book()
    asyncio.run(again.start())
    gone = 0
    while take(again, DAILY)[1]:
        gone += 1
    assert 100 - 55 - 40 <= gone <= 100 - 55


def test_after_a_crash_a_short_window_is_full_until_it_is_over() -> None:
    clock = FakeClock()
    kept = Kept(clock)
    take(kept.book(), BURST)
    again = kept.book()
    asyncio.run(again.start())
    assert take(again, BURST)[0] == 10
    clock.advance(10)
    assert take(again, BURST, back=True)[1]


def test_a_long_window_is_written_rarely() -> None:
    clock = FakeClock()
    kept = Kept(clock)
    book = kept.book()
    for _ in range(40_000):
        take(book, limit("day", 40_000, 86400))
    assert kept.writes <= 55


def test_connections_that_rest_do_not_stay_in_memory() -> None:
    clock = FakeClock()
    book = MemoryBook(clock)
    for number in range(50):
        book.take(f"con_{number}", (BURST,), flow="a", is_back=False)
    clock.advance(3600)
    for _ in range(2):
        take(book, BURST)
        clock.advance(10)
    assert len(book._budgets) == 1
