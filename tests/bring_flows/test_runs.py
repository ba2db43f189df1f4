"""Flows that were brought along really run: what is sent is what the other tool would have sent."""

from __future__ import annotations

from typing import Any

from app.flows.portable.files import dump, with_connections
from tests.bring_flows.exports import bring, export, node
from tests.bring_flows.test_make import HOOK as MAKE_HOOK
from tests.bring_flows.test_make import blueprint, module
from tests.bring_flows.test_n8n_steps import HOOK, assignments, condition
from tests.engine.world import TARGET, World


def run(world: World, document: Any, payload: Any) -> Any:
    brought = bring(document)
    assert brought.report.lines == []
    (draft,) = brought.drafts
    data = dump(with_connections(draft.file.definition, {}))
    flow = world.live(*data["steps"], trigger=data["trigger"])
    ticket = world.event(flow, payload)
    world.perform(ticket)
    return world.state(ticket)


def post(name: str, path: str, body: str, **facts: Any) -> dict[str, Any]:
    parameters = {
        "method": "POST",
        "url": TARGET + path,
        "sendBody": True,
        "specifyBody": "json",
        "jsonBody": body,
        "options": {},
    }
    return node(name, "httpRequest", 4.2, parameters=parameters, **facts)


def test_each_item_of_a_list_goes_its_way_and_the_sum_is_told_at_the_end(world: World) -> None:
    world.service.answers(
        "GET", "/orders/7", {"lines": [{"sku": "A", "price": 5}, {"sku": "B", "price": 50}]}
    )
    world.service.answers("POST", "*", {"ok": True})
    nodes = [
        HOOK,
        node(
            "Get",
            "httpRequest",
            4.2,
            parameters={"url": f"={TARGET}/orders/{{{{ $json.body.id }}}}", "options": {}},
        ),
        node("Lines", "splitOut", 1, parameters={"fieldToSplitOut": "lines", "options": {}}),
        node("Dear", "filter", 2.2, parameters=condition("={{ $json.price }}", "gt", 10, "number")),
        post(
            "Send", "/lines", "={{ JSON.stringify({sku: $json.sku, mail: $('Hook').item.json.body.mail}) }}"
        ),
    ]
    state = run(world, export(*nodes), {"id": 7, "mail": "ana@example.com"})
    assert state.state == "succeeded"
    assert [one.json for one in world.service.to("/lines")] == [{"sku": "B", "mail": "ana@example.com"}]


def test_yes_and_no_send_different_things_and_meet_again(world: World) -> None:
    world.service.answers("POST", "*", {"ok": True})
    nodes = [
        HOOK,
        node(
            "Big?", "if", 2.2, parameters=condition("={{ $json.body.total > 100 && $json.body.vip }}", "true")
        ),
        node("Big", "set", 3.4, parameters=assignments(word="=big for {{ $json.body.name.toUpperCase() }}")),
        node("Small", "set", 3.4, parameters=assignments(word="small")),
        post("Tell", "/told", '={"word": "{{ $json.word }}", "by": "{{ $json.by || \'nobody\' }}"}'),
    ]
    links = {"Hook": [["Big?"]], "Big?": [["Big"], ["Small"]], "Big": [["Tell"]], "Small": [["Tell"]]}
    document = export(*nodes, links=links)
    for payload in ({"total": 200, "vip": True, "name": "Ana"}, {"total": 200, "vip": False}, {"total": 1}):
        assert run(world, document, payload).state == "succeeded"
    assert [one.json["word"] for one in world.service.to("/told")] == ["big for ANA", "small", "small"]
    assert world.service.to("/told")[0].json["by"] == "nobody"


def test_the_way_for_errors_is_taken_when_a_request_fails(world: World) -> None:
    world.service.answers("POST", "*", {"ok": True})
    world.service.answers("POST", "/crm", (422, {"message": "no"}), {"id": 1})
    nodes = [
        HOOK,
        post("Crm", "/crm", '={"mail": "{{ $json.body.mail }}"}', onError="continueErrorOutput"),
        post("Fine", "/fine", '={"id": {{ $json.id }}}'),
        post("Broken", "/broken", '={"mail": "{{ $(\'Hook\').first().json.body.mail }}"}'),
    ]
    document = export(*nodes, links={"Hook": [["Crm"]], "Crm": [["Fine"], ["Broken"]]})
    for mail in ("a@example.com", "b@example.com"):
        assert run(world, document, {"mail": mail}).state == "succeeded"
    assert [one.json for one in world.service.to("/broken")] == [{"mail": "a@example.com"}]
    assert [one.json for one in world.service.to("/fine")] == [{"id": 1}]


def test_an_iterator_of_make_and_its_aggregator_send_one_text(world: World) -> None:
    world.service.answers("POST", "*", {"ok": True})
    each = module(2, "builtin:BasicFeeder", {"array": "{{1.items}}"})
    text = module(
        3,
        "util:TextAggregator",
        {"value": "{{upper(2.title)}}"},
        parameters={"feeder": 2, "rowSeparator": "\n"},
    )
    send = module(
        4,
        "http:ActionSendData",
        {
            "url": f"{TARGET}/mail",
            "method": "post",
            "bodyType": "raw",
            "contentType": "application/json",
            "data": '{"text": "{{3.text}}", "first": "{{1.items[].title}}"}',
        },
    )
    payload = {"items": [{"title": "tea"}, {"title": "milk"}]}
    assert run(world, blueprint(MAKE_HOOK, each, text, send), payload).state == "succeeded"
    assert world.service.to("/mail")[0].json == {"text": "TEA\nMILK", "first": "tea"}
