"""Several processes on one PostgreSQL keep a connection's limits together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.calls.connections.pace import Pace
from app.calls.limits.keeping import outlive
from app.calls.limits.limits import Limits
from app.calls.limits.model import Place
from app.calls.limits.shared import SharedBook, share_of_slots
from app.calls.message.call import Answer
from app.catalog.format.definition import Limit
from app.errors import CallFailed
from app.storage.connections.limits import SharedBudgets
from app.storage.database.db import Database
from tests.calls.calling import call, connection
from tests.fakes.clock import FakeClock

TEN_A_SECOND = Limit(key="second", requests=10, per="1s")
DAILY = Limit(key="daily", requests=100, per="86400s")
AWAY = CallFailed("unavailable", "api.example.com is unavailable.", status=503)


@pytest.fixture
def shared(postgres_url: str) -> Iterator[Database]:
    database = Database(postgres_url)
    database.start()
    try:
        yield database
    finally:
        database.close()


class Counting(SharedBudgets):
    changes = 0

    def change(self, connection_id: str, work: Any) -> Any:
        self.changes += 1
        return super().change(connection_id, work)


@asynccontextmanager
async def books(database: Database, clock: FakeClock, number: int = 2) -> Any:
    made = [
        SharedBook(clock, Counting(database.url, lambda connection: clock.now().timestamp()))
        for _ in range(number)
    ]
    try:
        yield made
    finally:
        for book in made:
            await book.close()


@asynccontextmanager
async def processes(database: Database, clock: FakeClock) -> Any:
    """The limits of two processes, which keep what they learn in the database."""
    made = Limits(clock), Limits(clock)
    for limits in made:
        outlive(limits, database, clock)
        await limits.start()
    try:
        yield made
    finally:
        for limits in made:
            await limits.close()


def ask(book: SharedBook, *limits: Limit, flow: str = "a", back: bool = False) -> Awaitable[Place]:
    return book.ask("con_1", limits or (TEN_A_SECOND,), flow=flow, is_back=back, pause_s=0.0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


# ------------------------------------------------------------------------------------ windows


@pytest.mark.postgres
def test_two_processes_together_make_no_more_calls_than_one_may(shared: Database) -> None:
    async def work() -> None:
        clock = FakeClock()
        async with books(shared, clock) as (one, other):
            places = await asyncio.gather(*(ask(book) for _ in range(15) for book in (one, other)))
            assert sum(place.is_mine for place in places) == 10
            clock.advance(1)
            places = await asyncio.gather(*(ask(book, back=True) for _ in range(9) for book in (one, other)))
            assert sum(place.is_mine for place in places) == 10

    asyncio.run(work())


@pytest.mark.postgres
def test_the_end_of_a_spike_is_foretold_for_all_processes_together(shared: Database) -> None:
    async def work() -> None:
        async with books(shared, FakeClock()) as (one, other):
            mine = await asyncio.gather(*(ask(one) for _ in range(200)))
            theirs = await asyncio.gather(*(ask(other) for _ in range(200)))
            assert max(place.wait_s for place in mine) == pytest.approx(19, abs=1)
            assert max(place.wait_s for place in theirs) == pytest.approx(39, abs=1)

    asyncio.run(work())


@pytest.mark.postgres
def test_a_flow_in_one_process_does_not_wait_for_the_spike_of_another_flow_in_the_other(
    shared: Database,
) -> None:
    async def work() -> None:
        async with books(shared, FakeClock()) as (one, other):
            await asyncio.gather(*(ask(one, flow="spike") for _ in range(1000)))
            calm = await asyncio.gather(*(ask(other, flow="calm") for _ in range(5)))
            assert max(place.wait_s for place in calm) < 5

    asyncio.run(work())


@pytest.mark.postgres
def test_calls_that_come_together_go_to_the_database_together(shared: Database) -> None:
    async def work() -> None:
        async with books(shared, FakeClock(), 1) as (book,):
            await asyncio.gather(*(ask(book, DAILY) for _ in range(90)))
            assert book._rows.changes <= 3

    asyncio.run(work())


@pytest.mark.postgres
def test_what_a_process_used_counts_after_its_end(shared: Database) -> None:
    async def work() -> None:
        clock = FakeClock()
        async with books(shared, clock, 1) as (book,):
            await asyncio.gather(*(ask(book, DAILY) for _ in range(100)))
        clock.advance(3600)
        async with books(shared, clock, 1) as (again,):
            place = await ask(again, DAILY)
        assert (place.wait_s, place.is_mine) == (pytest.approx(86400 - 3600), False)

    asyncio.run(work())


@pytest.mark.postgres
def test_with_the_database_away_a_call_waits_and_does_not_go_uncounted(shared: Database) -> None:
    class Gone(SharedBudgets):
        def change(self, connection_id: str, work: Any) -> Any:
            raise OSError("no route")

    async def work() -> Place:
        book = SharedBook(FakeClock(), Gone(shared.url))
        try:
            return await ask(book)
        finally:
            await book.close()

    assert asyncio.run(work()) == Place(1.0, False)


# ------------------------------------------------------------------------------ calls at once


@pytest.mark.postgres
def test_calls_at_once_are_shared_and_given_on(shared: Database) -> None:
    async def work() -> None:
        clock, uses = FakeClock(), [(4, 6), (0, 0)]
        async with books(shared, clock) as (one, other):
            one.in_use, other.in_use = lambda _: uses[0], lambda _: uses[1]
            await until(lambda: one.room("con_1", 4) == 4)
            uses[1] = (0, 5)
            await until(lambda: other.room("con_1", 4) == 0 and one.room("con_1", 4) == 2)
            uses[0] = (2, 6)
            await until(lambda: other.room("con_1", 4) == 2)
            assert one.room("con_1", 4) == 2
            uses[0] = (0, 0)
            await until(lambda: other.room("con_1", 4) >= 3)

    asyncio.run(work())


def test_a_process_that_has_gone_silent_keeps_nothing_for_long() -> None:
    slots: dict[str, list[float]] = {}
    assert share_of_slots(slots, "dead", most=4, wants=4, under_way=4, now=0.0) == 4
    assert share_of_slots(slots, "alive", most=4, wants=4, under_way=0, now=1.0) == 0
    assert share_of_slots(slots, "alive", most=4, wants=4, under_way=0, now=16.0) == 4


def test_with_one_call_at_once_two_processes_take_turns() -> None:
    slots: dict[str, list[float]] = {}
    now, had, use = 0.0, {"one": 0, "other": 0}, {"one": 0, "other": 0}
    for _ in range(40):
        now += 0.25
        for name in use:
            room = share_of_slots(slots, name, most=1, wants=5, under_way=use[name], now=now)
            use[name] = 1 if room else 0
            had[name] += use[name]
            assert sum(use.values()) <= 1
    assert min(had.values()) >= 8


def test_who_uses_nothing_gives_all_to_who_wants_it() -> None:
    slots: dict[str, list[float]] = {}
    share_of_slots(slots, "page", most=4, wants=0, under_way=0, now=0.0)
    share_of_slots(slots, "worker", most=4, wants=9, under_way=0, now=0.0)
    assert share_of_slots(slots, "page", most=4, wants=0, under_way=0, now=0.5) == 0
    assert share_of_slots(slots, "worker", most=4, wants=9, under_way=2, now=0.6) == 4


# ------------------------------------------------------------------------------- left alone


@pytest.mark.postgres
def test_what_one_process_leaves_alone_the_other_does_too_and_one_of_them_tries(shared: Database) -> None:
    async def work() -> None:
        clock, request = FakeClock(), call(connection=connection(pace=Pace(at_once=5)))
        async with processes(shared, clock) as (one, other):
            place = one.lane_for(request).place
            for _ in range(10):
                one.heed(request, AWAY)
            assert one.keeper is not None
            await one.keeper.finish()
            assert await other.turn(request) is None, "nobody has told it yet"
            other.hear(place)
            await until(lambda: other.lane_for(request).tried_at > 0)
            wait = await other.turn(request)
            assert wait is not None
            assert wait.why == "away"
            clock.advance(31)
            first, second = await one.turn(request), await other.turn(request)
            assert first is None
            assert second is not None
            one.heed(request, None)
            await one.keeper.finish()
            other.hear(place)
            await until(lambda: other.lane_for(request).tried_at == 0)
            assert await other.turn(request) is None

    asyncio.run(work())


@pytest.mark.postgres
def test_what_one_process_reads_from_a_good_answer_holds_the_other_back_too(shared: Database) -> None:
    async def work() -> None:
        clock, request = FakeClock(), call(connection=connection(pace=Pace(at_once=5)))
        async with processes(shared, clock) as (one, other):
            headers = [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "600")]
            one.heed(request, None, Answer(200, headers, b"{}"))
            assert one.keeper is not None
            await one.keeper.finish()
            other.hear(one.lane_for(request).place)
            await until(lambda: other.lane_for(request).paused_until > 0)
            wait = await other.turn(request)
            assert wait is not None
            assert (wait.seconds, wait.why) == (600, "pause")
            assert other.lane_for(request).pause_said == "X-RateLimit-Remaining: 0"
            clock.advance(600)
            assert await other.turn(request) is None

    asyncio.run(work())


@pytest.mark.postgres
def test_a_process_that_missed_the_message_finds_out_when_it_is_about_to_try(shared: Database) -> None:
    async def work() -> None:
        clock, request = FakeClock(), call(connection=connection())
        limits = Limits(clock)
        outlive(limits, shared, clock)
        await limits.start()
        limits.lane_for(request).tried_at = clock.monotonic() - 1
        assert await limits.turn(request) is None
        assert limits.lane_for(request).tried_at == 0
        await limits.close()

    asyncio.run(work())
