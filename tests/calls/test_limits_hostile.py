"""Absurd numbers, clocks that jump, rows that make no sense: calls go on, and nothing waits for ever."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from app.calls.connections.pace import MOST_AT_ONCE, Pace, own_limit, read_pace
from app.calls.limits.keeping import Keeper
from app.calls.limits.limits import MAX_PAUSE_S, Limits
from app.calls.limits.model import MemoryBook, Window, read_kept
from app.catalog.format.definition import Limit
from app.errors import CallFailed
from app.storage.connections import limits as store
from app.storage.connections.limits import LaneRow
from app.storage.database.db import Database
from tests.calls.calling import call, connection
from tests.fakes.clock import FakeClock


def asked_to_wait(wait_s: float) -> CallFailed:
    return CallFailed("rate_limited", "slow down", wait_s=wait_s)


@pytest.mark.parametrize("wait_s", [10**18, 1e300, float("inf")])
def test_nobody_can_ask_for_more_than_a_day(wait_s: float) -> None:
    limits, request = Limits(FakeClock()), call(connection=connection())
    limits.heed(request, asked_to_wait(wait_s))
    assert limits.paused_for("con_1") == MAX_PAUSE_S


@pytest.mark.parametrize("wait_s", [float("nan"), -1.0, -(10.0**18), float("-inf"), 0.0])
def test_a_wait_that_is_none_holds_nobody_back_for_long(wait_s: float) -> None:
    limits, request = Limits(FakeClock()), call(connection=connection())
    limits.heed(request, asked_to_wait(wait_s))
    wait = limits.take(request)
    assert wait is None or 0 <= wait.seconds <= 2


@pytest.mark.parametrize("most", [1, 10**8])
@pytest.mark.parametrize("per_s", [0.001, 31 * 86400.0])
def test_the_smallest_and_the_largest_numbers_work(most: int, per_s: float) -> None:
    clock = FakeClock()
    limits = Limits(clock)
    request = call(connection=connection(pace=Pace(own=(own_limit(most, per_s),))))
    assert limits.take(request) is None
    wait = limits.take(request)
    assert wait is None or wait.seconds <= per_s + 1


@pytest.mark.parametrize(
    "kept",
    [
        {"at_once": 0, "own": [[0, 60]], "changed": {"burst": 0}},
        {"at_once": -5, "own": [[5, 0]], "changed": {"burst": -1}},
        {"at_once": "many", "own": [["x", "y"], [1], None], "changed": {"burst": None}},
        {"at_once": 10**9, "own": [[10**30, 10**30]], "changed": {"burst": 10**30}},
        {"own": "nonsense", "changed": []},
        ["not", "a", "table"],
        "nonsense",
        7,
    ],
)
def test_numbers_on_record_that_make_no_sense_count_for_nothing(kept: Any) -> None:
    pace = read_pace(kept)
    burst = Limit(key="burst", requests=10, per="1s")
    assert 1 <= pace.at_once <= MOST_AT_ONCE
    assert all(1 <= limit.requests <= 10**8 and limit.per > 0 for limit in pace.limits((burst,)))


@pytest.mark.parametrize(
    "kept",
    [
        {"windows": {"burst/10": {"most": 0, "per": 10, "starts": [1.0], "in_group": 0}}, "unseen": 3},
        {"windows": {"burst/10": {"most": 3}}, "unseen": 0},
        {"windows": {"burst/10": None}},
        {"windows": []},
        {},
        [],
        "nonsense",
    ],
)
def test_a_budget_on_record_that_cannot_be_read_is_begun_anew(kept: Any) -> None:
    clock = FakeClock()
    book = MemoryBook(clock, read=lambda: [("con_1", kept, clock.now())])
    asyncio.run(book.start())
    limit = Limit(key="burst", requests=3, per="10s")
    assert book.take("con_1", (limit,)).wait_s <= 10
    if isinstance(kept, dict):
        read_kept(kept.get("windows"))


def test_calls_on_record_from_the_future_do_not_close_a_window_for_good() -> None:
    """The clock was a year ahead when they were written."""
    clock = FakeClock()
    ahead = clock.now() + timedelta(days=365)
    starts = [ahead.timestamp()] * 3
    kept = {"windows": {"burst/10": {"most": 3, "per": 10.0, "starts": starts, "in_group": 0}}, "unseen": 0}
    book = MemoryBook(clock, read=lambda: [("con_1", kept, ahead)])
    asyncio.run(book.start())
    limit = Limit(key="burst", requests=3, per="10s")
    assert book.take("con_1", (limit,)).wait_s <= 10


def test_a_window_of_more_calls_than_it_may_hold_is_full_and_no_more() -> None:
    window = Window(5, 10.0)
    for _ in range(50):
        window.book(100.0)
    assert window.used(100.0) == 5
    assert window.earliest(100.0) == 110.0


def test_a_clock_that_jumps_while_calls_go_changes_nothing() -> None:
    clock = FakeClock()
    limits, request = Limits(clock), call(connection=connection(pace=Pace(own=(own_limit(2, 60.0),))))
    assert [limits.take(request) for _ in range(2)] == [None, None]
    clock.set(clock.now() + timedelta(days=4000))
    wait = limits.take(request)
    assert wait is not None
    assert wait.seconds == 60
    clock.set(clock.now() - timedelta(days=9000))
    wait = limits.take(request)
    assert wait is not None
    assert wait.seconds == 60


@pytest.mark.parametrize("days", [-4000, 4000])
def test_rows_of_another_time_hold_nothing_back_for_good(database: Database, days: int) -> None:
    clock = FakeClock()
    at = clock.now() + timedelta(days=days)
    row = LaneRow("con_1|api.example.com", "con_1", "api.example.com", at, at, 3, at, "It failed.")
    database.write(lambda db: store.keep_lane(db, row))
    limits = Limits(clock)
    Keeper(database, clock).take_up(limits)
    clock.advance(MAX_PAUSE_S)
    assert limits.take(call(connection=connection())) is None
