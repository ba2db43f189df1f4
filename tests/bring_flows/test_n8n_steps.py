"""What each node of n8n becomes."""

from __future__ import annotations

from typing import Any

import pytest

from app.flows.model import (
    DelayStep,
    FilterStep,
    ForEachStep,
    HttpStep,
    ManualTrigger,
    PathsStep,
    ScheduleTrigger,
    SetStep,
    StopStep,
    WebhookTrigger,
)
from tests.bring_flows.exports import bring, export, lines, node, only, steps_of

HOOK = node("Hook", "webhook", 2, parameters={"path": "lead", "httpMethod": "POST", "options": {}})
BUTTON = node("Button", "manualTrigger")


def assignments(**values: Any) -> dict[str, Any]:
    rows = [{"name": name, "value": value, "type": "string"} for name, value in values.items()]
    return {"assignments": {"assignments": rows}, "options": {}}


def condition(left: str, operation: str, right: Any = "", kind: str = "string") -> dict[str, Any]:
    row = {"leftValue": left, "rightValue": right, "operator": {"type": kind, "operation": operation}}
    return {"conditions": {"options": {"caseSensitive": True}, "combinator": "and", "conditions": [row]}}


def test_a_form_that_is_passed_on_arrives_with_its_fields_mapped() -> None:
    request = node(
        "To the CRM",
        "httpRequest",
        4.2,
        parameters={
            "method": "POST",
            "url": "https://crm.example.com/{{ $json.body.list }}",
            "sendBody": True,
            "bodyParameters": {
                "parameters": [
                    {"name": "email", "value": "={{ $json.body.email.toLowerCase() }}"},
                    {"name": "source", "value": "=form {{ $json.query.utm_source || 'direct' }}"},
                ]
            },
            "options": {"timeout": 10000},
        },
    )
    flow = only(
        export(
            HOOK,
            request
            | {
                "parameters": request["parameters"]
                | {"url": "=https://crm.example.com/{{ $json.body.list }}"}
            },
        )
    )
    assert isinstance(flow.trigger, WebhookTrigger)
    (step,) = flow.steps
    assert isinstance(step, HttpStep)
    assert step.name == "To the CRM"
    assert step.request.method == "POST"
    assert step.request.url.value == "https://crm.example.com/{{trigger:$['list']}}"
    assert [(row.name, row.mapping.value) for row in step.request.body] == [
        ("email", "{{trigger:$['email'] | lower}}"),
        ("source", "form {{delivery:$['query']['utm_source'] | default:\"direct\"}}"),
    ]
    assert step.request.timeout_s == 10
    assert step.gaps == []


def test_json_in_a_body_keeps_its_form_and_its_data_stand_in_quotes() -> None:
    body = '={"email": "{{ $json.body.email }}", "age": {{ $json.body.age }}, "tags": ["a", "b"]}'
    parameters = {
        "method": "POST",
        "url": "https://x.example.com",
        "sendBody": True,
        "specifyBody": "json",
        "jsonBody": body,
    }
    (step,) = steps_of(export(HOOK, node("Send", "httpRequest", 4.2, parameters=parameters)))
    assert isinstance(step, HttpStep)
    assert step.request.body_kind == "json_text"
    assert step.request.body_text.value == (
        '{"email": "{{trigger:$[\'email\']}}", "age": "{{trigger:$[\'age\']}}", "tags": ["a", "b"]}'
    )


def test_values_that_are_set_are_found_by_later_steps() -> None:
    first = node(
        "Names", "set", 3.4, parameters=assignments(full="={{ $json.body.first }} {{ $json.body.last }}")
    )
    second = node(
        "More",
        "set",
        3.4,
        parameters=assignments(hello="=Hello {{ $json.full }}", mail="={{ $('Hook').item.json.body.email }}"),
    )
    one, two = steps_of(export(HOOK, first, second))
    assert isinstance(one, SetStep)
    assert isinstance(two, SetStep)
    assert one.values[0].mapping.value == "{{trigger:$['first']}} {{trigger:$['last']}}"
    assert two.values[0].mapping.value == "Hello {{s1:$['full']}}"
    assert two.values[1].mapping.value == "{{trigger:$['email']}}"


