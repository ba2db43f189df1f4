"""The first page: what needs me comes first, each with a button that leads to where it is fixed."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert

from app.flows.model import FlowDefinition
from app.ids import new_id
from app.parts import Parts
from app.storage.connections import connections as store
from app.storage.flows.flows import add_version, create_flow, get_flow, save_draft, set_held, set_on
from app.storage.tables.models import Run, Trigger
from app.web.frame.context import moment
from app.web.frame.words import STATE_LOOKS, state_word
from tests.fakes.history import History
from tests.web.browser import Browser
from tests.web.conftest import EMAIL, PASSWORD
from tests.web.pages import pages_over


def _flow(parts: Parts, name: str = "Orders", *, on: bool = True) -> str:
    definition = FlowDefinition.model_validate({"name": name, "trigger": {"kind": "webhook"}})
    now = parts.clock.now()

    def work(c: Any) -> str:
        flow_id = create_flow(c, name=name, definition=definition, owner_id=None, now=now)
        add_version(c, flow_id, definition, by=None, now=now)
        set_on(c, flow_id, on, now=now)
        return flow_id

    return parts.database.write(work)


def _run(parts: Parts, flow_id: str, **values: Any) -> str:
    now = parts.clock.now()
    run: dict[str, Any] = {
        "id": new_id("run"),
        "flow_id": flow_id,
        "version_id": "ver_1",
        "event_id": new_id("evt"),
    }
    run |= {"state": "succeeded", "label": "Ana · order 1", "source": "webhook", "created_at": now}
    run |= {"position": "s1", "finished_at": now}
    parts.database.write(lambda db: db.execute(insert(Run), run | values))
    return str(run["id"])


def test_an_empty_installation_leads_to_the_first_flow_in_one_click(browser: Browser) -> None:
    page = browser.get("/").text
    assert "Create your first flow" in page
    assert 'action="/flows/new"' in page
    assert "demo shop" not in page


def test_when_all_is_well_it_says_so(browser: Browser, parts: Parts) -> None:
    _run(parts, _flow(parts))
    page = browser.get("/").text
    assert "Nothing. Every run did what it should" in page
    assert "100%" in page
    assert "Ana · order 1" in page


def test_runs_that_stopped_for_the_same_reason_are_one_entry(browser: Browser, parts: Parts) -> None:
    flow_id = _flow(parts)
    for number in range(3):
        _run(
            parts,
            flow_id,
            state="dead",
            label=f"Order {number}",
            error_kind="invalid_payload",
            sentence="Mailchimp said: “Phone must be in international format.”",
        )
    page = browser.get("/").text
    assert "3 runs stopped" in page
    assert "Phone must be in international format" in page
    assert f"/runs?flow={flow_id}" in page


def test_one_stopped_run_is_named_and_linked(browser: Browser, parts: Parts) -> None:
    run_id = _run(parts, _flow(parts), state="dead", label="Lea · order 7", sentence="No consent.")
    page = browser.get("/").text
    assert "Lea · order 7 stopped" in page
    assert f'href="/runs/{run_id}"' in page


def test_a_run_whose_outcome_nobody_knows_asks_for_a_decision(browser: Browser, parts: Parts) -> None:
    _run(parts, _flow(parts), state="waiting", reason="unknown", sentence="It may have been sent.")
    page = browser.get("/").text
    assert "waits for your decision" in page
    assert ">Decide<" in page


def test_a_broken_connection_says_how_many_runs_wait_for_it(browser: Browser, parts: Parts) -> None:
    now = parts.clock.now()

    def work(c: Any) -> str:
        connection_id = store.create_connection(
            c, connector="http", name="Shop", auth="t", public={}, sealed=None, owner_id=None, now=now
        )
        store.mark_checked(c, connection_id, state="broken", sentence="The token expired.", now=now)
        return connection_id

    connection_id = parts.database.write(work)
    flow_id = _flow(parts)
    for _ in range(2):
        _run(parts, flow_id, state="waiting", reason="held_connection", waits_for=connection_id)
    page = browser.get("/").text
    assert "The connection “Shop” needs you" in page
    assert "The token expired. 2 runs wait for it." in page
    assert f'href="/connections/{connection_id}"' in page


def test_a_poll_that_fails_is_there_before_somebody_misses_its_events(browser: Browser, parts: Parts) -> None:
    flow_id = _flow(parts, "Feed")
    row = {
        "flow_id": flow_id,
        "kind": "poll",
        "is_on": True,
        "fail_count": 4,
        "last_error": "The feed is gone.",
    }
    parts.database.write(lambda db: db.execute(insert(Trigger), row))
    page = browser.get("/").text
    assert "“Feed” cannot look for new events" in page
    assert "Its last 4 looks failed: The feed is gone." in page


def test_a_held_flow_and_unpublished_changes_are_listed(browser: Browser, parts: Parts) -> None:
    held, changed, now = _flow(parts, "Held one"), _flow(parts, "Changed one"), parts.clock.now()

    def work(c: Any) -> None:
        set_held(c, held, True, now=now)
        flow = get_flow(c, changed)
        draft = flow.draft.model_copy(update={"description": "new"})
        save_draft(c, changed, draft, revision=flow.draft_revision, now=now)

    parts.database.write(work)
    page = browser.get("/").text
    assert "“Held one” is held" in page
    assert "“Changed one” has changes that are not live" in page


def test_the_gravest_comes_first(browser: Browser, parts: Parts) -> None:
    flow_id = _flow(parts)
    _run(parts, flow_id, state="waiting", reason="unknown", label="Unclear")
    _run(parts, flow_id, state="dead", label="Dead one")
    page = browser.get("/").text
    assert page.index("Dead one stopped") < page.index("Unclear waits for your decision")


def test_the_page_renews_itself_by_its_live_part_alone(browser: Browser, parts: Parts) -> None:
    _run(parts, _flow(parts))
    part = browser.part("/").text
    assert "<html" not in part
    assert "Recent runs" in part


def test_what_senders_wrote_is_shown_as_text(browser: Browser, parts: Parts) -> None:
    hostile = "<script>alert(1)</script>{{ 7*7 }}"
    _run(parts, _flow(parts, hostile), state="dead", label=hostile, sentence=hostile)
    page = browser.get("/").text
    assert "<script>alert" not in page
    assert "{{ 7*7 }}" in page


def test_a_demo_points_to_its_shop(parts: Parts) -> None:
    from dataclasses import replace

    shop = replace(parts, settings=replace(parts.settings, demo_url="http://127.0.0.1:8001"))
    browser = Browser(pages_over(shop))
    browser.sign_in(EMAIL, PASSWORD)
    assert 'href="http://127.0.0.1:8001"' in browser.get("/").text


def test_whoever_watches_the_process_needs_no_account(stranger: Browser) -> None:
    answer = stranger.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_moments_are_shown_in_the_zone_of_the_browser(app: Flask, parts: Parts) -> None:
    now = parts.clock.now()
    with app.test_request_context("/", headers={"Cookie": "plumbline_zone=Asia/Kolkata"}):
        assert moment(now).text == (now + timedelta(hours=5, minutes=30)).strftime("%H:%M")
        long_ago = moment(datetime.fromisoformat("2020-01-05T20:00:00+00:00"))
    assert long_ago.said == long_ago.text == "6 Jan 2020, 01:30"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "", "\u2028", "UTC; path=/"])
def test_an_unknown_zone_is_utc(app: Flask, parts: Parts, zone: str) -> None:
    header = f"plumbline_zone={zone}".encode("latin-1", "replace").decode("latin-1")
    with app.test_request_context("/", headers={"Cookie": header}):
        assert moment(parts.clock.now()).title.endswith("UTC")


def test_until_the_browser_has_told_its_zone_each_time_names_the_one_it_is_in(
    browser: Browser, history: History, flow: str
) -> None:
    run = history.run(flow)
    shown = re.compile(r"\d\d:\d\d UTC</time>")
    assert shown.search(browser.get(f"/runs/{run}").text)
    browser.client.set_cookie("plumbline_zone", "Asia/Kolkata")
    assert not shown.search(browser.get(f"/runs/{run}").text)


@pytest.mark.parametrize(
    ("state", "reason", "word"),
    [
        ("succeeded", "", "Success"),
        ("filtered", "", "Filtered"),
        ("waiting", "delay", "Waiting"),
        ("waiting", "retry", "Retrying"),
        ("waiting", "held_connection", "Held"),
        ("dead", "", "Stopped"),
        ("failed", "", "Failed"),
        ("running", "", "Running"),
        ("queued", "", "Queued"),
        ("cancelled", "", "Cancelled"),
    ],
)
def test_states_have_words_and_looks(state: str, reason: str, word: str) -> None:
    assert state_word(state, reason) == word
    assert word in STATE_LOOKS
