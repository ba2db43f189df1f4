"""In which order runs are taken, and that none is under way twice."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from app.engine.dispatch.embedded import EmbeddedDispatcher
from app.engine.dispatch.tickets import MostAtOnce, RunTicket
from tests.fakes.clock import FakeClock


def _ticket(flow: str, number: int) -> RunTicket:
    return RunTicket(f"run_{flow}{number}", flow, "ver", "evt", b"{}")


def _order(tickets: list[RunTicket], slots: int = 1) -> list[str]:
    taken: list[str] = []

    async def execute(ticket: RunTicket) -> datetime | None:
        taken.append(ticket.run_id)
        await asyncio.sleep(0)
        return None

    async def main() -> None:
        dispatcher = EmbeddedDispatcher(FakeClock(), slots=slots)
        dispatcher.start(asyncio.get_running_loop(), execute)
        dispatcher.enqueue(tickets)
        while dispatcher.backlog() or dispatcher.under_way():
            await asyncio.sleep(0)

    asyncio.run(main())
    return taken


def test_a_spike_of_one_flow_does_not_starve_another() -> None:
    spike = [_ticket("spike", n) for n in range(1000)]
    taken = _order([*spike, _ticket("calm", 1), _ticket("calm", 2)])
    assert taken.index("run_calm1") < 5
    assert taken.index("run_calm2") < 10
    assert len(taken) == 1002


def test_runs_of_one_flow_are_begun_in_the_order_they_came() -> None:
    tickets = [_ticket("one", n) for n in range(50)]
    assert _order(tickets) == [ticket.run_id for ticket in tickets]


def test_a_run_that_is_named_twice_is_done_once() -> None:
    ticket = _ticket("one", 1)
    assert _order([ticket, ticket, ticket]) == ["run_one1"]


def test_a_short_wait_is_timed_to_its_moment() -> None:
    clock = FakeClock()
    times: list[int] = []

    async def execute(ticket: RunTicket) -> datetime | None:
        times.append(1)
        return clock.now() + timedelta(milliseconds=5) if len(times) == 1 else None

    async def main() -> None:
        dispatcher = EmbeddedDispatcher(clock, slots=4)
        dispatcher.start(asyncio.get_running_loop(), execute)
        dispatcher.enqueue([_ticket("one", 1)])
        async with asyncio.timeout(60):
            while len(times) < 2:
                await asyncio.sleep(0)

    asyncio.run(main())
    assert len(times) == 2


def _most_seen(most_at_once: MostAtOnce, tickets: int = 30) -> int:
    under_way, seen, left = 0, 0, tickets

    async def execute(ticket: RunTicket) -> datetime | None:
        nonlocal under_way, seen, left
        under_way += 1
        seen = max(seen, under_way)
        for _ in range(5):
            await asyncio.sleep(0)
        under_way -= 1
        left -= 1
        return None

    async def main() -> None:
        dispatcher = EmbeddedDispatcher(FakeClock(), slots=20)
        dispatcher.start(asyncio.get_running_loop(), execute, most_at_once)
        dispatcher.enqueue([_ticket("one", number) for number in range(tickets)])
        while left:
            await asyncio.sleep(0)

    asyncio.run(main())
    return seen


def test_a_flow_has_no_more_runs_under_way_than_its_setting_says() -> None:
    assert _most_seen(lambda version_id: 3) == 3
    assert _most_seen(lambda version_id: 1) == 1


def test_a_flow_without_the_setting_takes_all_the_room_there_is() -> None:
    assert _most_seen(lambda version_id: 0) == 20


def test_a_flow_that_nobody_has_read_yet_begins_with_one_run() -> None:
    assert _most_seen(lambda version_id: None) == 1


def test_stopping_waits_for_those_under_way_and_begins_no_more() -> None:
    done: list[str] = []

    async def main() -> int:
        gate = asyncio.Event()

        async def execute(ticket: RunTicket) -> datetime | None:
            await gate.wait()
            done.append(ticket.run_id)
            return None

        dispatcher = EmbeddedDispatcher(FakeClock(), slots=2)
        dispatcher.start(asyncio.get_running_loop(), execute)
        dispatcher.enqueue([_ticket("one", n) for n in range(5)])
        while dispatcher.under_way() < 2:
            await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(gate.set)
        return await dispatcher.stop(5)

    assert asyncio.run(main()) == 0
    assert len(done) == 2
