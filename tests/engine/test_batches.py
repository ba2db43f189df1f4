"""Records of several runs in one call: each run has its own outcome, and the call in its history."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from typing import Any

import orjson
import pytest
from sqlalchemy import func, select

from app.commands.runs import cancel
from app.engine.dispatch.tickets import RunTicket
from app.storage.tables.models import Gathered
from tests.engine.services import install
from tests.engine.world import World, http
from tests.fakes.handed import hand_over
from tests.fakes.people import ANA
from tests.fakes.service import Received

UPSERT = """\
requests:
  - {method: PUT, path: "/people/${input.email | trim | path}", body: "${fields}"}
batch:
  max: 3
  within: 5s
  request: {method: POST, path: /people/batch, body: {inputs: "${records}"}}
  record: {id: "${input.email}", values: "${fields}"}
  match: ${input.email}
  results: {items: "$.results[*]", match: $.email}
  errors: {items: "$.errors[*]", match: $.email, message: $.why}
"""


class Together:
    """Runs of one flow, performed in the order the test says."""

    def __init__(self, world: World, *more: dict[str, Any], **settings: Any) -> None:
        self.world = world
        step = install(world, "upsert", UPSERT) | {"together": True} | settings
        self.flow = world.live(step, *more)
        self.next: list[RunTicket] = []
        hand_over(world.parts, self.next.extend)

    def begin(self, *names: str) -> list[RunTicket]:
        tickets = [self.world.event(self.flow, {"email": f"{one}@x.org", "name": one}) for one in names]
        for ticket in tickets:
            self.world.perform(ticket)
        return tickets

    def go_on(self) -> None:
        while self.next:
            self.world.perform(self.next.pop(0))

    def states(self, tickets: list[RunTicket]) -> list[str]:
        return [self.world.state(ticket).state for ticket in tickets]

    def left(self) -> int:
        with self.world.parts.database.read() as db:
            return db.scalar(select(func.count()).select_from(Gathered)) or 0


def sent(world: World) -> list[list[str]]:
    """The names in each call."""
    bodies = [request.json for request in world.service.requests if request.body]
    return [
        [one["values"]["name"] for one in body["inputs"]] if "inputs" in body else [body.get("name", "")]
        for body in bodies
    ]


def _all_fine(got: Received) -> dict[str, Any]:
    return {"results": [{"email": one["id"].upper(), "n": n} for n, one in enumerate(got.json["inputs"])]}


def test_a_full_batch_goes_out_at_once_and_each_run_goes_on_with_its_own_result(world: World) -> None:
    world.service.answers("POST", "/people/batch", _all_fine)
    world.service.answers("POST", "/next", {})
    together = Together(world, http("s2", "/next"))
    tickets = together.begin("ann", "bob", "cid")
    together.go_on()
    assert together.states(tickets) == ["succeeded"] * 3
    assert sent(world)[0] == ["ann", "bob", "cid"]
    outputs = [world.steps(ticket)["s1"].output for ticket in tickets]
    assert [one["email"] for one in outputs] == ["ANN@X.ORG", "BOB@X.ORG", "CID@X.ORG"]
    assert together.left() == 0


def test_the_joint_call_is_in_the_history_of_each_run_with_its_own_record(world: World) -> None:
    world.service.answers("POST", "/people/batch", _all_fine)
    together = Together(world)
    tickets = together.begin("ann", "bob", "cid")
    together.go_on()
    calls = [world.calls(ticket) for ticket in tickets]
    assert [len(one) for one in calls] == [1, 1, 1]
    assert len({one[0].idempotency_key for one in calls}) == 1
    assert [one[0].status for one in calls] == [200, 200, 200]
    followers = [one[0] for ticket, one in zip(tickets, calls, strict=True) if ticket is not tickets[2]]
    bodies = [orjson.loads(call.request_body)["inputs"] for call in followers]
    assert [[one["values"]["name"] for one in body] for body in bodies] == [["ann"], ["bob"]]
    assert all("One call for 3 records" in call.sentence for call in followers)
    assert tickets[2].run_id in followers[0].sentence


def test_fewer_records_wait_no_longer_than_the_connector_says(world: World) -> None:
    world.service.answers("POST", "/people/batch", _all_fine)
    together = Together(world)
    tickets = together.begin("ann", "bob")
    run = world.state(tickets[0])
    assert (run.state, run.reason) == ("waiting", "batch")
    assert (run.wake_at - world.clock.now()).total_seconds() == 5
    assert world.service.requests == []
    world.clock.advance(5)
    world.again(tickets[0])
    together.go_on()
    assert together.states(tickets) == ["succeeded", "succeeded"]
    assert sent(world) == [["ann", "bob"]]


def test_a_record_that_the_service_refuses_fails_alone(world: World) -> None:
    def answer(got: Received) -> Any:
        fine = [{"email": one["id"]} for one in got.json["inputs"] if one["id"] != "bob@x.org"]
        return {"results": fine, "errors": [{"email": "bob@x.org", "why": "Bob is on the blocklist."}]}

    world.service.answers("POST", "/people/batch", answer)
    together = Together(world)
    tickets = together.begin("ann", "bob", "cid")
    together.go_on()
    assert together.states(tickets) == ["succeeded", "dead", "succeeded"]
    assert "Bob is on the blocklist." in world.state(tickets[1]).sentence


def test_a_call_that_is_refused_for_its_content_is_made_again_one_by_one(world: World) -> None:
    world.service.answers("POST", "/people/batch", (400, {"message": "bad input"}))
    world.service.answers("PUT", "/people/ann@x.org", {"email": "ann"})
    world.service.answers("PUT", "/people/bob@x.org", (422, {"message": "Bob is no name."}))
    world.service.answers("PUT", "/people/cid@x.org", {"email": "cid"})
    together = Together(world)
    tickets = together.begin("ann", "bob", "cid")
    together.go_on()
    assert together.states(tickets) == ["succeeded", "dead", "succeeded"]
    assert "Bob is no name." in world.state(tickets[1]).sentence
    assert world.steps(tickets[0])["s1"].output == {"email": "ann"}


def test_a_record_the_answer_does_not_speak_of_goes_out_once_more_alone(world: World) -> None:
    world.service.answers("POST", "/people/batch", {"results": [{"email": "ann@x.org"}]})
    world.service.answers("PUT", "*", {"email": "alone"})
    together = Together(world)
    tickets = together.begin("ann", "bob", "cid")
    together.go_on()
    assert together.states(tickets) == ["succeeded"] * 3
    assert sent(world)[0] == ["ann", "bob", "cid"]
    assert sorted(sent(world)[1:]) == [["bob"], ["cid"]]


def test_while_the_service_is_away_the_batch_stays_as_it_is_and_keeps_its_key(world: World) -> None:
    world.service.answers("POST", "/people/batch", 503, _all_fine)
    together = Together(world)
    tickets = together.begin("ann", "bob", "cid")
    assert [world.state(ticket).reason for ticket in tickets] == ["batch", "batch", "retry"]
    world.clock.advance(60)
    world.again(tickets[0])
    assert world.state(tickets[0]).reason == "batch"
    world.again(tickets[2])
    together.go_on()
    assert together.states(tickets) == ["succeeded"] * 3
    assert sent(world) == [["ann", "bob", "cid"]] * 2
    keys = {call.idempotency_key for ticket in tickets for call in world.calls(ticket)}
    assert len(keys) == 1


def test_what_is_given_up_is_given_up_for_all_of_them(world: World) -> None:
    world.service.answers("POST", "/people/batch", (403, {"message": "Not allowed."}))
    together = Together(world)
    tickets = together.begin("ann", "bob", "cid")
    together.go_on()
    assert together.states(tickets) == ["dead"] * 3
    assert "Not allowed." in world.state(tickets[0]).sentence


def test_two_records_of_one_person_never_go_in_one_call(world: World) -> None:
    world.service.answers("POST", "/people/batch", _all_fine)
    together = Together(world)
    first = together.begin("ann")
    again = together.begin("ann")
    world.clock.advance(5)
    world.again(first[0])
    assert sent(world) == [["ann"]]
    world.again(again[0])
    together.go_on()
    assert together.states(first + again) == ["succeeded", "succeeded"]
    assert sent(world) == [["ann"], ["ann"]]


def test_after_a_stop_during_the_call_the_same_batch_goes_out_under_the_same_key(world: World) -> None:
    stops = [True]

    def answer(got: Received) -> Any:
        if stops.pop() if stops else False:
            raise asyncio.CancelledError
        return _all_fine(got)

    world.service.answers("POST", "/people/batch", answer)
    together = Together(world)
    tickets = together.begin("ann", "bob")
    last = world.event(together.flow, {"email": "cid@x.org", "name": "cid"})
    with pytest.raises(CancelledError):
        world.perform(last)
    for ticket in (tickets[0], last):
        world.again(ticket)
    together.go_on()
    assert together.states([*tickets, last]) == ["succeeded"] * 3
    assert sent(world) == [["ann", "bob", "cid"]] * 2
    lost, done = world.calls(last)
    assert (lost.status, done.status) == (None, 200)
    assert lost.idempotency_key == done.idempotency_key


def test_a_stop_before_the_call_loses_nothing(world: World) -> None:
    world.service.answers("POST", "/people/batch", _all_fine)
    together = Together(world)
    tickets = together.begin("ann", "bob")
    for ticket in tickets:
        world.again(ticket)
    together.go_on()
    assert together.states(tickets) == ["succeeded", "succeeded"]
    assert sum(len(call) for call in sent(world)) == 2


def test_a_cancelled_run_is_in_no_batch(world: World) -> None:
    world.service.answers("POST", "/people/batch", _all_fine)
    together = Together(world)
    tickets = together.begin("ann", "bob")
    cancel(ANA, world.parts, tickets[0].run_id)
    world.clock.advance(5)
    world.again(tickets[1])
    together.go_on()
    assert sent(world) == [["bob"]]
    assert together.states(tickets) == ["cancelled", "succeeded"]


def test_when_the_run_that_makes_the_call_is_cancelled_the_others_go_out_without_it(world: World) -> None:
    world.service.answers("POST", "/people/batch", 503, _all_fine)
    together = Together(world)
    tickets = together.begin("ann", "bob", "cid")
    cancel(ANA, world.parts, tickets[2].run_id)
    world.clock.advance(700)
    world.again(tickets[0])
    world.again(tickets[0])
    together.go_on()
    assert sent(world) == [["ann", "bob", "cid"], ["ann", "bob"]]
    assert together.states(tickets) == ["succeeded", "succeeded", "cancelled"]


def test_a_step_that_is_not_asked_to_sends_its_record_alone(world: World) -> None:
    world.service.answers("PUT", "*", {"email": "alone"})
    together = Together(world, together=False)
    tickets = together.begin("ann")
    assert together.states(tickets) == ["succeeded"]
    assert together.left() == 0


def test_records_of_the_rounds_of_one_loop_go_together(world: World) -> None:
    world.service.answers("POST", "/people/batch", _all_fine)
    step = install(world, "upsert", UPSERT) | {"together": True, "id": "s2"}
    step["input"] = {"email": "{{s1:$.item.email}}", "name": "{{s1:$.item.name}}"}
    items = [{"email": f"{n}@x.org", "name": n} for n in ("ann", "bob", "cid", "dan")]
    loop = {"kind": "for_each", "id": "s1", "items": "{{trigger:$.items}}", "concurrency": 4, "steps": [step]}
    following: list[RunTicket] = []
    hand_over(world.parts, following.extend)
    ticket = world.run(loop, payload={"items": items})
    for _ in range(4):
        if world.state(ticket).state == "succeeded":
            break
        world.clock.advance(600)
        world.again(ticket)
    assert world.state(ticket).state == "succeeded"
    assert sorted(name for call in sent(world) for name in call) == ["ann", "bob", "cid", "dan"]
    assert len(sent(world)) == 2


def test_hubspot_takes_the_contacts_of_several_runs_in_one_call(world: World) -> None:
    def answer(got: Received) -> Any:
        results = [{"id": "7", "properties": one["properties"]} for one in got.json["inputs"][:1]]
        wrong = {"message": "No such stage.", "context": {"id": [got.json["inputs"][1]["id"]]}}
        return 207, {"status": "COMPLETE", "results": results, "errors": [wrong]}

    world.service.answers("POST", "/crm/v3/objects/contacts/batch/upsert", answer)
    step = {
        "kind": "action",
        "id": "s1",
        "connector": "hubspot",
        "action": "create_or_update_contact",
        "input": {"email": "{{trigger:$.email}}", "firstname": "{{trigger:$.name}}"},
        "together": True,
    }
    together = Together(world)
    together.flow = world.live(step)
    tickets = together.begin("ann", "bob")
    world.clock.advance(2)
    world.again(tickets[0])
    together.go_on()
    assert together.states(tickets) == ["succeeded", "dead"]
    assert "No such stage." in world.state(tickets[1]).sentence
    body = world.service.requests[0].json
    assert body["inputs"][0] == {
        "id": "ann@x.org",
        "idProperty": "email",
        "properties": {"email": "ann@x.org", "firstname": "ann"},
    }