def test_old_values_keep_what_came_in_unless_they_say_otherwise() -> None:
    old = {"values": {"string": [{"name": "a", "value": "1"}]}, "options": {}}
    after = node("After", "set", 3.4, parameters=assignments(both="={{ $json.a }} {{ $json.body.b }}"))
    _, step = steps_of(export(HOOK, node("Old", "set", 1, parameters=old), after))
    assert isinstance(step, SetStep)
    assert step.values[0].mapping.value == "{{s1:$['a']}} {{trigger:$['b']}}"


def test_if_becomes_two_paths_and_each_has_its_steps() -> None:
    test = node("Big?", "if", 2.2, parameters=condition("={{ $json.body.total }}", "gt", 100, "number"))
    links = {"Hook": [["Big?"]], "Big?": [["Yes"], ["No"]]}
    flow = only(
        export(
            HOOK,
            test,
            node("Yes", "set", 3.4, parameters=assignments(a="1")),
            node("No", "set", 3.4, parameters=assignments(a="2")),
            links=links,
        )
    )
    (paths,) = flow.steps
    assert isinstance(paths, PathsStep)
    assert paths.take == "first"
    yes, no = paths.paths
    assert yes.conditions is not None
    assert yes.conditions.groups[0][0].operator == "greater"
    assert yes.conditions.groups[0][0].left.value == "{{trigger:$['total']}}"
    assert [step.name for step in yes.steps] == ["Yes"]
    assert no.conditions is None
    assert [step.name for step in no.steps] == ["No"]


def test_a_comparison_written_as_an_expression_becomes_conditions() -> None:
    parameters = condition("={{ $json.body.a === 'x' && !$json.body.b }}", "true", kind="boolean")
    (step,) = steps_of(export(HOOK, node("Only", "filter", 2.2, parameters=parameters)))
    assert isinstance(step, FilterStep)
    told = [[(one.left.value, one.operator) for one in group] for group in step.conditions.groups]
    assert told[0] == [("{{trigger:$['a']}}", "equals"), ("{{trigger:$['b']}}", "is_empty")]


def test_branches_that_meet_again_go_on_behind_the_paths() -> None:
    test = node("Big?", "if", 2.2, parameters=condition("={{ $json.body.total }}", "gt", 100, "number"))
    wait = node("Later", "wait", 1.1, parameters={"amount": 2, "unit": "days"})
    end = node("End", "set", 3.4, parameters=assignments(mail="={{ $json.body.email }}"))
    flow = only(
        export(
            HOOK,
            test,
            wait,
            end,
            links={"Hook": [["Big?"]], "Big?": [["Later"], ["End"]], "Later": [["End"]]},
        )
    )
    paths, last = flow.steps
    assert isinstance(paths, PathsStep)
    assert isinstance(paths.paths[0].steps[0], DelayStep)
    assert isinstance(last, SetStep)
    assert last.values[0].mapping.value == "{{trigger:$['email']}}"


def test_what_depends_on_the_way_that_was_taken_stands_in_each_path() -> None:
    test = node("Big?", "if", 2.2, parameters=condition("={{ $json.body.total }}", "gt", 100, "number"))
    links = {"Hook": [["Big?"]], "Big?": [["A"], ["B"]], "A": [["End"]], "B": [["End"]]}
    names = [node(name, "set", 3.4, parameters=assignments(word=name)) for name in ("A", "B")]
    end = node("End", "set", 3.4, parameters=assignments(said="={{ $json.word }}"))
    brought = bring(export(HOOK, test, *names, end, links=links))
    (paths,) = brought.drafts[0].file.definition.steps
    assert isinstance(paths, PathsStep)
    ends = [path.steps[-1] for path in paths.paths]
    assert [end.values[0].mapping.value for end in ends if isinstance(end, SetStep)] == [
        "{{s2:$['word']}}",
        "{{s4:$['word']}}",
    ]
    assert brought.report.as_json() == {
        "nodes": 5,
        "carried": 5,
        "expressions": 2,
        "carried_expressions": 2,
        "left_out": [],
    }


