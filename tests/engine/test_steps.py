"""What the steps of a flow do to a run."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.engine.world import World, http, when


def test_a_mapped_call_goes_out_and_is_on_record(world: World) -> None:
    world.service.answers("POST", "/contacts", (201, {"contact": {"id": 7}}))
    ticket = world.run(http("s1", "/contacts"))
    assert world.service.requests[0].json == {"email": "ada@example.com"}
    run, call = world.state(ticket), world.calls(ticket)[0]
    assert (run.state, run.calls, run.findings) == ("succeeded", 1, 0)
    assert (call.method, call.status, call.step_key) == ("POST", 201, "s1")
    assert call.idempotency_key == f"{ticket.run_id}:s1"
    assert world.steps(ticket)["s1"].output == {"contact": {"id": 7}}


def test_a_later_step_uses_the_answer_of_an_earlier_one(world: World) -> None:
    world.service.answers("POST", "/contacts", {"contact": {"id": 12345678901234567}})
    world.service.answers("POST", "/deals", {})
    body = [{"name": "deal.contact_id", "mapping": "{{s1:$['contact']['id']}}"}]
    world.run(http("s1", "/contacts"), http("s2", "/deals", request={"body": body}))
    assert world.service.to("/deals")[0].json == {"deal": {"contact_id": 12345678901234567}}


def test_a_filter_that_says_no_ends_the_run_as_filtered_with_its_reason(world: World) -> None:
    ticket = world.run(
        {"kind": "filter", "id": "s1", "conditions": when("total", "greater", "100")},
        http("s2", "/never"),
        payload={"total": 9},
    )
    assert world.state(ticket).state == "filtered"
    assert "9" in world.state(ticket).sentence
    assert world.service.requests == []


def test_every_path_whose_rule_holds_is_taken_and_everyone_else_only_without_one(world: World) -> None:
    world.service.answers("POST", "*", {})
    paths = [
        {
            "id": "big",
            "name": "Big",
            "conditions": when("total", "greater", "100"),
            "steps": [http("b", "/big")],
        },
        {"id": "vip", "name": "VIP", "conditions": when("vip", "is_true", ""), "steps": [http("v", "/vip")]},
        {"id": "rest", "name": "Everyone else", "steps": [http("r", "/rest")]},
    ]
    step = {"kind": "paths", "id": "s1", "paths": paths}
    flow = world.live(step)
    for payload in ({"total": 200, "vip": True}, {"total": 1, "vip": False}):
        world.perform(world.event(flow, payload))
    assert [request.path for request in world.service.requests] == ["/big", "/vip", "/rest"]


def test_a_path_that_fails_does_not_keep_the_others_from_being_done(world: World) -> None:
    world.service.answers("POST", "/two", {})
    paths = [
        {
            "id": "one",
            "name": "One",
            "conditions": when("email", "exists", ""),
            "steps": [http("a", "/gone")],
        },
        {"id": "two", "name": "Two", "conditions": when("email", "exists", ""), "steps": [http("b", "/two")]},
    ]
    ticket = world.run({"kind": "paths", "id": "s1", "paths": paths})
    run, steps = world.state(ticket), world.steps(ticket)
    assert (run.state, run.position, run.error_kind) == ("dead", "a", "not_found")
    assert (steps["a"].state, steps["b"].state) == ("failed", "succeeded")


def test_a_loop_does_its_steps_for_each_item_and_its_results_can_be_used(world: World) -> None:
    world.service.answers("POST", "/stock", lambda got: {"in_stock": got.json["sku"] != "B"})
    world.service.answers("POST", "/mail", {})
    inner = http(
        "check", "/stock", request={"body": [{"name": "sku", "mapping": "{{each:$['item']['sku']}}"}]}
    )
    after = http(
        "mail",
        "/mail",
        request={"body": [{"name": "all", "mapping": "{{each:$['results'][*]['in_stock']}}"}]},
    )
    ticket = world.run(
        {"kind": "for_each", "id": "each", "items": "{{trigger:$['lines']}}", "steps": [inner]},
        after,
        payload={"lines": [{"sku": "A"}, {"sku": "B"}, {"sku": "C"}]},
    )
    assert [request.json["sku"] for request in world.service.to("/stock")] == ["A", "B", "C"]
    assert world.service.to("/mail")[0].json == {"all": [True, False, True]}
    assert {"each[0].check", "each[1].check", "each[2].check"} <= set(world.steps(ticket))


def test_one_item_that_fails_leaves_the_others_done_and_a_replay_does_only_that_one(world: World) -> None:
    world.service.answers("POST", "/item", {}, 422, {}, {})
    inner = http("send", "/item", request={"body": [{"name": "n", "mapping": "{{each:$['item']}}"}]})
    flow = world.live(
        {"kind": "for_each", "id": "each", "items": "{{trigger:$}}", "concurrency": 1, "steps": [inner]}
    )
    ticket = world.event(flow, [1, 2, 3])
    world.perform(ticket)
    assert world.state(ticket).state == "dead"
    new = world.made_again(ticket.run_id, is_handed_over=False, mode="failed")
    again = world.event(flow, [])
    again.run_id, again.event_id = new, ticket.event_id
    world.again(again)
    assert [request.json["n"] for request in world.service.requests] == [1, 2, 3, 2]
    assert world.state(again).state == "succeeded"


def test_items_at_once_are_bounded_by_the_concurrency_and_all_done(world: World) -> None:
    world.service.answers("POST", "/item", {})
    inner = http("send", "/item", request={"body": [{"name": "n", "mapping": "{{each:$['item']}}"}]})
    step = {"kind": "for_each", "id": "each", "items": "{{trigger:$}}", "concurrency": 5, "steps": [inner]}
    ticket = world.run(step, payload=list(range(40)))
    assert sorted(request.json["n"] for request in world.service.requests) == list(range(40))
    assert world.state(ticket).calls == 40
    assert [call.number for call in world.calls(ticket)] == list(range(1, 41))


def test_a_failed_step_may_be_gone_past_with_a_default_and_leaves_a_finding(world: World) -> None:
    world.service.answers("POST", "/a", 404)
    world.service.answers("POST", "/b", {})
    body = [{"name": "owner", "mapping": "{{s1:$['owner']}}"}]
    ticket = world.run(
        http("s1", "/a", on_error="continue", default_output={"owner": "nobody"}),
        http("s2", "/b", request={"body": body}),
    )
    assert world.service.to("/b")[0].json == {"owner": "nobody"}
    assert (world.state(ticket).state, world.state(ticket).findings) == ("succeeded", 1)


def test_a_required_value_that_is_missing_stops_the_run_before_anything_is_sent(world: World) -> None:
    request = {"url": "{{trigger:$['address']}}"}
    ticket = world.run(http("s1", "/x", request=request))
    run = world.state(ticket)
    assert (run.state, run.error_kind) == ("dead", "invalid_payload")
    assert "Address" in run.sentence
    assert world.service.requests == []


def test_a_stop_ends_the_run_with_its_message(world: World) -> None:
    ticket = world.run(
        {"kind": "set", "id": "s1", "values": [{"name": "who", "mapping": "{{trigger:$.email | upper}}"}]},
        {"kind": "stop", "id": "s2", "outcome": "failed", "message": "No consent from {{s1:$['who']}}"},
        http("s3", "/never"),
    )
    assert world.state(ticket).state == "failed"
    assert world.state(ticket).sentence == "No consent from ADA@EXAMPLE.COM"


def test_a_delay_is_a_row_whose_moment_survives_a_restart(world: World) -> None:
    world.service.answers("POST", "/after", {})
    ticket = world.run({"kind": "delay", "id": "s1", "amount": "2", "unit": "days"}, http("s2", "/after"))
    run = world.state(ticket)
    assert (run.state, run.reason) == ("waiting", "delay")
    assert run.wake_at == world.clock.now() + timedelta(days=2)
    world.clock.advance(3600)
    assert world.again(ticket) == run.wake_at
    world.clock.advance(2 * 86400)
    world.again(ticket)
    assert world.state(ticket).state == "succeeded"


@pytest.mark.parametrize("amount", ["soon", "-1", "1e300", "99999999", "nan"])
def test_a_delay_that_makes_no_sense_is_a_failure_with_a_sentence(world: World, amount: str) -> None:
    ticket = world.run({"kind": "delay", "id": "s1", "amount": amount})
    assert world.state(ticket).state == "dead"
    assert amount in world.state(ticket).sentence


def test_a_delay_until_a_date_without_zone_is_in_the_flows_zone(world: World) -> None:
    step = {"kind": "delay", "id": "s1", "mode": "until", "until": "2026-07-01T09:30"}
    ticket = world.run(step, time_zone="Europe/Berlin")
    assert world.state(ticket).wake_at.isoformat() == "2026-07-01T07:30:00+00:00"


def test_json_typed_by_hand_cannot_be_broken_by_data(world: World) -> None:
    world.service.answers("POST", "/x", {})
    text = (
        '{"name": "{{trigger:$.name}}", "tags": ["{{trigger:$.tags}}", "x"], "hi": "Hi {{trigger:$.name}}"}'
    )
    request = {"body_kind": "json_text", "body": [], "body_text": text}
    world.run(http("s1", "/x", request=request), payload={"name": '"}, {"', "tags": [1]})
    sent = world.service.requests[0].json
    assert sent == {"name": '"}, {"', "tags": [[1], "x"], "hi": 'Hi "}, {"'}


def test_an_answer_that_breaks_the_success_rule_is_a_failure(world: World) -> None:
    world.service.answers("POST", "/x", {"ok": False})
    rule = {"groups": [[{"left": "{{answer:$.body.ok}}", "operator": "is_true"}]]}
    ticket = world.run(http("s1", "/x", success=rule))
    assert world.state(ticket).state == "dead"
    assert "success" in world.state(ticket).sentence
