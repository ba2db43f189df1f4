"""The list of flows, and what is done to a flow as a whole."""

from __future__ import annotations

from io import BytesIO

import pytest
from flask import Flask

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.parts import Parts
from app.storage.flows.flows import list_flows
from app.storage.people import users
from tests.web.browser import Browser
from tests.web.flow_forms import REQUEST, make_flow, send, stored

READY = {**REQUEST, "request": REQUEST["request"] | {"body": [{"name": "email", "mapping": "{{$.email}}"}]}}


def _flows(parts: Parts) -> list[str]:
    with parts.database.read() as db:
        return [flow.name for flow in list_flows(db)]


def test_one_click_makes_a_flow_and_asks_what_starts_it(browser: Browser, parts: Parts) -> None:
    answer = browser.post("/flows/new")
    assert answer.status_code == 303
    assert "choose=trigger" in answer.location
    page = browser.get(answer.location).text
    assert "What starts this flow?" in page
    assert "Webhook" in page
    assert "Schedule" in page
    assert _flows(parts) == ["New flow"]


def test_a_second_new_flow_gets_a_name_of_its_own(browser: Browser, parts: Parts) -> None:
    browser.post("/flows/new")
    browser.post("/flows/new")
    assert _flows(parts) == ["New flow", "New flow 2"]


def test_the_list_says_how_a_flow_starts_and_that_it_is_not_live(browser: Browser, parts: Parts) -> None:
    make_flow(parts, name="Nightly", trigger={"kind": "schedule", "when": "every weekday at 07:00"})
    page = browser.get("/flows").text
    assert "Nightly" in page
    assert "At set times · every weekday at 07:00" in page
    assert "Not published" in page
    assert "no runs yet" in page


def test_an_empty_list_says_what_a_flow_is(browser: Browser) -> None:
    assert "No flows yet" in browser.get("/flows").text


def test_the_list_marks_a_draft_that_is_not_live(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, READY)
    flow_commands.publish(SHELL, parts, flow_id)
    assert "Draft changes" not in browser.get("/flows").text
    send(browser, parts, flow_id, "steps/s1", name="Contacts")
    assert "Draft changes" in browser.get("/flows").text


def test_the_switch_in_the_list_turns_a_flow_on_and_off(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, READY)
    flow_commands.publish(SHELL, parts, flow_id)
    browser.post(f"/flows/{flow_id}/on", {"on": "1"})
    assert stored(parts, flow_id).is_on
    assert 'aria-checked="true"' in browser.get("/flows").text
    browser.post(f"/flows/{flow_id}/on", {"on": "0"})
    assert not stored(parts, flow_id).is_on


def test_switching_on_what_was_never_published_leads_to_publishing(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, READY)
    answer = browser.post(f"/flows/{flow_id}/on", {"on": "1"})
    assert answer.location == f"/flows/{flow_id}/publish"
    assert not stored(parts, flow_id).is_on


def test_a_copy_has_a_name_of_its_own_and_the_same_steps(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, READY)
    answer = browser.post(f"/flows/{flow_id}/duplicate")
    copy = stored(parts, answer.location.rsplit("/", 1)[1])
    assert copy.name == "Orders (copy)"
    assert copy.draft.steps == stored(parts, flow_id).draft.steps


