"""Blueprints of Make, as drafts."""

from __future__ import annotations

from typing import Any

import pytest

from app.flows.model import (
    DelayStep,
    FilterStep,
    ForEachStep,
    HttpStep,
    PathsStep,
    ScheduleTrigger,
    SetStep,
    WebhookTrigger,
)
from app.imports.flows.make.expressions import translate
from app.imports.flows.places import Plain, Seen
from app.imports.flows.report import NotCarried
from app.imports.flows.values import Ref, written
from tests.bring_flows.exports import bring, only, steps_of


def module(id_: int, kind: str, mapper: Any = None, name: str = "", **facts: Any) -> dict[str, Any]:
    designer = {"designer": {"x": 0, "y": 0, **({"name": name} if name else {})}}
    return {"id": id_, "module": kind, "version": 1, "mapper": mapper or {}, "metadata": designer, **facts}


def blueprint(*modules: dict[str, Any], **facts: Any) -> dict[str, Any]:
    return {"name": "Leads", "flow": list(modules), "metadata": {"version": 1}, **facts}


HOOK = module(1, "gateway:CustomWebHook", parameters={"hook": 7, "maxResults": 1}, name="New lead")
SEND = module(
    2,
    "http:ActionSendData",
    {
        "url": "https://crm.example.com/{{1.list}}",
        "method": "post",
        "headers": [{"name": "X-From", "value": "make"}],
        "qs": [{"name": "q", "value": "{{lower(1.email)}}"}],
        "bodyType": "raw",
        "contentType": "application/json",
        "data": '{"email": "{{1.email}}", "age": {{1.age}}}',
        "timeout": 30,
        "parseResponse": True,
    },
    name="To the CRM",
)


def only_if(left: str, operator: str, right: str = "", name: str = "Only some") -> dict[str, Any]:
    return {"name": name, "conditions": [[{"a": left, "o": operator, "b": right}]]}


def set_(id_: int, name: str, value: str, **facts: Any) -> dict[str, Any]:
    return module(id_, "util:SetVariable2", {"name": name, "scope": "roundtrip", "value": value}, **facts)


def test_a_webhook_and_a_request_come_over_with_their_data() -> None:
    flow = only(blueprint(HOOK, SEND, set_(3, "id", "{{2.data.id}}")))
    assert isinstance(flow.trigger, WebhookTrigger)
    send, value = flow.steps
    assert isinstance(send, HttpStep)
    assert send.name == "To the CRM"
    assert send.request.method == "POST"
    assert send.request.url.value == "https://crm.example.com/{{trigger:$['list']}}"
    assert send.request.query[0].mapping.value == "{{trigger:$['email'] | lower}}"
    assert send.request.body_text.value == (
        '{"email": "{{trigger:$[\'email\']}}", "age": "{{trigger:$[\'age\']}}"}'
    )
    assert isinstance(value, SetStep)
    assert value.values[0].mapping.value == "{{s1:$['id']}}"
    assert bring(blueprint(HOOK, SEND)).report.as_json() == {
        "nodes": 2,
        "carried": 2,
        "expressions": 4,
        "carried_expressions": 4,
        "left_out": [],
    }


def test_a_filter_stands_before_the_module_it_belongs_to() -> None:
    wait = module(
        2, "util:FunctionSleep", {"duration": "30"}, filter=only_if("{{1.total}}", "number:greater", "100")
    )
    test, sleep = only(blueprint(HOOK, wait)).steps
    assert isinstance(test, FilterStep)
    assert test.name == "Only some"
    assert test.conditions.groups[0][0].left.value == "{{trigger:$['total']}}"
    assert test.conditions.groups[0][0].operator == "greater"
    assert isinstance(sleep, DelayStep)
    assert (sleep.amount.value, sleep.unit) == ("30", "seconds")


def test_routes_with_filters_are_paths_and_all_that_hold_are_taken() -> None:
    routes = [
        {"flow": [set_(3, "a", "x", filter=only_if("{{1.kind}}", "text:equal", "lead", "Leads"))]},
        {"flow": [set_(4, "b", "y", filter=only_if("{{1.kind}}", "text:equal:ci", "order", "Orders"))]},
    ]
    (paths,) = only(blueprint(HOOK, module(2, "builtin:BasicRouter", routes=routes))).steps
    assert isinstance(paths, PathsStep)
    assert paths.take == "all"
    assert [path.name for path in paths.paths] == ["Leads", "Orders"]
    assert [
        path.conditions is not None and path.conditions.groups[0][0].ignore_case for path in paths.paths
    ] == [
        False,
        True,
    ]


def test_a_route_without_a_filter_is_always_done_whatever_the_others_say() -> None:
    inner = set_(5, "c", "z", filter=only_if("{{1.x}}", "exist"))
    routes = [{"flow": [set_(3, "a", "x"), inner]}, {"flow": [set_(4, "b", "y")]}]
    first, test, last = only(blueprint(HOOK, module(2, "builtin:BasicRouter", routes=routes))).steps
    assert isinstance(first, SetStep)
    assert isinstance(test, PathsStep)  # not a filter, which would end the second route too
    assert isinstance(last, SetStep)


