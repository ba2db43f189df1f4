"""Cancelling a run, whatever it is doing: what was sent stays on record, nothing more goes out."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.commands import runs
from app.engine.dispatch.tickets import RunTicket
from tests.engine.world import World, http
from tests.fakes.people import ANA
from tests.fakes.service import Received

WHY = "Cancelled by Ana; nothing more was sent."


def cancel(world: World, ticket: RunTicket) -> bool:
    return runs.cancel(ANA, world.parts, ticket.run_id)


def sent(world: World) -> list[str]:
    return [request.path for request in world.service.requests]


def _cancels_when_called(world: World, ticket: RunTicket, reply: Any) -> None:
    def answer(_got: Received) -> Any:
        assert cancel(world, ticket)
        return reply

    world.service.answers("POST", "/one", answer)


@pytest.mark.parametrize("reply", [{"id": 7}, 503, 422, httpx.ReadTimeout("slow")])
def test_while_a_call_is_under_way_its_answer_is_still_recorded_and_no_other_call_is_made(
    world: World, reply: Any
) -> None:
    ticket = world.event(world.live(http("s1", "/one"), http("s2", "/two")), {"email": "a@example.com"})
    _cancels_when_called(world, ticket, reply)
    world.service.answers("POST", "/two", {})
    world.perform(ticket)
    world.again(ticket)
    assert sent(world) == ["/one"]
    assert len(world.calls(ticket)) == 1
    assert (world.state(ticket).state, world.state(ticket).sentence) == ("cancelled", WHY)


def test_what_was_done_before_stays_on_record(world: World) -> None:
    ticket = world.event(world.live(http("s1", "/one"), http("s2", "/two")), {"email": "a@example.com"})
    _cancels_when_called(world, ticket, {"id": 7})
    world.perform(ticket)
    assert world.state(ticket).state == "cancelled"
    assert world.steps(ticket)["s1"].state == "succeeded"
    assert "s2" not in world.steps(ticket)


def test_a_run_that_was_accepted_and_not_begun_is_never_begun(world: World) -> None:
    ticket = world.event(world.live(http("s1", "/one")), {"email": "a@example.com"})
    assert cancel(world, ticket)
    world.perform(ticket)
    assert sent(world) == []
    assert world.state(ticket).sentence == WHY


def test_a_run_that_waits_to_try_again_never_does(world: World) -> None:
    world.service.answers("POST", "/one", 503)
    ticket = world.run(http("s1", "/one"))
    assert cancel(world, ticket)
    world.clock.advance(100_000)
    world.parts.engine.wake_due()
    world.again(ticket)
    assert sent(world) == ["/one"]
    assert (world.state(ticket).state, world.state(ticket).wake_at) == ("cancelled", None)


def test_a_run_whose_outcome_nobody_knows_can_be_cancelled_too(world: World) -> None:
    world.service.answers("POST", "/one", httpx.ReadTimeout("slow"))
    ticket = world.run(http("s1", "/one"))
    assert world.state(ticket).reason == "unknown"
    assert cancel(world, ticket)
    assert world.state(ticket).state == "cancelled"


def test_a_delay_of_days_ends_with_the_cancelling(world: World) -> None:
    ticket = world.run({"kind": "delay", "id": "s1", "amount": "3", "unit": "days"}, http("s2", "/one"))
    assert cancel(world, ticket)
    world.again(ticket)
    assert sent(world) == []


def test_cancelling_twice_or_after_the_end_changes_nothing(world: World) -> None:
    world.service.answers("POST", "/one", {})
    ticket = world.run(http("s1", "/one"))
    assert not cancel(world, ticket)
    assert world.state(ticket).state == "succeeded"


def test_a_call_that_is_only_being_put_on_record_does_not_go_out(world: World) -> None:
    ticket = world.event(world.live(http("s1", "/one")), {"email": "a@example.com"})
    writer = world.parts.database.writer
    before = writer.awrite

    def awrite(work: Any, **more: Any) -> Any:
        world.parts.engine.runs.cancel(ticket.run_id)
        return before(work, **more)

    writer.awrite = awrite  # type: ignore[method-assign]
    world.perform(ticket)
    assert sent(world) == []
    assert world.state(ticket).state == "cancelled"
    assert world.steps(ticket)["s1"].state == "skipped"
