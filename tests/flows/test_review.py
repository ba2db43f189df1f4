# ruff: noqa: E501 - one example per line reads better than a folded one
"""The review: each mistake is a sentence that names the step and the field, and says if it blocks."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.flows.portable.files import load
from app.flows.review.flow import Problem, review


@dataclass(frozen=True)
class Field:
    key: str
    label: str
    required: bool = False
    type: str = "string"
    choices: tuple[str, ...] = ()


MORE = [
    Field("stage", "Stage", type="choice", choices=("lead", "customer")),
    Field("amount", "Amount", type="number"),
    Field("since", "Since", type="date"),
    Field("cc", "Copy to", type="email"),
]


class Catalog:
    """HubSpot, which needs a connection, and a weather service, which needs none."""

    action = SimpleNamespace(input=[Field("email", "Email", True), Field("phone", "Phone"), *MORE])

    def find(self, key: str) -> Any:
        return {
            "hubspot": SimpleNamespace(name="HubSpot", auth=(SimpleNamespace(type="bearer"),)),
            "weather": SimpleNamespace(name="Weather", auth=(SimpleNamespace(type="none"),)),
        }.get(key)

    def find_action(self, connector: str, action: str) -> Any:
        return self.action if (connector, action) in (("hubspot", "upsert"), ("weather", "now")) else None

    def find_trigger(self, connector: str, trigger: str) -> Any:
        return self.action if (connector, trigger) == ("hubspot", "new") else None


CONNECTIONS = {"con_hub": "hubspot", "con_slack": "slack", "con_mail": "smtp"}
GOOD_STEP = {"kind": "set", "id": "s1", "values": [{"name": "x", "mapping": "1"}]}
WHEN = {"groups": [[{"left": "{{$.a}}", "operator": "equals", "right": "b"}]]}


def reviewed(*steps: dict[str, Any], **flow: Any) -> list[Problem]:
    data = {"name": "Orders", "trigger": {"kind": "webhook"}, "steps": list(steps), **flow}
    return review(load(data), Catalog(), CONNECTIONS)


def action(**facts: Any) -> dict[str, Any]:
    return {
        "kind": "action", "id": "s1", "connector": "hubspot", "action": "upsert", "connection_id": "con_hub",
        "input": {"email": "{{$.email}}"}, **facts,
    }  # fmt: skip


def http(**request: Any) -> dict[str, Any]:
    return {"kind": "http", "id": "s1", "request": {"url": "https://example.com", **request}}


def test_a_whole_flow_has_no_problems() -> None:
    assert reviewed(
        action(),
        {"kind": "filter", "id": "s2", "conditions": WHEN},
        {"kind": "for_each", "id": "s3", "items": "{{$.items}}", "steps": [
            {"kind": "http", "id": "s4", "request": {"url": "https://x.y/{{s3:$['item']['id']}}"},
             "success": {"groups": [[{"left": "{{answer:$.status}}", "operator": "less", "right": "300"}]]}},
        ]},
        {"kind": "email", "id": "s5", "to": "a@b.c", "subject": "{{run:$.id}} {{delivery:$.method}}", "text": "{{s3:$.results}}"},
    ) == []  # fmt: skip


@pytest.mark.parametrize(
    ("step", "place", "said"),
    [
        (action(input={}), "input.email", "Step 2 'Hubspot: Upsert': Email is required and empty."),
        (action(input={"email": "{{$.e"}), "input.email", "Email: '{{$.e' cannot be read"),
        (action(input={"email": "{{$.e | uper}}"}), "input.email", "There is 'upper'"),
        (action(input={"email": "{{$.a..b..c}}"}), "input.email", "only once"),
        (action(input={"email": "{{s9:$.a}}"}), "input.email", "Email points at the step 's9', which is not in the flow"),
        (action(input={"email": "{{email}}"}), "input.email", "Did you mean {{$.email}}?"),
        (action(input={"email": "{{s1:$.a}}"}), "input.email", "uses the step's own data"),
        (action(input={"email": {"value": "x", "default": "{{s9:$.a}}"}}), "input.email", "'s9'"),
        (action(input={"email": "x@y.z", "stage": "boss"}), "input.stage", "Stage: 'boss' is not one of 'lead', 'customer'"),
        (action(input={"email": "x@y.z", "amount": "lots"}), "input.amount", "'lots' is not a number"),
        (action(input={"email": "x@y.z", "since": "soon"}), "input.since", "'soon' is not a date"),
        (action(input={"email": "x@y.z", "cc": "ada"}), "input.cc", "'ada' is not an email address"),
        (action(connection_id=""), "connection_id", "No connection is picked. Choose your HubSpot account."),
        (action(connection_id="con_gone"), "connection_id", "is not there any more"),
        (action(connection_id="con_slack"), "connection_id", "is one for slack; this step needs one for HubSpot"),
        (action(connector="gone"), "connector", "The connector 'gone' is not installed here"),
        (action(action="gone"), "connector", "HubSpot has no action 'gone' any more"),
        (action(extra=[{"name": " ", "mapping": "x"}]), "extra.0.name", "a value and no name"),
        (http(url=""), "request.url", "Address is empty"),
        (http(url="example.com"), "request.url", "has to begin with https://"),
        (http(url="https://a b.c"), "request.url", "has a space"),
        (http(url="ftp://x"), "request.url", "has to begin with https://"),
        (http(headers=[{"name": "a b", "mapping": "x"}]), "request.headers.0.name", "'a b' cannot be the name"),
        (http(query=[{"name": "", "mapping": "x"}]), "request.query.0.name", "a value and no name"),
        (http(query=[{"name": "q", "mapping": "{{s9}}"}]), "request.query.0.mapping", "'q' points at 's9'"),
        (http(method="POST", body_kind="json_text", body_text='{"a": {{$.a}}}'), "request.body_text", "not JSON (line 1)"),
        (http(method="POST", body_kind="json_text", body_text='{"a": "{{s9:$.a}}"}'), "request.body_text", "'s9'"),
        (http(connection_id="con_gone"), "request.connection_id", "is not there any more"),
        ({"kind": "filter", "id": "s1", "conditions": {"groups": [[]]}}, "conditions", "The filter has no condition"),
        ({"kind": "filter", "id": "s1", "conditions": {"groups": [[{"left": "", "operator": "exists"}]]}}, "conditions.groups.0.0.left", "does not say what to check"),
        ({"kind": "filter", "id": "s1", "conditions": {"groups": [[{"left": "{{$.a}}", "operator": "equals"}]]}}, "conditions.groups.0.0.right", "what to compare with is missing"),
        ({"kind": "filter", "id": "s1", "conditions": {"groups": [[{"left": "{{$.a}}", "operator": "between", "right": "1"}]]}}, "right_to", "upper value"),
        ({"kind": "filter", "id": "s1", "conditions": {"groups": [[{"left": "{{$.a}}", "operator": "matches", "right": "("}]]}}, "right", "not a pattern"),
        ({"kind": "filter", "id": "s1", "conditions": {"groups": [[{"left": "{{answer:$.a}}", "operator": "exists"}]]}}, "left", "'answer'"),
        ({"kind": "paths", "id": "s1", "paths": [{"id": "p1", "name": "A"}, {"id": "p2", "name": "B"}]}, "paths.1", "everyone else"),
        ({"kind": "for_each", "id": "s1", "items": ""}, "items", "which list"),
        ({"kind": "delay", "id": "s1", "amount": "soon"}, "amount", "'soon' is not a length of time"),
        ({"kind": "delay", "id": "s1", "mode": "until"}, "until", "until when"),
        ({"kind": "delay", "id": "s1", "mode": "until", "until": "some day"}, "until", "'some day' is not a date"),
        ({"kind": "email", "id": "s1", "subject": "x"}, "to", "no recipient"),
        ({"kind": "email", "id": "s1", "to": "ada", "subject": "x"}, "to", "'ada' is not an email address"),
        ({"kind": "email", "id": "s1", "to": "a@b.c"}, "subject", "Subject is empty"),
        ({"kind": "email", "id": "s1", "to": "a@b.c", "subject": "x", "connection_id": "con_hub"}, "connection_id", "one for HubSpot; this step needs one for a mail server"),
        ({**GOOD_STEP, "id": "trigger"}, "id", "'trigger' is there 2 times"),
        ({**GOOD_STEP, "id": "run"}, "id", "has a meaning of its own"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_step_blocks_and_is_said(step: dict[str, Any], place: str, said: str) -> None:
    found = [problem for problem in reviewed(step) if said in problem.sentence]
    assert len(found) == 1
    assert found[0].field.endswith(place)
    assert found[0].blocking
    assert found[0].step_id == step["id"]
    assert found[0].sentence.startswith(("Step 2", "The trigger"))


@pytest.mark.parametrize(
    ("trigger", "place", "said"),
    [
        ({"kind": "schedule", "when": "often"}, "when", "'often' is not a schedule"),
        ({"kind": "webhook", "items": "rows"}, "items", "begin with $"),
        ({"kind": "webhook", "dedupe": "id"}, "dedupe", "begin with $"),
        ({"kind": "webhook", "dedupe": "header:"}, "dedupe", "name of the header"),
        ({"kind": "webhook", "methods": []}, "methods", "no kind of request"),
        ({"kind": "webhook", "signature": {"connection_id": "", "header": "X"}}, "signature.connection_id", "holds the secret"),
        ({"kind": "webhook", "signature": {"connection_id": "con_hub", "header": ""}}, "signature.header", "which header"),
        ({"kind": "poll", "request": {}}, "request.url", "Address is empty"),
        ({"kind": "poll", "request": {"url": "https://x.y"}, "cursor": "$.a["}, "cursor", "[ is not closed"),
        ({"kind": "poll", "request": {"url": "https://x.y/{{$.a}}"}}, "request.url", "not there yet"),
        ({"kind": "connector", "connector": "hubspot", "trigger": "new", "input": {"email": "x"}}, "connection_id", "No connection is picked"),
        ({"kind": "connector", "connector": "hubspot", "trigger": "gone", "connection_id": "con_hub"}, "connector", "no trigger 'gone'"),
        ({"kind": "connector", "connector": "hubspot", "trigger": "new", "connection_id": "con_hub"}, "input.email", "Email is required"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_trigger_blocks_and_is_said(trigger: dict[str, Any], place: str, said: str) -> None:
    found = [problem for problem in reviewed(GOOD_STEP, trigger=trigger) if said in problem.sentence]
    assert [(problem.step_id, problem.field) for problem in found] == [("trigger", place)]
    assert found[0].blocking
    assert found[0].sentence.startswith("The trigger: ")


def test_a_poll_may_use_its_cursor() -> None:
    trigger = {"kind": "poll", "request": {"url": "https://x.y/?since={{cursor}}"}}
    assert reviewed(GOOD_STEP, trigger=trigger) == []


def test_a_flow_without_steps_or_with_a_wrong_time_zone_is_no_flow_yet() -> None:
    found = reviewed(time_zone="Mars/Base", name="  ")
    assert [problem.field for problem in found] == ["name", "time_zone", "steps"]
    assert all(problem.blocking and problem.step_id == "" for problem in found)


def test_data_of_a_later_step_or_of_another_path_is_refused() -> None:
    early = action(input={"email": "{{s2:$.x}}"})
    assert "uses step 3 'Values', which comes later" in reviewed(early, {**GOOD_STEP, "id": "s2"})[0].sentence
    inner = {**GOOD_STEP, "id": "s3"}
    other = {**GOOD_STEP, "id": "s4", "values": [{"name": "x", "mapping": "{{s3:$.x}}"}]}
    paths = [
        {"id": "p1", "name": "A", "conditions": WHEN, "steps": [inner]},
        {"id": "p2", "name": "B", "steps": [other]},
    ]
    found = reviewed({"kind": "paths", "id": "s1", "paths": paths})
    assert ["another path or loop" in problem.sentence for problem in found] == [True]


def test_data_of_a_path_is_there_after_it_and_data_of_a_loop_is_not() -> None:
    after = {**GOOD_STEP, "id": "s9", "values": [{"name": "x", "mapping": "{{s2:$.x}}"}]}
    inner = {**GOOD_STEP, "id": "s2"}
    paths = [{"id": "p1", "name": "A", "conditions": WHEN, "steps": [inner]}]
    assert reviewed({"kind": "paths", "id": "s1", "paths": paths}, after) == []
    loop = {"kind": "for_each", "id": "s1", "items": "{{$.a}}", "steps": [inner]}
    assert "another path or loop" in reviewed(loop, after)[0].sentence


def test_two_steps_with_one_id_are_named() -> None:
    assert "'s1' is there 2 times" in reviewed(GOOD_STEP, GOOD_STEP)[0].sentence


def test_a_service_without_keys_needs_no_connection() -> None:
    assert reviewed(action(connector="weather", action="now", connection_id="")) == []


def test_a_required_field_with_a_default_is_filled() -> None:
    rule = {"value": "", "when_empty": "default", "default": "x"}
    assert reviewed(action(input={"email": rule})) == []


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (action(input={"email": "x", "fone": "1"}), "'fone' is not known to this service. There is 'phone'"),
        (action(input={"email": {"value": "x", "when_empty": "leave_out"}}), "set to be left out"),
        ({"kind": "for_each", "id": "s1", "items": "{{$.a}}"}, "no steps inside"),
        (
            {"kind": "paths", "id": "s1", "paths": [{"id": "p1", "name": "A", "conditions": WHEN}]},
            "'A' has no steps",
        ),
        ({"kind": "set", "id": "s1"}, "sets no values"),
        ({"kind": "email", "id": "s1", "to": "a@b.c", "subject": "x"}, "Text is empty"),
        (http(method="GET", body_kind="json", body=[{"name": "a", "mapping": "b"}]), "ignore the body"),
        (http(method="POST", body_kind="json"), "no fields"),
    ],
)
def test_what_is_only_odd_is_a_hint(step: dict[str, Any], said: str) -> None:
    found = reviewed(step)
    assert [said in problem.sentence for problem in found] == [True]
    assert not found[0].blocking


def test_a_step_after_a_stop_is_never_reached() -> None:
    found = reviewed({"kind": "stop", "id": "s1"}, {**GOOD_STEP, "id": "s2"})
    assert found[0].sentence == "Step 3 'Values' is never reached, because step 2 'Stop' ends the run."
    assert not found[0].blocking


def test_an_unsigned_trigger_is_pointed_out() -> None:
    trigger = {
        "kind": "connector", "connector": "hubspot", "trigger": "new", "connection_id": "con_hub",
        "input": {"email": "x"}, "accept_unsigned": True,
    }  # fmt: skip
    assert "anybody could send one" in reviewed(GOOD_STEP, trigger=trigger)[0].sentence


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_no_text_breaks_a_review(left: str, right: str) -> None:
    values = {"left": left, "operator": "matches", "right": right}
    found = reviewed(
        http(url=left, method="POST", body_kind="json_text", body_text=right),
        {"kind": "filter", "id": "s2", "conditions": {"groups": [[values]]}},
        {"kind": "delay", "id": "s3", "amount": left},
        {"kind": "email", "id": "s4", "to": left, "subject": right},
        trigger={"kind": "schedule", "when": right},
        time_zone=left,
    )
    assert all(problem.sentence for problem in found)
