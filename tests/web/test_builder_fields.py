"""The forms of steps: what is typed is kept, what makes no sense gets its sentence at its field."""

from __future__ import annotations

import pytest

from app.flows.model import FilterStep, ForEachStep, PathsStep
from app.parts import Parts
from tests.web.browser import Browser
from tests.web.flow_forms import REQUEST, make_flow, part, send, stored, web_request


def test_a_web_request_is_filled_in_by_its_form(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    fields = {
        "request.method": "PUT",
        "request.url.value": "https://api.example.com/people",
        "request.body[]": "",
        "request.body.0.name": "email",
        "request.body.0.mapping.value": "{{trigger:$['email'] | lower}}",
        "request.body.0.mapping.when_empty": "default",
        "request.body.0.mapping.default": "nobody",
        "request.body.1.name": "",
        "request.body.1.mapping.value": "",
        "request.follow_redirects": "1",
        "request.timeout_s": "12.5",
    }
    answer = send(browser, parts, flow_id, "steps/s1?tab=fields", **fields)
    assert answer.status_code == 200
    request = web_request(parts, flow_id).request
    assert (request.method, request.timeout_s, request.follow_redirects) == ("PUT", 12.5, True)
    assert [row.name for row in request.body] == ["email"]
    assert request.body[0].mapping.default == "nobody"


def test_rows_are_added_and_removed(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    rows = {"request.query[]": "", "request.query.0.name": "page", "request.query.0.mapping.value": "1"}
    added = send(browser, parts, flow_id, "steps/s1?tab=fields", **rows, do="add:request.query")
    assert 'name="request.query.1.name"' in part(added, "#panel")
    assert [row.name for row in web_request(parts, flow_id).request.query] == ["page"]
    send(browser, parts, flow_id, "steps/s1?tab=fields", **rows, do="remove:request.query.0")
    assert web_request(parts, flow_id).request.query == []


@pytest.mark.parametrize(
    "change",
    [
        "remove:request.query.7",
        "remove:",
        "add:",
        "add:request",
        "group:request.query",
        "x",
        "set:=",
        "data:",
    ],
)
def test_a_change_of_rows_that_makes_no_sense_changes_nothing(
    browser: Browser, parts: Parts, change: str
) -> None:
    flow_id = make_flow(parts, REQUEST)
    before = stored(parts, flow_id).draft
    assert send(browser, parts, flow_id, "steps/s1", do=change).status_code == 200
    assert stored(parts, flow_id).draft == before


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("request.timeout_s", "soon", "Write a number. “soon” is none."),
        ("request.timeout_s", "0", "more than 0"),
        ("request.timeout_s", "9999", "at most 300"),
        ("request.method", "BREW", "“BREW” is not one of the choices."),
        ("retry.attempts", "many", "Write a whole number. “many” is none."),
        ("default_text", "{", "Write JSON here"),
        ("request.timeout_s", "<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
    ],
)
def test_a_wrong_value_gets_its_sentence_at_its_field_and_is_not_saved(
    browser: Browser, parts: Parts, name: str, value: str, said: str
) -> None:
    flow_id = make_flow(parts, REQUEST)
    before = stored(parts, flow_id)
    answer = send(browser, parts, flow_id, "steps/s1", **{name: value})
    assert answer.status_code == 422
    assert said in part(answer, "#e-" + name.replace(".", "-"))
    assert "<script>alert" not in answer.text
    assert "Not saved" in answer.text
    assert stored(parts, flow_id).draft_revision == before.draft_revision


def test_without_scripts_a_wrong_value_stays_in_its_field(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    form = {"revision": "1", "request.timeout_s": "soon", "name": "Kept while typing"}
    answer = browser.post(f"/flows/{flow_id}/steps/s1?tab=fields", form)
    assert answer.status_code == 422
    assert 'value="soon"' in answer.text
    assert 'value="Kept while typing"' in answer.text


def test_conditions_are_built_with_and_and_or(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    send(browser, parts, flow_id, "steps", kind="filter", after="trigger")
    first = {
        "conditions.groups.0[]": "",
        "conditions.groups.0.0.left.value": "{{$.total}}",
        "conditions.groups.0.0.operator": "between",
        "conditions.groups.0.0.right.value": "10",
        "conditions.groups.0.0.right_to.value": "20",
    }
    added = send(browser, parts, flow_id, "steps/s1?tab=fields", **first, do="add:conditions.groups.0")
    assert 'name="conditions.groups.0.1.left.value"' in added.text
    grouped = send(browser, parts, flow_id, "steps/s1?tab=fields", **first, do="group:conditions.groups")
    assert 'name="conditions.groups.1.0.left.value"' in grouped.text
    step = stored(parts, flow_id).draft.steps[0]
    assert isinstance(step, FilterStep)
    assert [len(group) for group in step.conditions.groups] == [1, 1]
    assert step.conditions.groups[0][0].right_to.value == "20"


def test_the_last_condition_leaves_an_empty_one_behind(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    send(browser, parts, flow_id, "steps", kind="filter", after="trigger")
    only = {"conditions.groups.0[]": "", "conditions.groups.0.0.left.value": "x"}
    only["conditions.groups.0.0.operator"] = "equals"
    send(browser, parts, flow_id, "steps/s1", **only, do="remove:conditions.groups.0.0")
    step = stored(parts, flow_id).draft.steps[0]
    assert isinstance(step, FilterStep)
    assert step.conditions.groups[0][0].left.value == ""


def test_an_operator_that_needs_no_second_value_asks_for_none(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    send(browser, parts, flow_id, "steps", kind="filter", after="trigger")
    fields = {"conditions.groups.0.0.left.value": "{{$.email}}", "conditions.groups.0.0.operator": "is_empty"}
    answer = send(browser, parts, flow_id, "steps/s1?tab=fields", **fields)
    assert "groups.0.0.right.value" not in part(answer, "#panel")


def test_paths_are_named_ruled_added_and_removed(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    send(browser, parts, flow_id, "steps", kind="paths", after="trigger")
    send(browser, parts, flow_id, "steps", kind="delay", after="", inside="p1")
    send(browser, parts, flow_id, "steps/s1", paths__0__id="p1", paths__0__name="VIP", do="add-path:")
    step = stored(parts, flow_id).draft.steps[0]
    assert isinstance(step, PathsStep)
    assert [path.name for path in step.paths] == ["VIP", "Path 2", "Everyone else"]
    assert [inner.id for inner in step.paths[0].steps] == ["s2"]
    send(browser, parts, flow_id, "steps/s1", paths__0__id="p1", paths__0__taken="else")
    send(browser, parts, flow_id, "steps/s1", do="remove-path:p3")
    step = stored(parts, flow_id).draft.steps[0]
    assert isinstance(step, PathsStep)
    assert step.paths[0].conditions is None
    assert len(step.paths) == 2


def test_a_path_needs_a_name(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    send(browser, parts, flow_id, "steps", kind="paths", after="trigger")
    answer = send(browser, parts, flow_id, "steps/s1", paths__0__id="p1", paths__0__name=" ")
    assert answer.status_code == 422
    assert "Give this path a name" in part(answer, "#e-paths-0-name")


def test_a_loop_offers_the_lists_of_the_sample(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    added = send(browser, parts, flow_id, "steps", kind="for_each", after="trigger")
    assert "Line items" in added.text
    send(
        browser, parts, flow_id, "steps/s1?tab=fields", items__value="", do="set:items.value={{$.line_items}}"
    )
    loop = stored(parts, flow_id).draft.steps[0]
    assert isinstance(loop, ForEachStep)
    assert loop.items.value == "{{$.line_items}}"
    send(browser, parts, flow_id, "steps", kind="set", after="", inside="s1")
    inside = browser.get(f"/flows/{flow_id}?step=s2").text
    assert 'data-reference="s1:$[&#39;item&#39;][&#39;title&#39;]"' in inside


def test_a_form_cannot_change_what_a_step_is(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    send(browser, parts, flow_id, "steps/s1", kind="email", id="s7", name="Still the same")
    step = web_request(parts, flow_id)
    assert (step.id, step.kind, step.name) == ("s1", "http", "Still the same")


@pytest.mark.parametrize(
    "fields",
    [
        {"request": "a text where a table belongs"},
        {"request.body.0": "x"},
        {"request.body.0.name": "a", "request.body.0.mapping.value.deeper": "x"},
        {".".join(["a"] * 40): "deep"},
        {"request.query.99999999999999999999.name": "x"},
        {"request..url.value": "x"},
        {"name": "x" * 100_000},
        {"name": "\u202e\x00\U0001f600"},
        {"retry.preset.[]": ""},
    ],
)
def test_forms_nobody_would_send_are_answered_in_peace(
    browser: Browser, parts: Parts, fields: dict[str, str]
) -> None:
    flow_id = make_flow(parts, REQUEST)
    assert send(browser, parts, flow_id, "steps/s1", **fields).status_code in (200, 422)
    assert browser.get(f"/flows/{flow_id}?step=s1").status_code == 200