def test_a_flow_is_renamed_from_the_list_and_from_the_editor(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    assert browser.post(f"/flows/{flow_id}/rename", {"name": " New \n name "}).location == "/flows"
    answer = browser.post(f"/flows/{flow_id}/rename", {"name": "Third", "back": "editor"})
    assert answer.location == f"/flows/{flow_id}"
    assert stored(parts, flow_id).name == "Third"


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_name_nobody_could_read_is_refused(browser: Browser, parts: Parts, name: str) -> None:
    flow_id = make_flow(parts)
    answer = browser.post(f"/flows/{flow_id}/rename", {"name": name})
    assert answer.status_code == 422
    assert "1 to 200 characters" in answer.text
    assert stored(parts, flow_id).name == "Orders"


def test_a_flow_that_is_on_cannot_be_deleted(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, READY)
    flow_commands.publish(SHELL, parts, flow_id)
    flow_commands.switch_on(SHELL, parts, flow_id)
    browser.post(f"/flows/{flow_id}/delete")
    assert "Switch it off" in browser.get("/flows").text
    assert _flows(parts) == ["Orders"]


def test_a_deleted_flow_is_gone_from_the_list(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    browser.post(f"/flows/{flow_id}/delete")
    assert _flows(parts) == []
    assert "is deleted" in browser.get("/flows").text
    assert browser.get(f"/flows/{flow_id}").status_code == 404


def test_a_flow_goes_out_as_a_file_and_comes_in_again(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, READY, name='Orders & "leads"')
    file = browser.get(f"/flows/{flow_id}/export")
    assert file.headers["Content-Disposition"] == 'attachment; filename="orders-leads.yaml"'
    answer = browser.post("/flows/import", {"file": (BytesIO(file.data), "orders.yaml")})
    made = stored(parts, answer.location.rsplit("/", 1)[1])
    assert made.name == 'Orders & "leads" 2'
    assert made.draft.steps == stored(parts, flow_id).draft.steps
    assert not made.is_on


def test_several_flows_come_in_from_one_pasted_text(browser: Browser, parts: Parts) -> None:
    text = "- name: A\n  trigger: {kind: manual}\n- name: B\n  trigger: {kind: webhook}\n"
    assert browser.post("/flows/import", {"text": text}).location == "/flows"
    assert _flows(parts) == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("{", "not JSON"),
        ("just words", "not a flow"),
        ("name: A\ntrigger: {kind: telepathy}", "telepathy"),
        ("name: A\ntrigger: {kind: manual}\nsteps:\n- {id: s1, kind: delay, amont: 3}", "amont"),
        ("name: A\ntrigger: {kind: manual}\n---\nname: B", "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused_with_its_reason_and_kept_on_the_page(
    browser: Browser, parts: Parts, text: str, said: str
) -> None:
    answer = browser.post("/flows/import", {"text": text})
    assert answer.status_code == 422
    assert said in answer.text
    assert _flows(parts) == []


def test_a_file_with_one_wrong_flow_brings_in_none(browser: Browser, parts: Parts) -> None:
    text = "- name: A\n  trigger: {kind: manual}\n- name: B\n"
    assert browser.post("/flows/import", {"text": text}).status_code == 422
    assert _flows(parts) == []


def test_a_picture_is_not_a_flow(browser: Browser) -> None:
    answer = browser.post("/flows/import", {"file": (BytesIO(b"\x89PNG\xff\xfe"), "cat.png")})
    assert answer.status_code == 422
    assert "not a text file" in answer.text


def test_versions_say_what_changed_and_who_did_it(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, READY)
    assert "Nothing was published yet" in browser.get(f"/flows/{flow_id}/versions").text
    browser.post(f"/flows/{flow_id}/publish", {"revision": str(stored(parts, flow_id).draft_revision)})
    send(browser, parts, flow_id, "steps/s1", request__url__value="https://api.example.com/people")
    page = browser.get(f"/flows/{flow_id}/versions").text
    assert "Version 1" in page
    assert "Ana Silva" in page
    assert "Draft, not live yet" in page
    assert "people" in page


def test_an_old_version_becomes_the_draft_again(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, READY)
    flow_commands.publish(SHELL, parts, flow_id)
    send(browser, parts, flow_id, "steps/s1/delete")
    assert stored(parts, flow_id).draft.steps == []
    browser.post(f"/flows/{flow_id}/versions/1/restore")
    assert [step.id for step in stored(parts, flow_id).draft.steps] == ["s1"]
    assert stored(parts, flow_id).live_number == 1
    assert "version: 1" not in browser.get(f"/flows/{flow_id}/export?version=1").text


@pytest.mark.parametrize("number", ["0", "2", "x", "-1"])
def test_a_version_that_never_was_cannot_be_brought_back(browser: Browser, parts: Parts, number: str) -> None:
    flow_id = make_flow(parts, READY)
    flow_commands.publish(SHELL, parts, flow_id)
    assert browser.post(f"/flows/{flow_id}/versions/{number}/restore").status_code == 404


def test_a_viewer_sees_flows_and_changes_none(app: Flask, parts: Parts, kept_password: str) -> None:
    now = parts.clock.now()
    parts.database.write(
        lambda db: users.create_user(
            db, email="eva@example.com", name="Eva", password_hash=kept_password, role="viewer", now=now
        )
    )
    flow_id = make_flow(parts, READY)
    eva = Browser(app)
    eva.sign_in("eva@example.com", "correct horse battery")
    page = eva.get("/flows").text
    assert "Orders" in page
    assert "New flow" not in page
    assert eva.post("/flows/new").status_code == 403
    assert eva.post(f"/flows/{flow_id}/delete").status_code == 403
    assert eva.get(f"/flows/{flow_id}").status_code == 200


def test_a_flow_that_does_not_exist_is_a_plain_404(browser: Browser) -> None:
    for path in ("", "/versions", "/export", "/publish"):
        assert browser.get(f"/flows/flow_nothing{path}").status_code == 404