def test_switch_has_a_path_for_each_rule_and_one_for_everyone_else() -> None:
    rules = [
        {**condition("={{ $json.body.kind }}", "equals", kind), "renameOutput": True, "outputKey": kind}
        for kind in ("lead", "order")
    ]
    parameters = {"rules": {"values": rules}, "options": {"fallbackOutput": "extra"}}
    links = {"Hook": [["Which"]], "Which": [["A"], ["B"], ["C"]]}
    rest = [node(name, "set", 3.4, parameters=assignments(x="1")) for name in "ABC"]
    (paths, *_) = only(
        export(HOOK, node("Which", "switch", 3.2, parameters=parameters), *rest, links=links)
    ).steps
    assert isinstance(paths, PathsStep)
    assert [path.name for path in paths.paths] == ["lead", "order", "Everyone else"]
    assert paths.paths[2].conditions is None


def test_a_list_that_is_split_is_gone_through_in_a_loop() -> None:
    split = node("Items", "splitOut", 1, parameters={"fieldToSplitOut": "body.items", "options": {}})
    send = node(
        "Send",
        "httpRequest",
        4.2,
        parameters={"url": "=https://x.example.com/{{ $json.sku }}", "options": {}},
    )
    flow = only(export(HOOK, split, send))
    (loop,) = flow.steps
    assert isinstance(loop, ForEachStep)
    assert loop.items.value == "{{trigger:$['items']}}"
    (inside,) = loop.steps
    assert isinstance(inside, HttpStep)
    assert inside.request.url.value == "https://x.example.com/{{s1:$['item']['sku']}}"


def test_a_loop_over_items_ends_where_n8n_says_done() -> None:
    loop = node("Loop", "splitInBatches", 3, parameters={"options": {}})
    send = node(
        "Send", "httpRequest", 4.2, parameters={"url": "=https://x.example.com/{{ $json.id }}", "options": {}}
    )
    end = node("All", "aggregate", 1, parameters={"aggregate": "aggregateAllItemData"})
    links = {"Hook": [["Get"]], "Get": [["Loop"]], "Loop": [["All"], ["Send"]], "Send": [["Loop"]]}
    get = node("Get", "httpRequest", 4.2, parameters={"url": "https://x.example.com", "options": {}})
    first, each, last = only(export(HOOK, get, loop, send, end, links=links)).steps
    assert isinstance(first, HttpStep)
    assert isinstance(each, ForEachStep)
    assert each.items.value == "{{s1}}"
    assert [step.name for step in each.steps] == ["Send"]
    assert isinstance(last, SetStep)
    assert last.values[0].mapping.value == "{{s2:$['results']}}"


def test_a_way_back_is_named_where_it_would_stand() -> None:
    links = {"Hook": [["Wait"]], "Wait": [["Ask"]], "Ask": [["Ready?"]], "Ready?": [["End"], ["Wait"]]}
    nodes = [
        node("Wait", "wait", 1.1, parameters={"amount": 5}),
        node("Ask", "httpRequest", 4.2, parameters={"url": "https://x.example.com", "options": {}}),
        node("Ready?", "if", 2.2, parameters=condition("={{ $json.ready }}", "true", kind="boolean")),
        node("End", "noOp"),
    ]
    brought = bring(export(HOOK, *nodes, links=links))
    (line,) = brought.report.lines
    assert line.where == "Wait"
    assert "circles" in line.reason
    paths = brought.drafts[0].file.definition.steps[2]
    assert isinstance(paths, PathsStep)
    assert paths.paths[1].steps[0].gaps[0].what == "the way to 'Wait'"


def every(**interval: Any) -> dict[str, Any]:
    return {"rule": {"interval": [interval]}}


def old_time(**item: Any) -> dict[str, Any]:
    return {"triggerTimes": {"item": [item]}}


NEW, OLD = "scheduleTrigger", "cron"


