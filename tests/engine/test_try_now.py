"""A run that waits for its next try goes at once when a person says so."""

from __future__ import annotations

import pytest

from app.commands.runs import try_now
from app.engine.dispatch.tickets import RunTicket
from app.errors import NotFound
from tests.engine.world import World, http
from tests.fakes.handed import hand_over
from tests.fakes.people import ANA


def _waiting(world: World) -> RunTicket:
    """All tries that follow soon are used up; the next one lies minutes away."""
    world.service.answers("POST", "/x", 503, 503, 503, 503, {"id": 7})
    ticket = world.run(http("s1", "/x", repeat="safe"))
    for _ in range(3):
        world.clock.advance(10)
        world.again(ticket)
    return ticket


def test_a_run_minutes_away_from_its_next_try_is_tried_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = _waiting(world)
    state = world.state(ticket)
    assert (state.state, state.reason) == ("waiting", "retry")
    assert (state.wake_at - world.clock.now()).total_seconds() > 200
    handed: list[RunTicket] = []
    hand_over(world.parts, handed.extend)
    assert try_now(ANA, world.parts, ticket.run_id)
    assert world.state(ticket).state == "queued"
    assert [(one.run_id, one.fresh) for one in handed] == [(ticket.run_id, False)]
    world.again(ticket)
    assert world.state(ticket).state == "succeeded"
    keys = {call.idempotency_key for call in world.calls(ticket)}
    assert len(keys) == 1
    assert len(world.calls(ticket)) == 5


def test_pressed_twice_it_is_tried_once(world: World) -> None:
    ticket = _waiting(world)
    handed: list[RunTicket] = []
    hand_over(world.parts, handed.extend)
    assert try_now(ANA, world.parts, ticket.run_id)
    assert not try_now(ANA, world.parts, ticket.run_id)
    world.clock.advance(100_000)
    assert world.parts.engine.wake_due() == 0
    assert len(handed) == 1


def test_what_waits_for_something_else_or_has_ended_stays_as_it_is(world: World) -> None:
    delay = world.run({"kind": "delay", "id": "s1", "amount": "3", "unit": "days"})
    world.service.answers("POST", "/y", {})
    done = world.run(http("s1", "/y"))
    for ticket, state in ((delay, "waiting"), (done, "succeeded")):
        assert not try_now(ANA, world.parts, ticket.run_id)
        assert world.state(ticket).state == state
    with pytest.raises(NotFound):
        try_now(ANA, world.parts, "run_nothing")
