"""Steps are added, moved, copied and taken away, and two windows never overwrite each other."""

from __future__ import annotations

import pytest

from app.flows.model import ForEachStep, PathsStep
from app.parts import Parts
from tests.web.browser import Browser
from tests.web.flow_forms import REQUEST, make_flow, part, send, stored, web_request


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
    assert web_request(parts, flow_id).name == "From the first window"


@pytest.mark.parametrize("revision", ["", "abc", "-1", "1e3", "99999999999999999999"])
def test_a_form_without_a_sensible_revision_changes_nothing(
    browser: Browser, parts: Parts, revision: str
) -> None:
    flow_id = make_flow(parts, REQUEST)
    answer = browser.post_part(f"/flows/{flow_id}/steps/s1", {"revision": revision, "name": "X"})
    assert answer.status_code == 409
    assert web_request(parts, flow_id).name == ""


def test_saving_what_is_there_already_is_no_new_revision(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    send(browser, parts, flow_id, "steps/s1", name="Same")
    before = stored(parts, flow_id).draft_revision
    assert send(browser, parts, flow_id, "steps/s1", name="Same").status_code == 200
    assert stored(parts, flow_id).draft_revision == before