@pytest.mark.parametrize(
    ("kind", "parameters", "when"),
    [
        (NEW, every(field="minutes", minutesInterval=15), "every 15 minutes"),
        (NEW, every(triggerAtHour=7, triggerAtMinute=30), "every day at 07:30"),
        (
            NEW,
            every(field="weeks", triggerAtDay=[1, 3], triggerAtHour=9),
            "every monday and wednesday at 09:00",
        ),
        (NEW, every(field="cronExpression", expression="0 30 6 * * 1-5"), "30 6 * * 1-5"),
        (NEW, every(field="months", triggerAtDayOfMonth=3, triggerAtHour=6), "0 6 3 * *"),
        (OLD, old_time(mode="everyX", unit="minutes", value=10), "every 10 minutes"),
        (OLD, old_time(mode="everyWeek", weekday=1, hour=8), "every monday at 08:00"),
    ],
)
def test_a_schedule_starts_at_the_same_times(kind: str, parameters: dict[str, Any], when: str) -> None:
    flow = only(
        export(
            node("Times", kind, 1.2, parameters=parameters),
            node("End", "set", 3.4, parameters=assignments(a="1")),
        )
    )
    assert isinstance(flow.trigger, ScheduleTrigger)
    assert flow.trigger.when == when


def test_a_schedule_that_does_not_fit_is_named() -> None:
    times = node(
        "Times",
        "scheduleTrigger",
        1.2,
        parameters={"rule": {"interval": [{"field": "minutes", "minutesInterval": 7}]}},
    )
    brought = bring(export(times, node("End", "set", 3.4, parameters=assignments(a="1"))))
    assert lines(brought) == [("every 7 minutes", "Times")]
    assert brought.drafts[0].file.definition.trigger.gaps[0].what == "every 7 minutes"


def test_a_button_beside_another_trigger_makes_no_flow_of_its_own() -> None:
    end = node("End", "set", 3.4, parameters=assignments(a="1"))
    brought = bring(export(HOOK, BUTTON, end, links={"Hook": [["End"]], "Button": [["End"]]}))
    assert [type(draft.file.definition.trigger) for draft in brought.drafts] == [WebhookTrigger]
    assert brought.report.as_json()["carried"] == 3


def test_two_triggers_make_two_flows() -> None:
    times = node("Times", "scheduleTrigger", 1.2)
    end = node("End", "set", 3.4, parameters=assignments(a="1"))
    brought = bring(export(HOOK, times, end, links={"Hook": [["End"]], "Times": [["End"]]}))
    assert [draft.file.definition.name for draft in brought.drafts] == ["Leads: Hook", "Leads: Times"]


def test_code_leaves_a_row_for_each_value_that_later_steps_read() -> None:
    code = node("Work it out", "code", 2, parameters={"jsCode": "return items.map(i => i)"})
    after = node(
        "Use",
        "set",
        3.4,
        parameters=assignments(a="={{ $json.score }}", b="={{ $('Work it out').item.json.grade }}"),
    )
    brought = bring(export(HOOK, code, after))
    one, two = brought.drafts[0].file.definition.steps
    assert isinstance(one, SetStep)
    assert sorted(row.name for row in one.values) == ["grade", "score"]
    assert one.gaps[0].what == "Work it out (code)"
    assert "return items.map" in one.note
    assert isinstance(two, SetStep)
    assert two.values[0].mapping.value == "{{s1:$['score']}}"
    assert lines(brought) == [("Work it out (code)", "Work it out")]


def test_a_node_that_fails_and_goes_on_another_way_has_two_paths() -> None:
    ask = node(
        "Ask",
        "httpRequest",
        4.2,
        parameters={"url": "https://x.example.com", "options": {}},
        onError="continueErrorOutput",
        retryOnFail=True,
        maxTries=4,
        waitBetweenTries=3000,
    )
    rest = [node(name, "set", 3.4, parameters=assignments(x=name)) for name in ("Fine", "Broken")]
    step, paths = only(
        export(HOOK, ask, *rest, links={"Hook": [["Ask"]], "Ask": [["Fine"], ["Broken"]]})
    ).steps
    assert step.on_error == "continue"
    assert step.retry.attempts == 4
    assert step.retry.first_wait_s == 3
    assert isinstance(paths, PathsStep)
    assert [(path.name, [inner.name for inner in path.steps]) for path in paths.paths] == [
        ("It failed", ["Broken"]),
        ("It worked", ["Fine"]),
    ]


