"""Flows → Bring a flow, and the gaps that stay on steps until somebody has seen to them."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest

from app.parts import Parts
from app.storage.flows.flows import list_flows
from tests.bring_flows.exports import export, node
from tests.web.browser import Browser
from tests.web.flow_forms import part, send, stored

HOOK = node("Hook", "webhook", 2, parameters={"path": "lead", "httpMethod": "POST"})
CODE = node("Work it out", "code", 2, parameters={"jsCode": "return []"})
SEND = node(
    "Send", "httpRequest", 4.2, parameters={"url": "=https://x.example.com/{{ $json.score }}", "options": {}}
)
LEADS = export(HOOK, CODE, SEND, pinData={"Hook": [{"json": {"body": {"email": "ana@example.com"}}}]})
OWN = "name: Our own\ntrigger: {kind: manual}\nsteps: []\n"


def _flows(parts: Parts) -> dict[str, str]:
    with parts.database.read() as db:
        return {flow.name: flow.id for flow in list_flows(db)}


def _file(data: Any, name: str = "leads.json") -> tuple[BytesIO, str]:
    return BytesIO(data if isinstance(data, bytes) else json.dumps(data).encode()), name


def test_the_page_says_where_the_files_come_from(browser: Browser) -> None:
    page = browser.get("/flows/bring").text
    assert "Export Blueprint" in page
    assert 'name="file" multiple' in page
    assert browser.get("/flows/import").location == "/flows/bring"


def test_a_file_of_n8n_becomes_a_draft_and_the_report_names_what_stayed_behind(
    browser: Browser, parts: Parts
) -> None:
    answer = browser.post("/flows/bring", {"file": _file(LEADS)})
    assert answer.status_code == 200
    assert "2 of 3 steps and 1 of 1 formulas were brought along." in answer.text
    assert "Work it out (code)" in answer.text
    flow_id = _flows(parts)["Leads"]
    assert f'href="/flows/{flow_id}"' in answer.text
    assert browser.get(f"/flows/{flow_id}").status_code == 200


def test_pasted_text_and_several_files_come_in_at_once(browser: Browser, parts: Parts) -> None:
    fields = {"file": [_file(LEADS), _file(OWN.encode(), "own.yaml")], "text": json.dumps(export(HOOK, SEND))}
    page = browser.post("/flows/bring", fields).text
    assert sorted(_flows(parts)) == ["Leads", "Leads 2", "Our own"]
    assert "leads.json" in page
    assert "own.yaml" in page
    assert "the text" in page


def test_a_file_that_cannot_be_read_keeps_no_other_from_coming_in(browser: Browser, parts: Parts) -> None:
    page = browser.post("/flows/bring", {"file": [_file(b'{"nodes": [', "broken.json"), _file(LEADS)]}).text
    assert "broken.json, line 1: this is not JSON" in page
    assert list(_flows(parts)) == ["Leads"]


@pytest.mark.parametrize("body", [b"\x89PNG\xff\xfe", b"", b"[]", b"{}", b'{"nodes": {}, "connections": 1}'])
def test_what_is_no_flow_is_refused_with_a_sentence(browser: Browser, parts: Parts, body: bytes) -> None:
    answer = browser.post("/flows/bring", {"file": _file(body, "cat.json")})
    assert answer.status_code == 422
    assert "cat.json" in answer.text
    assert _flows(parts) == {}


def test_nothing_chosen_is_said(browser: Browser) -> None:
    answer = browser.post("/flows/bring", {"text": " "})
    assert answer.status_code == 422
    assert "Choose a file, or paste its text." in answer.text


def test_a_gap_is_shown_on_its_step_and_goes_when_it_is_seen_to(browser: Browser, parts: Parts) -> None:
    browser.post("/flows/bring", {"file": _file(LEADS)})
    flow_id = _flows(parts)["Leads"]
    page = browser.get(f"/flows/{flow_id}?step=s1").text
    assert "Not brought along" in page
    assert "Seen to: Work it out (code)" in page
    answer = send(browser, parts, flow_id, "gaps/s1", what="Work it out (code)")
    assert "Seen to: Work it out" not in part(answer, "#panel")
    assert stored(parts, flow_id).draft.steps[0].gaps == []


def test_a_flow_with_gaps_is_not_published(browser: Browser, parts: Parts) -> None:
    browser.post("/flows/bring", {"file": _file(LEADS)})
    flow_id = _flows(parts)["Leads"]
    revision = str(stored(parts, flow_id).draft_revision)
    answer = browser.post(f"/flows/{flow_id}/publish", {"revision": revision})
    assert answer.status_code == 422
    assert "Not brought along: Work it out (code)." in answer.text
    assert stored(parts, flow_id).live_version_id is None


def test_a_field_that_was_left_open_is_named_until_it_is_filled(browser: Browser, parts: Parts) -> None:
    browser.post("/flows/bring", {"file": _file(LEADS)})
    flow_id = _flows(parts)["Leads"]
    send(browser, parts, flow_id, "gaps/s1", all="1")
    assert "could not be brought along" in browser.get(f"/flows/{flow_id}/publish").text
    fields = {"values.0.name": "score", "values.0.mapping.value": "{{$.email}}"}
    answer = browser.post_part(
        f"/flows/{flow_id}/steps/s1",
        {"revision": str(stored(parts, flow_id).draft_revision), "values[]": "", **fields},
    )
    assert answer.status_code == 200
    assert "could not be brought along" not in browser.get(f"/flows/{flow_id}/publish").text


def test_the_pinned_data_are_there_to_map_from(browser: Browser, parts: Parts) -> None:
    browser.post("/flows/bring", {"file": _file(LEADS)})
    page = browser.get(f"/flows/{_flows(parts)['Leads']}?step=s1").text
    assert "ana@example.com" in page
