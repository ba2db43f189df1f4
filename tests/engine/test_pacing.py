"""What a run does when its service takes no more calls: it waits, says why, and goes on by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.calls.connections.pace import write_pace
from app.calls.limits.limits import Limits
from app.engine.dispatch.tickets import RunTicket
from app.engine.holds import wake_line
from app.parts import open_parts
from app.settings import Settings
from app.storage.connections.limits import lanes_in_force, open_breakers
from app.storage.tables.models import Lane
from tests.engine.world import World, http
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService

SAFE = http("s1", "/x", repeat="safe")


def through(world: World, connection_id: str, **more: Any) -> dict[str, Any]:
    return http("s1", "/x", repeat="safe", request={"connection_id": connection_id}, **more)


def fail_until_left_alone(world: World, flow: tuple[str, str], calls: int = 10) -> list[RunTicket]:
    world.service.answers("POST", "/x", 503)
    tickets = [world.event(flow, {"email": f"{number}@example.com"}) for number in range(calls)]
    for ticket in tickets:
        world.perform(ticket)
    return tickets


def opened_again(world: World, folder: Path) -> World:
    """The server is stopped and started on the same data."""
    world.parts.engine.stop(2)
    world.parts.database.close()
    settings = Settings(data_dir=folder, secret_key="5a" * 32)
    parts = open_parts(settings, clock=world.clock, transport=world.service.transport)
    parts.engine.start()
    return World(parts, world.service, world.clock)


@pytest.fixture
def restarted(world: World, tmp_path: Path) -> Iterator[Any]:
    opened: list[World] = []

    def again() -> World:
        opened.append(opened_again(opened[-1] if opened else world, tmp_path))
        return opened[-1]

    yield again
    for one in opened:
        one.parts.engine.stop(2)
        one.parts.database.close()


# ------------------------------------------------------------------------------- left alone


def test_a_host_that_fails_is_left_alone_and_its_runs_wait_with_a_sentence(world: World) -> None:
    flow = world.live(SAFE)
    fail_until_left_alone(world, flow)
    late = world.event(flow, {"email": "late@example.com"})
    world.perform(late)
    run = world.state(late)
    assert (run.state, run.reason) == ("waiting", "away")
    assert "api.example.com failed so often that it is left alone" in run.sentence
    assert (run.wake_at - world.clock.now()).total_seconds() >= 30
    assert len(world.service.requests) == 10, "the eleventh call was not made"


def test_once_the_host_answers_again_every_run_is_sent(world: World) -> None:
    flow = world.live(SAFE)
    tickets = fail_until_left_alone(world, flow)
    tickets += [world.event(flow, {"email": f"{n}@late.example.com"}) for n in range(5)]
    for ticket in tickets[10:]:
        world.perform(ticket)
    world.service.answers("POST", "/x", {})
    world.clock.advance(100)
    for ticket in tickets:
        world.again(ticket)
    assert {world.state(ticket).state for ticket in tickets} == {"succeeded"}


def test_an_outage_uses_up_nobodys_attempts(world: World) -> None:
    flow = world.live(http("s1", "/x", repeat="safe", retry={"preset": "quick"}))
    tickets = fail_until_left_alone(world, flow)
    for _ in range(8):
        world.clock.advance(700)
        for ticket in tickets:
            world.again(ticket)
    states = [world.state(ticket) for ticket in tickets]
    assert {(run.state, run.reason) for run in states} == {("waiting", "away")}
    world.service.answers("POST", "/x", {})
    world.clock.advance(700)
    for ticket in tickets:
        world.again(ticket)
    assert {world.state(ticket).state for ticket in tickets} == {"succeeded"}


def test_a_step_that_is_to_give_up_at_once_does_so(world: World) -> None:
    flow = world.live(http("s1", "/x", repeat="safe", retry={"preset": "none"}))
    tickets = fail_until_left_alone(world, flow)
    assert {world.state(ticket).state for ticket in tickets} == {"dead"}


def test_one_connection_that_fails_leaves_another_to_the_same_host_alone(world: World) -> None:
    broken, fine = world.connect(), world.connect(name="Their CRM")
    fail_until_left_alone(world, world.live(through(world, broken)))
    world.service.answers("POST", "/x", {})
    ticket = world.run(through(world, fine))
    assert world.state(ticket).state == "succeeded"


def test_who_asks_sees_which_hosts_are_left_alone(world: World) -> None:
    connection = world.connect()
    fail_until_left_alone(world, world.live(through(world, connection)))
    world.parts.engine.stop(2)
    with world.parts.database.read() as db:
        (row,) = open_breakers(db, connection)
        assert open_breakers(db, "con_other") == []
        assert open_breakers(db) == [row]
    assert (row.host, row.trips) == ("api.example.com", 1)
    assert "503" in row.sentence or "unavailable" in row.sentence.lower()


# --------------------------------------------------------------------------- over a restart


def test_a_host_that_was_left_alone_is_so_after_a_restart(world: World, restarted: Any) -> None:
    flow = world.live(SAFE)
    fail_until_left_alone(world, flow)
    again = restarted()
    late = again.event(flow, {"email": "late@example.com"})
    again.perform(late)
    assert again.state(late).reason == "away"
    again.clock.advance(31)
    again.service.answers("POST", "/x", {})
    again.again(late)
    assert again.state(late).state == "succeeded"
    third = restarted()
    with third.parts.database.read() as db:
        assert lanes_in_force(db, third.clock.now()) == []


def test_a_pause_a_service_asked_for_holds_after_a_restart(world: World, restarted: Any) -> None:
    connection = world.connect()
    world.service.answers("POST", "/x", (429, {}, {"Retry-After": "3600"}), {})
    flow = world.live(through(world, connection))
    world.perform(world.event(flow, {"email": "first@example.com"}))
    again = restarted()
    late = again.event(flow, {"email": "late@example.com"})
    again.perform(late)
    run = again.state(late)
    assert (run.state, run.reason) == ("waiting", "rate_limit")
    assert (run.wake_at - again.clock.now()).total_seconds() >= 3600
    assert "asked for a pause" in run.sentence
    assert len(again.service.requests) == 1


def test_what_a_good_answer_says_is_waited_for_instead_of_being_refused(world: World, restarted: Any) -> None:
    """A service that takes two calls a minute and says so; a third would be refused."""
    window = {"X-RateLimit-Limit": "2", "X-RateLimit-Reset": "60"}
    good = [(200, {}, {**window, "X-RateLimit-Remaining": left}) for left in ("1", "0")]
    world.service.answers("POST", "/x", *good, 429)
    flow = world.live(through(world, world.connect()))
    tickets = [world.event(flow, {"email": f"{number}@example.com"}) for number in range(3)]
    for ticket in tickets:
        world.perform(ticket)
    assert [world.state(one).state for one in tickets] == ["succeeded", "succeeded", "waiting"]
    run = world.state(tickets[2])
    assert run.reason == "rate_limit"
    assert (run.wake_at - world.clock.now()).total_seconds() == pytest.approx(60, abs=1)
    assert "nothing is left of" in run.sentence
    again = restarted()
    late = again.event(flow, {"email": "late@example.com"})
    again.perform(late)
    assert "nothing is left of" in again.state(late).sentence
    assert len(again.service.requests) == 2


def test_a_day_that_is_used_up_is_so_after_a_restart(world: World, restarted: Any) -> None:
    connection = world.connect(pace=write_pace(None, {}, [(3, 86400.0)]))
    world.service.answers("POST", "/x", {})
    flow = world.live(through(world, connection))
    for number in range(3):
        world.perform(world.event(flow, {"email": f"{number}@example.com"}))
    again = restarted()
    late = again.event(flow, {"email": "late@example.com"})
    again.perform(late)
    run = again.state(late)
    assert (run.state, run.reason) == ("waiting", "rate_limit")
    assert (run.wake_at - again.clock.now()).total_seconds() > 86000


def test_a_clock_that_was_set_back_makes_nothing_wait_for_longer(world: World, restarted: Any) -> None:
    flow = world.live(SAFE)
    fail_until_left_alone(world, flow)
    world.clock.set(world.clock.now().replace(year=2020))
    again = restarted()
    late = again.event(flow, {"email": "late@example.com"})
    again.perform(late)
    assert (again.state(late).wake_at - again.clock.now()).total_seconds() <= 600


# --------------------------------------------------------------------------- so many at once


def test_a_connection_has_no_more_calls_under_way_than_its_number_says(tmp_path: Path) -> None:
    most, under_way = 0, 0

    async def slow(request: httpx.Request) -> httpx.Response:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        for _ in range(20):
            await asyncio.sleep(0)
        under_way -= 1
        return httpx.Response(200, json={})

    clock = FakeClock()
    settings = Settings(data_dir=tmp_path, secret_key="5a" * 32)
    parts = open_parts(settings, clock=clock, transport=httpx.MockTransport(slow))
    parts.engine.start()
    try:
        world = World(parts, FakeService(), clock)
        flow = world.live(through(world, world.connect(pace=write_pace(3, {}, []))))
        tickets = [world.event(flow, {"email": f"{number}@example.com"}) for number in range(30)]
        begun = [parts.engine.spawn(parts.engine.runs.execute(ticket)) for ticket in tickets]
        for one in begun:
            one.result(60)
        assert {world.state(ticket).state for ticket in tickets} == {"succeeded"}
        assert most == 3
    finally:
        parts.engine.stop(2)
        parts.database.close()


# ---------------------------------------------------------------------- what a person does


def test_a_mended_connection_is_tried_at_once(world: World) -> None:
    connection = world.connect()
    flow = world.live(through(world, connection))
    fail_until_left_alone(world, flow)
    limits: Limits = world.parts.caller.limits
    world.parts.engine.spawn(_do(lambda: limits.lift(connection))).result(60)
    world.service.answers("POST", "/x", {})
    late = world.event(flow, {"email": "late@example.com"})
    world.perform(late)
    assert world.state(late).state == "succeeded"
    world.parts.engine.stop(2)
    with world.parts.database.read() as db:
        assert db.execute(select(Lane.place)).all() == []


async def _do(work: Any) -> None:
    work()


def test_who_waits_in_line_is_woken_once_though_it_lies_down_again(world: World) -> None:
    connection = world.connect(pace=write_pace(None, {}, [(1, 3600.0)]))
    world.service.answers("POST", "/x", {})
    flow = world.live(through(world, connection))
    tickets = [world.event(flow, {"email": f"{number}@example.com"}) for number in range(4)]
    for ticket in tickets:
        world.perform(ticket)
    again = LiesDown(world)
    assert wake_line(replace(world.parts, dispatcher=again), connection) == 3
    assert [world.state(ticket).reason for ticket in tickets] == ["", *["rate_limit"] * 3]


class LiesDown:
    """A dispatcher whose runs find no room."""

    def __init__(self, world: World) -> None:
        self._world = world

    def enqueue(self, tickets: list[RunTicket]) -> None:
        for ticket in tickets:
            self._world.again(ticket)
