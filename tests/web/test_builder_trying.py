"""A step is tried in the builder: shown without sending, or really sent."""

from __future__ import annotations

from app.parts import Parts
from tests.fakes.service import FakeService
from tests.web.browser import Browser
from tests.web.flow_forms import REQUEST, make_flow, part, samples, send


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
    assert samples(parts, flow_id)["s1"] == {"contact": {"id": 42}}
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
    assert "s1" not in samples(parts, flow_id)


def test_a_step_that_sends_nothing_is_tried_at_once(browser: Browser, parts: Parts) -> None:
    values = [{"name": "full_name", "mapping": "{{$.first_name | title}} Silva"}]
    flow_id = make_flow(parts, {"id": "s1", "kind": "set", "values": values})
    panel = part(send(browser, parts, flow_id, "steps/s1/test", send="1"), "#panel")
    assert "Ana Silva" in panel
    assert "Really send" not in panel
    assert samples(parts, flow_id)["s1"] == {"full_name": "Ana Silva"}
