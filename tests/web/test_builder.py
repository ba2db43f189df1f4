"""The editor of a flow: its canvas, its panels, its forms, publishing and trying steps."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from app.flows.model import FilterStep, ForEachStep, HttpStep, PathsStep, PollTrigger, WebhookTrigger, walk
from app.intake.activation import publish
from app.parts import Parts
from app.storage.flows import get_samples, set_sample
from tests.fakes.service import FakeService
from tests.web.browser import Browser
from tests.web.flow_forms import ORDER, REQUEST, make_flow, part, send, stored

KINDS = ("http", "filter", "paths", "for_each", "delay", "set", "stop", "email")


def _samples(parts: Parts, flow_id: str) -> dict[str, Any]:
    with parts.database.read() as db:
        return get_samples(db, flow_id)


def _http(parts: Parts, flow_id: str) -> HttpStep:
    step = next(walk(stored(parts, flow_id).draft.steps))
    assert isinstance(step, HttpStep)
    return step


# ------------------------------------------------------------------------------------- the page


def test_every_step_is_an_address_of_its_own(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST, {"id": "s2", "kind": "delay"})
    page = browser.get(f"/flows/{flow_id}?step=s2").text
    assert page.startswith("<!doctype html>")
    assert re.search(r'id="step-s2"[^>]*aria-current="step"', page)
    assert "Waiting costs nothing" in page
    fragment = browser.part(f"/flows/{flow_id}?step=s2").text
    assert "<html" not in fragment
    assert "Waiting costs nothing" in fragment


def test_a_link_to_a_step_that_is_gone_shows_the_trigger(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    page = browser.get(f"/flows/{flow_id}?step=s99&tab=nonsense").text
    assert re.search(r'id="step-trigger"[^>]*aria-current="step"', page)


def test_steps_are_numbered_as_they_lie(browser: Browser, parts: Parts) -> None:
    inner = {"id": "s3", "kind": "delay"}
    paths = {"id": "s2", "kind": "paths", "paths": [{"id": "p1", "name": "VIP", "steps": [inner]}]}
    flow_id = make_flow(parts, REQUEST, paths)
    page = browser.get(f"/flows/{flow_id}").text
    for label in ("1 · Webhook", "2 · Web request", "3 · Paths", "3a1 · Delay"):
        assert label in page


def test_a_path_says_its_rule_in_words(browser: Browser, parts: Parts) -> None:
    rule = {"left": "{{$['order_total']}}", "operator": "greater_or_equal", "right": "150"}
    paths = [
        {"id": "p1", "name": "Big order", "conditions": {"groups": [[rule]]}},
        {"id": "p2", "name": "Everyone else"},
    ]
    page = browser.get(f"/flows/{make_flow(parts, {'id': 's1', 'kind': 'paths', 'paths': paths})}").text
    assert "Order total is at least 150" in page
    assert "When no other path fits" in page


def test_a_card_says_what_is_still_to_do(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, {"id": "s1", "kind": "http"})
    page = browser.get(f"/flows/{flow_id}").text
    assert "To do" in page
    assert "Address is empty" in page


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_step_can_be_added_filled_in_and_tried(
    browser: Browser, parts: Parts, kind: str
) -> None:
    flow_id = make_flow(parts)
    answer = send(browser, parts, flow_id, "steps", kind=kind, after="trigger")
    assert answer.status_code == 200
    assert answer.headers["HX-Push-Url"] == f"/flows/{flow_id}?step=s1"
    assert 'id="step-s1"' in part(answer, "#canvas")
    assert 'id="panel-form"' in part(answer, "#panel")
    assert send(browser, parts, flow_id, "steps/s1", note="Why we do this").status_code == 200
    assert stored(parts, flow_id).draft.steps[0].note == "Why we do this"
    assert browser.get(f"/flows/{flow_id}?step=s1&tab=test").status_code == 200


@pytest.mark.parametrize("kind", ["webhook", "poll", "schedule", "manual"])
def test_every_kind_of_trigger_can_be_chosen(browser: Browser, parts: Parts, kind: str) -> None:
    flow_id = make_flow(parts)
    answer = send(browser, parts, flow_id, "trigger/kind", kind=kind)
    assert answer.status_code == 200
    assert stored(parts, flow_id).draft.trigger.kind == kind
    assert browser.get(f"/flows/{flow_id}?step=trigger&tab=test").status_code == 200


@pytest.mark.parametrize("kind", ["", "teleport", "http'", "action"])
def test_a_kind_that_does_not_exist_changes_nothing(browser: Browser, parts: Parts, kind: str) -> None:
    flow_id = make_flow(parts)
    before = stored(parts, flow_id).draft
    assert send(browser, parts, flow_id, "trigger/kind", kind=kind).status_code == 422
    if kind != "action":
        assert send(browser, parts, flow_id, "steps", kind=kind, after="trigger").status_code == 422
    assert stored(parts, flow_id).draft == before


def test_the_picker_finds_steps_by_what_they_do(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    page = browser.get(f"/flows/{flow_id}?add=trigger&q=list").text
    assert "For each" in page
    assert "Delay" not in page
    nothing = browser.get(f"/flows/{flow_id}?add=trigger&q=%3Cscript%3Exyz").text
    assert "Nothing is called that" in nothing
    assert "<script>xyz" not in nothing


def test_a_form_works_without_scripts_too(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    revision = str(stored(parts, flow_id).draft_revision)
    answer = browser.post(f"/flows/{flow_id}/steps/s1", {"revision": revision, "name": "Add a contact"})
    assert answer.status_code == 303
    assert answer.location == f"/flows/{flow_id}?step=s1"
    assert "Add a contact" in browser.get(answer.location).text


# ------------------------------------------------------------------------------ adding, moving


def test_a_step_is_added_inside_a_path_and_inside_a_loop(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    send(browser, parts, flow_id, "steps", kind="paths", after="trigger")
    send(browser, parts, flow_id, "steps", kind="for_each", after="", inside="p1")
    send(browser, parts, flow_id, "steps", kind="delay", after="", inside="s2")
    paths = stored(parts, flow_id).draft.steps[0]
    assert isinstance(paths, PathsStep)
    loop = paths.paths[0].steps[0]
    assert isinstance(loop, ForEachStep)
    assert [step.id for step in loop.steps] == ["s3"]


def test_steps_move_are_copied_and_go(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST, {"id": "s2", "kind": "delay"})
    moved = send(browser, parts, flow_id, "steps/s2/move", direction="up")
    assert "Now step 2" in moved.headers["HX-Trigger"]
    assert part(moved, "#panel") == ""
    send(browser, parts, flow_id, "steps/s1/duplicate")
    assert [step.id for step in stored(parts, flow_id).draft.steps] == ["s2", "s1", "s3"]
    send(browser, parts, flow_id, "steps/s2/delete")
    assert [step.id for step in stored(parts, flow_id).draft.steps] == ["s1", "s3"]


def test_a_double_click_adds_one_step(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    form = {"kind": "delay", "after": "trigger", "revision": "1"}
    assert browser.post_part(f"/flows/{flow_id}/steps", form).status_code == 200
    assert browser.post_part(f"/flows/{flow_id}/steps", form).status_code == 409
    assert len(stored(parts, flow_id).draft.steps) == 1


def test_two_windows_cannot_overwrite_each_other(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    send(browser, parts, flow_id, "steps/s1", name="From the first window")
    late = browser.post_part(f"/flows/{flow_id}/steps/s1", {"revision": "1", "name": "From the second"})
    assert late.status_code == 409
    assert "changed in another window" in part(late, "#refused")
    assert "Load the page again" in part(late, "#refused")
    assert _http(parts, flow_id).name == "From the first window"


@pytest.mark.parametrize("revision", ["", "abc", "-1", "1e3", "99999999999999999999"])
def test_a_form_without_a_sensible_revision_changes_nothing(
    browser: Browser, parts: Parts, revision: str
) -> None:
    flow_id = make_flow(parts, REQUEST)
    answer = browser.post_part(f"/flows/{flow_id}/steps/s1", {"revision": revision, "name": "X"})
    assert answer.status_code == 409
    assert _http(parts, flow_id).name == ""


def test_saving_what_is_there_already_is_no_new_revision(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    send(browser, parts, flow_id, "steps/s1", name="Same")
    before = stored(parts, flow_id).draft_revision
    assert send(browser, parts, flow_id, "steps/s1", name="Same").status_code == 200
    assert stored(parts, flow_id).draft_revision == before


# ---------------------------------------------------------------------------------------- forms


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
    request = _http(parts, flow_id).request
    assert (request.method, request.timeout_s, request.follow_redirects) == ("PUT", 12.5, True)
    assert [row.name for row in request.body] == ["email"]
    assert request.body[0].mapping.default == "nobody"


def test_rows_are_added_and_removed(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    rows = {"request.query[]": "", "request.query.0.name": "page", "request.query.0.mapping.value": "1"}
    added = send(browser, parts, flow_id, "steps/s1?tab=fields", **rows, do="add:request.query")
    assert 'name="request.query.1.name"' in part(added, "#panel")
    assert [row.name for row in _http(parts, flow_id).request.query] == ["page"]
    send(browser, parts, flow_id, "steps/s1?tab=fields", **rows, do="remove:request.query.0")
    assert _http(parts, flow_id).request.query == []


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
    step = _http(parts, flow_id)
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


# -------------------------------------------------------------------------------------- trigger


def test_a_webhook_shows_its_address_and_waits_for_an_event(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, sample=None)
    page = browser.get(f"/flows/{flow_id}?step=trigger").text
    assert "/hooks/" in page
    assert "Waiting for a test event" in page
    assert browser.part(f"/flows/{flow_id}/sample").status_code == 204
    parts.database.write(lambda c: set_sample(c, flow_id, ORDER))
    came = browser.part(f"/flows/{flow_id}/sample?step=trigger")
    assert "There is a sample" in part(came, "#sample-state")
    assert "A test event came in" in came.headers["HX-Trigger"]


def test_the_address_stays_the_same(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    found = [re.findall(r"/hooks/[\w-]+", browser.get(f"/flows/{flow_id}").text)[0] for _ in range(2)]
    assert found[0] == found[1]


def test_a_sample_is_pasted(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, sample=None)
    assert send(browser, parts, flow_id, "sample", sample='{"email": "x@example.com"}').status_code == 200
    assert _samples(parts, flow_id)["trigger"] == {"email": "x@example.com"}


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "[" * 100_000, "{}" * 600_000])
def test_a_sample_that_is_no_json_is_refused_with_its_place(
    browser: Browser, parts: Parts, text: str
) -> None:
    flow_id = make_flow(parts, sample=None)
    answer = send(browser, parts, flow_id, "sample", sample=text)
    assert answer.status_code == 422
    assert part(answer, "#e-sample")
    assert "trigger" not in _samples(parts, flow_id)


def test_a_webhook_needs_a_method(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    answer = send(browser, parts, flow_id, "trigger", **{"methods[]": ""})
    assert answer.status_code == 422
    assert "at least one method" in part(answer, "#e-methods")
    send(browser, parts, flow_id, "trigger", **{"methods[]": "", "methods.1": "PUT", "methods.2": "GET"})
    trigger = stored(parts, flow_id).draft.trigger
    assert isinstance(trigger, WebhookTrigger)
    assert trigger.methods == ["PUT", "GET"]


def test_a_schedule_says_its_next_three_times_in_the_flows_zone(browser: Browser, parts: Parts) -> None:
    trigger = {"kind": "schedule", "when": "every day at 07:00"}
    flow_id = make_flow(parts, trigger=trigger, time_zone="America/New_York")
    page = browser.get(f"/flows/{flow_id}").text
    assert "Next three times (America/New_York)" in page
    assert page.count(", 07:00</li>") == 3
    said = send(browser, parts, flow_id, "next-times", when="whenever I like", time_zone="Europe/Paris")
    assert "Next three" not in said.text
    assert "whenever" in said.text


def test_a_time_zone_that_does_not_exist_is_refused(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, trigger={"kind": "schedule", "when": "hourly"})
    answer = send(browser, parts, flow_id, "trigger", time_zone="Mars/Olympus")
    assert answer.status_code == 422
    assert "“Mars/Olympus” is not a time zone" in part(answer, "#e-time_zone")


@pytest.mark.parametrize(
    ("amount", "unit", "seconds"), [("5", "minutes", 300), ("1", "days", 86400), ("90", "seconds", 90)]
)
def test_how_often_a_poll_looks_is_said_in_words(
    browser: Browser, parts: Parts, amount: str, unit: str, seconds: int
) -> None:
    flow_id = make_flow(parts, trigger={"kind": "poll", "request": {"url": "https://x.example.com"}})
    send(browser, parts, flow_id, "trigger", every__amount=amount, every__unit=unit)
    trigger = stored(parts, flow_id).draft.trigger
    assert isinstance(trigger, PollTrigger)
    assert trigger.every_s == seconds


@pytest.mark.parametrize("amount", ["", "often", "1", "-5", "1e309", "99999999"])
def test_a_poll_that_would_look_too_often_or_never_is_refused(
    browser: Browser, parts: Parts, amount: str
) -> None:
    flow_id = make_flow(parts, trigger={"kind": "poll", "request": {}})
    answer = send(browser, parts, flow_id, "trigger", every__amount=amount, every__unit="seconds")
    assert answer.status_code == 422
    assert part(answer, "#e-every")


def test_a_poll_is_tried_and_its_records_chosen_by_clicking(
    browser: Browser, parts: Parts, service: FakeService
) -> None:
    parts.engine.start()
    service.answers("GET", "/contacts", {"results": [{"id": 7, "email": "x@example.com"}], "total": 1})
    request = {"method": "GET", "url": "https://api.example.com/contacts"}
    flow_id = make_flow(parts, trigger={"kind": "poll", "request": request}, sample=None)
    fetched = send(browser, parts, flow_id, "fetch")
    assert "Results" in part(fetched, "#panel")
    chosen = send(browser, parts, flow_id, "fetch", items="$['results'][*]")
    assert "1 record found" in part(chosen, "#panel")
    assert _samples(parts, flow_id)["trigger"] == {"id": 7, "email": "x@example.com"}


def test_a_poll_that_is_refused_says_why(browser: Browser, parts: Parts, service: FakeService) -> None:
    parts.engine.start()
    service.answers("GET", "/contacts", (401, {"message": "bad key"}))
    request = {"method": "GET", "url": "https://api.example.com/contacts"}
    flow_id = make_flow(parts, trigger={"kind": "poll", "request": request}, sample=None)
    assert "401" in part(send(browser, parts, flow_id, "fetch"), "#panel")


# ------------------------------------------------------------------------------- trying a step


def test_a_preview_shows_what_would_be_sent_and_sends_nothing(
    browser: Browser, parts: Parts, service: FakeService
) -> None:
    body = [{"name": "email", "mapping": "{{$.email | upper}}"}, {"name": "phone", "mapping": "{{$.phone}}"}]
    flow_id = make_flow(parts, {**REQUEST, "request": REQUEST["request"] | {"body": body}})
    panel = part(send(browser, parts, flow_id, "steps/s1/test", send="0"), "#panel")
    assert "Nothing was sent" in panel
    assert "What would be sent" in panel
    assert "ANA.SILVA@EXAMPLE.COM" in panel
    assert "phone is empty" in panel
    assert service.requests == []


def test_really_sending_shows_the_answer_and_keeps_it_as_sample(
    browser: Browser, parts: Parts, service: FakeService
) -> None:
    parts.engine.start()
    service.answers("POST", "/contacts", {"contact": {"id": 42}})
    flow_id = make_flow(parts, REQUEST, {"id": "s2", "kind": "set"})
    panel = part(send(browser, parts, flow_id, "steps/s1/test", send="1"), "#panel")
    assert "What was sent" in panel
    assert "The answer" in panel
    assert "/runs/run_" in panel
    assert len(service.requests) == 1
    assert _samples(parts, flow_id)["s1"] == {"contact": {"id": 42}}
    later = browser.get(f"/flows/{flow_id}?step=s2").text
    assert "s1:$[&#39;contact&#39;][&#39;id&#39;]" in later


def test_a_refused_call_shows_the_services_words_and_is_no_sample(
    browser: Browser, parts: Parts, service: FakeService
) -> None:
    parts.engine.start()
    service.answers("POST", "/contacts", (422, {"message": "email is <b>odd</b>"}))
    flow_id = make_flow(parts, REQUEST)
    panel = part(send(browser, parts, flow_id, "steps/s1/test", send="1"), "#panel")
    assert "422" in panel
    assert "<b>odd</b>" not in panel
    assert "s1" not in _samples(parts, flow_id)


def test_a_step_that_sends_nothing_is_tried_at_once(browser: Browser, parts: Parts) -> None:
    values = [{"name": "full_name", "mapping": "{{$.first_name | title}} Silva"}]
    flow_id = make_flow(parts, {"id": "s1", "kind": "set", "values": values})
    panel = part(send(browser, parts, flow_id, "steps/s1/test", send="1"), "#panel")
    assert "Ana Silva" in panel
    assert "Really send" not in panel
    assert _samples(parts, flow_id)["s1"] == {"full_name": "Ana Silva"}


# ----------------------------------------------------------------------------------- publishing


def test_publishing_lists_every_problem_with_a_link_to_its_step(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, {"id": "s1", "kind": "http"}, {"id": "s2", "kind": "email"})
    dialog = browser.part(f"/flows/{flow_id}/publish").text
    assert "Not ready to publish yet" in dialog
    assert f'href="/flows/{flow_id}?step=s1"' in dialog
    assert 'data-field="f-request-url"' in dialog
    assert "Publish and switch on" not in dialog
    refused = send(browser, parts, flow_id, "publish")
    assert refused.status_code == 422
    assert stored(parts, flow_id).live_number is None


def test_publishing_and_switching_on_in_one_go(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    assert "Publish and switch on" in browser.part(f"/flows/{flow_id}/publish").text
    answer = send(browser, parts, flow_id, "publish", switch_on="1")
    assert answer.status_code == 200
    assert "Live v1" in part(answer, "#bar")
    assert stored(parts, flow_id).is_on
    changed = send(browser, parts, flow_id, "steps/s1", name="Other")
    assert "Live v1 · Draft has changes" in part(changed, "#bar")


def test_what_somebody_else_changed_meanwhile_is_not_published(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    old = str(stored(parts, flow_id).draft_revision)
    send(browser, parts, flow_id, "steps/s1", name="Changed meanwhile")
    answer = browser.post_part(f"/flows/{flow_id}/publish", {"revision": old})
    assert answer.status_code == 409
    assert stored(parts, flow_id).live_number is None


def test_the_switch_of_an_unpublished_flow_opens_publishing(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    answer = send(browser, parts, flow_id, "switch", on="1")
    assert "Publish as version 1" in answer.text
    assert not stored(parts, flow_id).is_on


def test_a_test_run_goes_through_the_live_version(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    refused = send(browser, parts, flow_id, "test-run")
    assert refused.status_code == 422
    assert "none yet" in part(refused, "#refused")
    publish(parts, flow_id, by=None)
    parts.engine.start()
    answer = send(browser, parts, flow_id, "test-run")
    assert answer.headers["HX-Redirect"].startswith("/runs/run_")


# ------------------------------------------------------------------------------- hostile, large


def test_hostile_data_is_shown_as_text_everywhere(browser: Browser, parts: Parts) -> None:
    bad = '"><img src=x onerror=alert(1)>{{ 7*7 }}'
    step = REQUEST | {
        "name": bad,
        "note": bad,
        "request": {"url": bad, "query": [{"name": bad, "mapping": bad}]},
    }
    flow_id = make_flow(
        parts, step, {"id": "s2", "kind": "set"}, sample={bad: bad, "list": [{bad: bad}]}, name=bad
    )
    for path in ("", "?step=s1", "?step=s2", "?step=trigger&tab=test", "?step=s1&tab=test", "/versions"):
        page = browser.get(f"/flows/{flow_id}{path}")
        assert page.status_code == 200
        assert "<img src=x" not in page.text
    assert "<img src=x" not in browser.get("/flows").text


def test_a_flow_of_fifty_steps_opens_and_saves_at_once(browser: Browser, parts: Parts) -> None:
    steps = [REQUEST | {"id": f"s{number}"} for number in range(1, 51)]
    flow_id = make_flow(parts, *steps)
    browser.get(f"/flows/{flow_id}")
    began = time.perf_counter()
    page = browser.get(f"/flows/{flow_id}?step=s50")
    saved = send(browser, parts, flow_id, "steps/s50", name="Last")
    assert (page.status_code, saved.status_code) == (200, 200)
    assert time.perf_counter() - began < 2.0


def test_a_path_of_a_foreign_flow_is_not_found(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    for path in ("steps/s9", "steps/s9/move", "steps/s9/delete", "steps/s9/test", "steps/../s1"):
        assert send(browser, parts, flow_id, path).status_code == 404
