"""A connection that a person holds: nothing goes out with it, nothing is lost, and all goes on after."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from app.storage.tables.models import Connection
from tests.engine.test_orders import settled
from tests.engine.world import World, http


def through(connection: str) -> dict[str, Any]:
    return http("s1", "/contacts", request={"connection_id": connection})


def test_what_needs_a_held_connection_waits_and_goes_on_when_it_is_resumed(world: World) -> None:
    world.service.answers("POST", "/contacts", {"id": 1})
    connection = world.connect()
    flow = world.live(through(connection))
    world.parts.engine.hold_connection(connection, "We move to a new account.")
    tickets = [world.event(flow, {"email": f"p{n}@example.com"}) for n in range(3)]
    for ticket in tickets:
        world.perform(ticket)
    assert world.service.requests == []
    waiting = world.state(tickets[0])
    assert (waiting.state, waiting.reason, waiting.waits_for) == ("waiting", "held_connection", connection)
    assert "which somebody holds: We move to a new account. It goes on by itself" in waiting.sentence
    assert world.parts.engine.resume_connection(connection) == 3
    settled(world)
    assert {world.state(ticket).state for ticket in tickets} == {"succeeded"}
    assert len(world.service.requests) == 3


def test_mending_a_connection_does_not_resume_one_that_a_person_holds(world: World) -> None:
    connection = world.connect(state="broken", state_sentence="The token ran out.")
    ticket = world.run(through(connection))
    world.parts.engine.hold_connection(connection, "")
    assert world.parts.engine.release_connection(connection) == 0
    assert world.state(ticket).state == "waiting"
    assert world.parts.engine.resume_connection(connection) == 1
    settled(world)
    assert world.service.requests


def test_resuming_does_not_mend_a_connection_that_is_broken(world: World) -> None:
    connection = world.connect(state="broken", state_sentence="The token ran out.")
    ticket = world.run(through(connection))
    world.parts.engine.hold_connection(connection, "")
    assert world.parts.engine.resume_connection(connection) == 0
    assert world.state(ticket).reason == "held_connection"


def test_a_run_that_lies_down_while_its_connection_is_resumed_is_not_forgotten(
    world: World,
) -> None:
    world.service.answers("POST", "/contacts", {"id": 1})
    connection = world.connect()
    flow = world.live(through(connection))
    world.parts.engine.hold_connection(connection, "")
    ticket = world.event(flow, {"email": "ada@example.com"})
    _free_it_unseen(world, connection)
    world.perform(ticket)
    settled(world)
    assert world.state(ticket).state == "succeeded"


def _free_it_unseen(world: World, connection: str) -> None:
    """The run reads the connection as held; by the time it lies down it is free."""
    world.parts.connections.forget(connection)
    world.parts.connections.get(connection)
    free = update(Connection).values(hold_reason=None)
    world.parts.database.write(lambda db: db.execute(free))


def test_a_hold_without_a_reason_says_who_waits_for_what(world: World) -> None:
    connection = world.connect()
    world.parts.engine.hold_connection(connection, "")
    ticket = world.run(through(connection))
    assert world.state(ticket).sentence == (
        "Waits for the connection “Our CRM”, which somebody holds. It goes on by itself once the connection "
        "is resumed."
    )