def test_a_stop_with_an_error_ends_the_run_as_failed() -> None:
    stop = node("No", "stopAndError", 1, parameters={"errorMessage": "=No mail for {{ $json.body.name }}"})
    (step,) = steps_of(export(HOOK, stop))
    assert isinstance(step, StopStep)
    assert step.outcome == "failed"
    assert step.message.value == "No mail for {{trigger:$['name']}}"


def test_a_node_that_is_switched_off_is_passed_by_and_named() -> None:
    off = node("Off", "set", 3.4, parameters=assignments(a="1"), disabled=True)
    end = node("End", "set", 3.4, parameters=assignments(b="={{ $json.body.x }}"))
    brought = bring(export(HOOK, off, end))
    (step,) = brought.drafts[0].file.definition.steps
    assert step.name == "End"
    assert ("Off", "Off") in lines(brought)


def test_notes_are_kept_on_the_steps_they_belong_to() -> None:
    about = node(
        "Note",
        "stickyNote",
        parameters={"content": "Ask sales first", "width": 300, "height": 200},
        position=[-50, -50],
    )
    far = node("Far", "stickyNote", parameters={"content": "All about leads"}, position=[5000, 5000])
    end = node("End", "set", 3.4, parameters=assignments(a="1"), notes="Mine", position=[10, 10])
    flow = only(export(HOOK | {"position": [900, 900]}, end, about, far, links={"Hook": [["End"]]}))
    assert flow.steps[0].note == "Mine\n\nAsk sales first"
    assert flow.description == "All about leads"


def test_pinned_data_become_samples() -> None:
    pinned = {
        "Hook": [{"json": {"body": {"email": "ana@example.com"}, "headers": {}}}],
        "Ask": [{"json": {"id": 1}}],
    }
    ask = node("Ask", "httpRequest", 4.2, parameters={"url": "https://x.example.com", "options": {}})
    (draft,) = bring(export(HOOK, ask, pinData=pinned)).drafts
    assert draft.samples == {"trigger": {"email": "ana@example.com"}, "s1": {"id": 1}}


def test_of_credentials_only_the_name_comes_along() -> None:
    ask = node(
        "Ask",
        "httpRequest",
        4.2,
        parameters={
            "url": "https://x.example.com",
            "authentication": "genericCredentialType",
            "genericAuthType": "httpHeaderAuth",
            "options": {},
        },
        credentials={"httpHeaderAuth": {"id": "9", "name": "Our CRM", "data": {"value": "very-secret"}}},
    )
    brought = bring(export(HOOK, ask))
    assert [(one.connector, one.name) for one in brought.drafts[0].file.connections.values()] == [
        ("http", "Our CRM")
    ]
    assert "very-secret" not in repr(brought)
    assert lines(brought) == [("the sign-in 'Our CRM' (httpHeaderAuth)", "Ask")]


def test_an_expression_that_cannot_be_carried_over_stays_as_a_gap_in_its_field() -> None:
    end = node(
        "End",
        "set",
        3.4,
        parameters=assignments(a="={{ $json.body.items.reduce((a, b) => a + b, 0) }} in all"),
    )
    brought = bring(export(HOOK, end))
    (step,) = brought.drafts[0].file.definition.steps
    assert isinstance(step, SetStep)
    assert step.values[0].mapping.value == "{{gap:$['$json.body.items.reduce((a, b) => a + b, 0)']}} in all"
    (line,) = brought.report.lines
    assert line.what == "$json.body.items.reduce((a, b) => a + b, 0)"
    assert line.where == "End, assignments.assignments[0].value"
    assert brought.report.as_json()["carried_expressions"] == 0


def test_a_workflow_without_a_trigger_asks_what_starts_it() -> None:
    flow = only(export(node("End", "set", 3.4, parameters=assignments(a="1"))))
    assert isinstance(flow.trigger, ManualTrigger)
    assert flow.trigger.gaps[0].what == "a trigger"
