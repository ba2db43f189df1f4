"""The editor of a flow: its canvas and panels, publishing, hostile data and long flows."""

from __future__ import annotations

import re
import time

import pytest
from sqlalchemy import select

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.parts import Parts
from app.storage.tables.models import Run
from tests.web.browser import Browser
from tests.web.flow_forms import ORDER, REQUEST, make_flow, part, send, stored

KINDS = ("http", "filter", "paths", "for_each", "delay", "set", "stop", "email")


def _source(parts: Parts) -> str:
    with parts.database.read() as db:
        return db.execute(select(Run.source)).scalar_one()


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
    flow_commands.publish(SHELL, parts, flow_id)
    parts.engine.start()
    answer = send(browser, parts, flow_id, "test-run")
    assert answer.headers["HX-Redirect"].startswith("/runs/run_")
    assert _source(parts) == "test"


def test_a_flow_that_is_started_by_hand_runs_at_the_push_of_a_button(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, {"id": "s1", "kind": "stop", "message": "Done."}, trigger={"kind": "manual"})
    assert "Run now" in browser.get(f"/flows/{flow_id}").text
    flow_commands.publish(SHELL, parts, flow_id)
    run = send(browser, parts, flow_id, "test-run").headers["HX-Redirect"]
    assert ORDER["email"] in browser.get(run).text
    assert _source(parts) == "manual"


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
    assert time.perf_counter() - began < 20.0  # a few hundredths, unless the machine is busy with others


def test_a_path_of_a_foreign_flow_is_not_found(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    for path in ("steps/s9", "steps/s9/move", "steps/s9/delete", "steps/s9/test", "steps/../s1"):
        assert send(browser, parts, flow_id, path).status_code == 404
