"""A run that is under way again and again when the server ends is given up; its neighbours are not."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from dataclasses import replace

import pytest

from app.engine.dispatch.reconcile import take_up_after_start
from app.engine.dispatch.tickets import RunTicket
from app.flows.model import Mapping
from tests.engine.world import World, http
from tests.fakes.service import Received


class Start:
    """The tickets of a start, performed when the test says so."""

    def __init__(self, world: World) -> None:
        self.tickets: dict[str, RunTicket] = {}
        take_up_after_start(world.parts.database, self)

    def enqueue(self, tickets: object) -> None:
        self.tickets |= {ticket.run_id: ticket for ticket in tickets}  # type: ignore[attr-defined]


def _ends_the_process(_got: Received) -> object:
    raise asyncio.CancelledError


def _perform_until_it_ends(world: World, ticket: RunTicket) -> None:
    with pytest.raises(CancelledError):
        world.perform(ticket)


def test_a_run_whose_call_ends_the_server_three_times_becomes_a_dead_letter(world: World) -> None:
    world.service.answers("POST", "/x", _ends_the_process)
    ticket = world.event(world.live(http("s1", "/x", repeat="safe")), {"email": "ada@example.com"})
    _perform_until_it_ends(world, ticket)
    for _ in range(2):
        _perform_until_it_ends(world, Start(world).tickets[ticket.run_id])
    world.perform(Start(world).tickets[ticket.run_id])
    run = world.state(ticket)
    assert (run.state, run.crashes) == ("dead", 3)
    assert "stopped 3 times" in run.sentence
    assert len(world.service.requests) == 3
    assert Start(world).tickets == {}


def test_a_step_that_ends_the_server_before_any_call_is_given_up_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is on disk when it happens first; from the next start on it is."""
    ticket = world.event(world.live({"kind": "set", "id": "s1", "values": []}), {"email": "a@example.com"})
    version = world.parts.engine.runs.versions.get(ticket.version_id)

    class Deadly(list[Mapping]):
        def __iter__(self) -> object:  # type: ignore[override]
            raise asyncio.CancelledError

    step = version.definition.steps[0].model_copy(update={"values": Deadly()})
    deadly = replace(version, definition=version.definition.model_copy(update={"steps": [step]}))
    monkeypatch.setitem(world.parts.engine.runs.versions._kept, version.id, deadly)
    _perform_until_it_ends(world, ticket)
    for _ in range(3):
        _perform_until_it_ends(world, Start(world).tickets[ticket.run_id])
    world.perform(Start(world).tickets[ticket.run_id])
    assert world.state(ticket).state == "dead"


def test_a_run_that_only_stood_beside_it_is_not_given_up(world: World) -> None:
    world.service.answers("POST", "/deadly", _ends_the_process)
    world.service.answers("POST", "/fine", _ends_the_process, _ends_the_process, {})
    deadly = world.event(world.live(http("s1", "/deadly", repeat="safe")), {"email": "a@example.com"})
    beside = world.event(world.live(http("s1", "/fine", repeat="safe")), {"email": "b@example.com"})
    _perform_until_it_ends(world, deadly)
    _perform_until_it_ends(world, beside)
    second = Start(world).tickets
    _perform_until_it_ends(world, second[deadly.run_id])
    _perform_until_it_ends(world, second[beside.run_id])
    third = Start(world).tickets
    _perform_until_it_ends(world, third[deadly.run_id])
    fourth = Start(world).tickets
    assert (world.state(deadly).crashes, world.state(beside).crashes) == (3, 2)
    world.perform(fourth[deadly.run_id])
    world.perform(fourth[beside.run_id])
    assert world.state(deadly).state == "dead"
    assert world.state(beside).state == "succeeded"


def test_stops_at_different_steps_do_not_add_up(world: World) -> None:
    """A run that gets further each time is not what ends the server, however often that happens."""
    steps = [http(f"s{number}", f"/x{number}", repeat="safe") for number in range(5)]
    for number in range(5):
        world.service.answers("POST", f"/x{number}", _ends_the_process, _ends_the_process, {})
    ticket = world.event(world.live(*steps), {"email": "ada@example.com"})
    for _ in range(10):
        _perform_until_it_ends(world, ticket)
        ticket = Start(world).tickets[ticket.run_id]
    world.perform(ticket)
    assert world.state(ticket).state == "succeeded"
    assert len(world.service.requests) == 15


def test_a_stop_in_good_order_counts_as_no_crash(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often somebody restarts the server while a long run is under way."""

    async def break_off(grace_s: float) -> int:
        return 1

    world.service.answers("POST", "/x", _ends_the_process)
    ticket = world.event(world.live(http("s1", "/x", repeat="safe")), {"email": "ada@example.com"})
    _perform_until_it_ends(world, ticket)
    assert world.state(ticket).state == "running"
    monkeypatch.setattr(world.parts.engine.dispatcher, "stop", break_off)
    world.parts.engine.stop()
    assert (world.state(ticket).state, world.state(ticket).crashes) == ("queued", 0)
    assert list(Start(world).tickets) == [ticket.run_id]
    assert world.state(ticket).crashes == 0
