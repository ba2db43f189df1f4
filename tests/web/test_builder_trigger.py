"""The trigger's panel: addresses, samples, times, and what a poll is told to read."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.flows.model import PollTrigger, WebhookTrigger
from app.parts import Parts
from app.storage.flows.flows import set_sample
from app.storage.flows.hooks import old_address_ends
from app.storage.people.audit import entries
from tests.fakes.service import FakeService
from tests.web.browser import Browser
from tests.web.flow_forms import ORDER, make_flow, part, samples, send, stored


def test_a_webhook_shows_its_address_and_waits_for_an_event(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, sample=None)
    page = browser.get(f"/flows/{flow_id}?step=trigger").text
    assert "/hooks/" in page
    assert "Waiting for a test event" in page
    assert browser.part(f"/flows/{flow_id}/sample").status_code == 204
    parts.database.write(lambda db: set_sample(db, flow_id, ORDER))
    came = browser.part(f"/flows/{flow_id}/sample?step=trigger")
    assert "There is a sample" in part(came, "#sample-state")
    assert "A test event came in" in came.headers["HX-Trigger"]


def test_the_address_stays_the_same(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    found = [re.findall(r"/hooks/[\w-]+", browser.get(f"/flows/{flow_id}").text)[0] for _ in range(2)]
    assert found[0] == found[1]


def test_the_address_is_replaced_after_a_question_that_says_how_long_the_old_one_works(
    browser: Browser, parts: Parts
) -> None:
    flow_id = make_flow(parts)

    def shown() -> str:
        return re.findall(r"/hooks/[\w-]+", browser.get(f"/flows/{flow_id}").text)[0]

    before = shown()
    asked = browser.part(f"/flows/{flow_id}/address").text
    assert "works for another 24 hours" in asked
    assert "<html" not in asked
    assert "<html" in browser.get(f"/flows/{flow_id}/address").text
    assert "works until" not in browser.get(f"/flows/{flow_id}").text
    answer = browser.post(f"/flows/{flow_id}/address", {})
    assert answer.location == f"/flows/{flow_id}?step=trigger"
    assert shown() != before
    assert "The address before this one works until" in browser.get(f"/flows/{flow_id}").text
    with parts.database.read() as db:
        ends = old_address_ends(db, flow_id, now=parts.clock.now())
        actions = [entry.action for entry in entries(db, noun="flow", noun_id=flow_id)]
    assert ends is not None
    assert abs(ends - parts.clock.now() - timedelta(hours=24)) < timedelta(minutes=5)
    assert actions[0] == "address replaced"


def test_a_viewer_is_not_offered_to_replace_the_address(viewer: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    flow_commands.create_address(SHELL, parts, flow_id)
    page = viewer.get(f"/flows/{flow_id}?step=trigger").text
    assert "/hooks/" in page
    assert "Replace this address" not in page
    assert viewer.get(f"/flows/{flow_id}/address").status_code == 403
    assert viewer.post(f"/flows/{flow_id}/address", {}).status_code == 403


def test_a_sample_is_pasted(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, sample=None)
    assert send(browser, parts, flow_id, "sample", sample='{"email": "x@example.com"}').status_code == 200
    assert samples(parts, flow_id)["trigger"] == {"email": "x@example.com"}


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "[" * 100_000, "{}" * 600_000])
def test_a_sample_that_is_no_json_is_refused_with_its_place(
    browser: Browser, parts: Parts, text: str
) -> None:
    flow_id = make_flow(parts, sample=None)
    answer = send(browser, parts, flow_id, "sample", sample=text)
    assert answer.status_code == 422
    assert part(answer, "#e-sample")
    assert "trigger" not in samples(parts, flow_id)


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
    assert samples(parts, flow_id)["trigger"] == {"id": 7, "email": "x@example.com"}


def test_a_poll_that_is_refused_says_why(browser: Browser, parts: Parts, service: FakeService) -> None:
    parts.engine.start()
    service.answers("GET", "/contacts", (401, {"message": "bad key"}))
    request = {"method": "GET", "url": "https://api.example.com/contacts"}
    flow_id = make_flow(parts, trigger={"kind": "poll", "request": request}, sample=None)
    assert "401" in part(send(browser, parts, flow_id, "fetch"), "#panel")
