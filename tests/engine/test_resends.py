"""A run made from another: with other data, from where it stopped, under the key the service knows."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import delete, select

from app.errors import FlowInvalid
from app.storage.history.resends import get_resend
from app.storage.letters.dead_letters import count
from app.storage.tables.models import Event, Run
from tests.engine.test_orders import settled
from tests.engine.world import World, http

NO_RETRY = {"retry": {"preset": "none"}}


def again(world: World, run_id: str, **how: Any) -> Any:
    new = world.made_again(run_id, **how)
    settled(world)
    with world.parts.database.read() as db:
        return db.execute(select(Run.__table__).where(Run.id == new)).one()


def keys(world: World, run_id: str) -> list[str]:
    from app.storage.tables.models import Call

    with world.parts.database.read() as db:
        query = select(Call.idempotency_key).where(Call.made_for == run_id).order_by(Call.number)
        return [key or "" for key in db.execute(query).scalars()]


def test_edited_data_go_out_and_the_original_stays(world: World) -> None:
    world.service.answers("POST", "/a", (422, {}), {"id": 1})
    ticket = world.run(http("s1", "/a"), payload={"email": "ana@example"})
    new = again(world, ticket.run_id, mode="failed", by="usr_1", payload=b'{"email": "ana@example.com"}')
    assert new.state == "succeeded"
    assert [got.json["email"] for got in world.service.to("/a")] == ["ana@example", "ana@example.com"]
    with world.parts.database.read() as db:
        resend = get_resend(db, new.id)
        assert db.execute(select(Event.payload)).scalars().all() == [b'{"email":"ana@example"}']
        assert count(db) == 0
    assert resend is not None
    assert (resend.mode, resend.by) == ("failed", "usr_1")
    assert resend.payload == b'{"email": "ana@example.com"}'


def test_a_resend_of_an_edited_run_keeps_the_edited_data(world: World) -> None:
    world.service.answers("POST", "/a", (422, {}), (422, {}), {"id": 1})
    ticket = world.run(http("s1", "/a"), payload={"email": "first"})
    edited = again(world, ticket.run_id, payload=b'{"email": "second"}')
    assert again(world, edited.id).state == "succeeded"
    assert [got.json["email"] for got in world.service.to("/a")] == ["first", "second", "second"]


def test_a_call_that_may_have_arrived_is_resent_under_its_first_key(world: World) -> None:
    world.service.answers("POST", "/a", (503, {}), (503, {}), {"id": 1})
    ticket = world.run(http("s1", "/a", repeat="safe", **NO_RETRY))
    assert world.state(ticket).state == "dead"
    second = again(world, ticket.run_id, mode="failed")
    third = again(world, second.id, mode="failed")
    assert third.state == "succeeded"
    first_key = f"{ticket.run_id}:s1"
    assert keys(world, second.id) == keys(world, third.id) == [first_key]


def test_a_refusal_is_an_answer_so_the_next_call_has_a_key_of_its_own(world: World) -> None:
    world.service.answers("POST", "/a", (422, {}), {"id": 1})
    ticket = world.run(http("s1", "/a"))
    new = again(world, ticket.run_id, mode="failed")
    assert keys(world, new.id) == [f"{new.id}:s1"]


def test_a_run_from_the_start_makes_every_call_anew(world: World) -> None:
    world.service.answers("POST", "/a", (503, {}), {"id": 1})
    ticket = world.run(http("s1", "/a", repeat="safe", **NO_RETRY))
    new = again(world, ticket.run_id, mode="whole")
    assert keys(world, new.id) == [f"{new.id}:s1"]


def test_the_items_of_a_loop_keep_their_own_keys(world: World) -> None:
    world.service.answers("POST", "/a", httpx.ConnectError("no"), {"id": 1})
    loop: dict[str, Any] = {"kind": "for_each", "id": "s1", "items": "{{trigger:$.people}}"}
    loop["steps"] = [http("s2", "/a", repeat="safe", **NO_RETRY)]
    ticket = world.run(loop, payload={"email": "ada@example.com", "people": [1, 2]})
    new = again(world, ticket.run_id, mode="failed")
    assert new.state == "succeeded"
    assert keys(world, new.id) == [f"{ticket.run_id}:s1[0].s2"]
    assert len(world.service.to("/a")) == 3


def test_edited_data_survive_a_stop_of_the_server(world: World) -> None:
    """The run is taken up from what is on disk, not from the ticket."""
    from app.engine.dispatch.tickets import RunTicket
    from app.engine.replay import ReplayWay, run_again

    world.service.answers("POST", "/a", (422, {}), {"id": 1})
    ticket = world.run(http("s1", "/a"), payload={"email": "first"})
    way = ReplayWay("failed", "same", None, b'{"email": "second"}')
    lost: RunTicket = world.parts.database.write(
        lambda db: run_again(db, ticket.run_id, way, world.clock.now())
    )
    world.parts.engine.sweep()
    settled(world)
    assert world.state(lost).state == "succeeded"
    assert world.service.to("/a")[-1].json == {"email": "second"}


def test_without_its_event_nothing_is_sent(world: World) -> None:
    world.service.answers("POST", "/a", (422, {}))
    ticket = world.run(http("s1", "/a"))
    world.parts.database.write(lambda db: db.execute(delete(Event)))
    with pytest.raises(FlowInvalid, match="no longer in the history"):
        again(world, ticket.run_id)
    assert len(world.service.to("/a")) == 1