def test_an_iterator_and_its_aggregator_are_a_loop() -> None:
    each = module(2, "builtin:BasicFeeder", {"array": "{{1.items}}"})
    text = module(
        4,
        "util:TextAggregator",
        {"value": "{{2.title}}: {{3.price}}"},
        parameters={"feeder": 2, "rowSeparator": "\n"},
    )
    steps = only(
        blueprint(HOOK, each, set_(3, "price", "{{2.price}}"), text, set_(5, "all", "{{4.text}}"))
    ).steps
    loop, last = steps
    assert isinstance(loop, ForEachStep)
    assert loop.items.value == "{{trigger:$['items']}}"
    price, row = loop.steps
    assert isinstance(price, SetStep)
    assert price.values[0].mapping.value == "{{s1:$['item']['price']}}"
    assert isinstance(row, SetStep)
    assert row.values[0].mapping.value == "{{s1:$['item']['title']}}: {{s2:$['price']}}"
    assert isinstance(last, SetStep)
    assert last.values[0].mapping.value == "{{s1:$['results'][*]['value'] | join:\"\\n\"}}"


def test_json_is_read_into_a_step_of_its_own() -> None:
    parse = module(2, "json:ParseJSON", {"json": "{{1.raw}}"})
    read, use = steps_of(blueprint(HOOK, parse, set_(3, "x", "{{2.customer.email}}")))
    assert isinstance(read, SetStep)
    assert read.values[0].mapping.value == "{{trigger:$['raw'] | from_json}}"
    assert isinstance(use, SetStep)
    assert use.values[0].mapping.value == "{{s1:$['data']['customer']['email']}}"


def test_a_module_of_a_service_stays_open_and_is_named() -> None:
    sheet = module(2, "google-sheets:addRow", {"values": {"0": "{{1.email}}"}}, name="Add a row")
    brought = bring(blueprint(HOOK, sheet))
    (step,) = brought.drafts[0].file.definition.steps
    assert isinstance(step, HttpStep)
    assert step.request.body[0].mapping.value == "{{trigger:$['email']}}"
    assert step.gaps[0].what == "Add a row (google-sheets:addRow)"
    assert [line.where for line in brought.report.lines] == ["2: Add a row"]


def test_what_is_done_after_an_error_is_carried_or_named() -> None:
    ignored = {**SEND, "onerror": [module(9, "builtin:Ignore")]}
    (step,) = only(blueprint(HOOK, ignored)).steps
    assert step.on_error == "continue"
    handled = {**SEND, "onerror": [module(9, "slack:CreateMessage", {"text": "{{2.error.message}}"})]}
    brought = bring(blueprint(HOOK, handled))
    assert "9: CreateMessage" in [line.where for line in brought.report.lines]
    assert brought.drafts[0].file.definition.steps[0].gaps


def test_a_blueprint_does_not_say_when_it_runs() -> None:
    brought = bring(blueprint(SEND))
    assert brought.drafts[0].file.definition.trigger.gaps[0].what == "when it runs"
    flow = only(blueprint(SEND, scheduling={"type": "indefinitely", "interval": 900}))
    assert isinstance(flow.trigger, ScheduleTrigger)
    assert flow.trigger.when == "every 15 minutes"


def test_keys_in_headers_stay_behind() -> None:
    mapper = {
        "url": "https://x.example.com",
        "method": "get",
        "headers": [{"name": "Authorization", "value": "Bearer abc123"}],
    }
    brought = bring(blueprint(HOOK, module(2, "http:ActionSendData", mapper)))
    assert "abc123" not in repr(brought.drafts)
    assert [line.what for line in brought.report.lines] == ["the header 'Authorization'"]


def test_the_wrapped_answer_of_makes_interface_is_recognised() -> None:
    brought = bring({"response": {"blueprint": blueprint(HOOK, SEND)}})
    assert brought.tool == "make"
    assert len(brought.drafts) == 1


SEEN = Seen(Plain(Ref("s9")), {"1": Plain(Ref("trigger")), "12": Plain(Ref("s2"))})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1.email", "{{trigger:$['email']}}"),
        ("12.items[].name", "{{s2:$['items'][0]['name']}}"),
        ("12.items[2].`first name`", "{{s2:$['items'][1]['first name']}}"),
        ('join(map(12.items; "name"); ", ")', "{{s2:$['items'][*]['name'] | join:\", \"}}"),
        ('formatDate(now; "YYYY-MM-DD")', "{{run:$['started_at'] | date:\"%Y-%m-%d\"}}"),
        (
            'formatDate(addDays(now; -3); "DD.MM.YYYY"; "Europe/Berlin")',
            '{{run:$[\'started_at\'] | add_time:"-3","days" | date:"%d.%m.%Y","Europe/Berlin"}}',
        ),
        ('ifempty(1.a; "x")', "{{trigger:$['a'] | default:\"x\"}}"),
        ('if(1.a = "x"; "A"; "B")', '{{trigger:$[\'a\'] | lookup:"x=A;*=B" | default:"B"}}'),
        ('switch(1.s; "a"; "A"; "B")', "{{trigger:$['s'] | lookup:\"a=A;*=B\"}}"),
        ("replace(1.a; space; emptystring)", '{{trigger:$[\'a\'] | replace:" ",""}}'),
        ("1.price * 100", "{{trigger:$['price'] | multiply:\"100\"}}"),
        ("substring(1.a; 0; 3)", '{{trigger:$[\'a\'] | substring:"1","3"}}'),
    ],
)
def test_functions_of_make_become_ours(text: str, wanted: str) -> None:
    assert written(translate(text, SEEN).value) == wanted


@pytest.mark.parametrize(
    "text", ["", "1.", "foo(1.a)", "3.x", "1.a = 2", "((((", "1.a b c", "lower()", '"open']
)
def test_what_has_no_counterpart_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(NotCarried):
        translate(text, SEEN)
