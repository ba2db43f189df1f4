"""The list of runs: states and their buttons, filters, pages, and who may see it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select, update

from app.parts import Parts
from app.storage.history.runs import STATES
from app.storage.tables.models import Run, User
from tests.fakes.history import HTTP, History
from tests.web.browser import Browser, words


def test_without_runs_the_page_says_what_will_be_here(browser: Browser, parts: Parts) -> None:
    assert "No run yet" in browser.get("/runs").text


def test_each_state_has_its_word_and_its_sentence(browser: Browser, history: History, flow: str) -> None:
    for state in STATES:
        history.run(flow, state, label=f"Order {state}", reason="delay" if state == "waiting" else "")
    shown = words(browser.get("/runs").text)
    for word in ("Queued", "Running", "Waiting", "Success", "Filtered", "Failed", "Stopped", "Cancelled"):
        assert word in shown
    assert "it starts as soon as it is its turn" in shown
    assert "nothing was sent after that" in shown


@pytest.mark.parametrize(
    ("values", "button", "address"),
    [
        ({"state": "waiting", "reason": "unknown", "position": "s1"}, "Decide", "#decide"),
        (
            {
                "state": "waiting",
                "reason": "held_connection",
                "waits_for": "con_7",
                "error_kind": "auth_expired",
            },
            "Reconnect",
            "/connections/con_7",
        ),
        (
            {"state": "waiting", "reason": "held_connection", "waits_for": "con_7"},
            "Open the connection",
            "/connections/con_7",
        ),
        ({"state": "waiting", "reason": "held_flow"}, "Open the flow", "/flows/"),
        ({"state": "dead", "error_kind": "invalid_payload", "position": "s2"}, "Fix the field", "?step=s2"),
        (
            {"state": "dead", "error_kind": "unavailable", "position": "s2"},
            "Send again from step 3",
            "/replay",
        ),
        (
            {"state": "dead", "error_kind": "gone", "position": "s5[2].s2"},
            "Send again from step 3",
            "/replay",
        ),
        ({"state": "failed"}, "Send again", "/replay"),
    ],
)
def test_a_run_that_needs_a_person_has_the_one_button_that_helps(
    browser: Browser, history: History, flow: str, values: dict[str, Any], button: str, address: str
) -> None:
    history.run(flow, **values)
    html = browser.get("/runs?needs=1").text
    actions = re.findall(r'class="pl-run-do.*?</div>', html, re.S)
    assert len(actions) == 1
    assert button in words(actions[0])
    assert address in actions[0]


def test_runs_that_are_well_have_no_button(browser: Browser, history: History, flow: str) -> None:
    history.run(flow, "succeeded")
    history.run(flow, "waiting", reason="retry")
    assert "pl-run-do" not in browser.get("/runs").text


def test_filters_work_as_a_plain_form_and_stay_chosen(browser: Browser, history: History, flow: str) -> None:
    other = history.flow("Another flow", [HTTP])
    history.run(flow, "dead", label="Wanted order")
    history.run(flow, "succeeded", label="Fine order")
    history.run(other, "dead", label="Foreign order")
    html = browser.get(f"/runs?flow={flow}&state=stopped&q=order").text
    assert "Wanted order" in html
    assert "Fine order" not in html
    assert "Foreign order" not in html
    assert f'<option value="{flow}" selected>' in html
    assert '<option value="stopped" selected>' in html


def test_days_count_in_the_readers_zone_both_included(browser: Browser, history: History, flow: str) -> None:
    midnight = datetime(2026, 3, 10, tzinfo=UTC)
    history.run(flow, at=midnight - timedelta(minutes=30), label="Late in Lisbon, early in Berlin")
    history.run(flow, at=midnight - timedelta(hours=2), label="The day before everywhere")
    browser.client.set_cookie("plumbline_zone", "Europe/Berlin")
    shown = browser.get("/runs?time=days&from=2026-03-10&to=2026-03-10").text
    assert "Late in Lisbon" in shown
    assert "The day before everywhere" not in shown


def test_older_runs_are_a_page_away_and_keep_the_filter(
    browser: Browser, history: History, flow: str, parts: Parts
) -> None:
    for n in range(51):
        history.run(flow, "dead", label=f"Order {n}.")
    first = browser.get("/runs?state=stopped").text
    assert "Order 0." not in first
    older = re.search(r'href="(/runs\?[^"]*before=[^"]*)"', first)
    assert older is not None
    assert "state=stopped" in older[1]
    assert "Order 0." in browser.get(older[1].replace("&amp;", "&")).text


def test_an_open_list_is_told_that_nothing_changed(browser: Browser, history: History, flow: str) -> None:
    run = history.run(flow, "queued")
    seen = re.search(r"seen=([0-9a-f]+)", browser.get("/runs").text)
    assert seen is not None
    assert browser.part(f"/runs?seen={seen[1]}").status_code == 204
    history.run(flow, "dead", label="Something new")
    answer = browser.part(f"/runs?seen={seen[1]}")
    assert answer.status_code == 200
    assert "Something new" in answer.text
    assert "<html" not in answer.text
    assert run in answer.text


def test_a_search_is_not_repeated_every_few_seconds(browser: Browser, history: History, flow: str) -> None:
    history.run(flow, label="Ana")
    assert "every 5s" in browser.get("/runs").text
    assert "every 5s" not in browser.get("/runs?q=ana").text


def test_a_filter_asked_for_by_htmx_puts_a_short_address_into_the_bar(browser: Browser, flow: str) -> None:
    answer = browser.part(f"/runs?flow={flow}&state=&time=&from=&to=&q=")
    assert answer.headers["HX-Push-Url"] == f"/runs?flow={flow}"


@pytest.mark.parametrize(
    "query",
    [
        "state=exploded",
        "time=never",
        "time=days&from=yesterday&to=0000-00-00",
        "time=days&from=9999-12-31&to=0001-01-01",
        "before=%00&q=%00%ED%A0%80",
        "flow=%27%20OR%201=1--",
        f"q={quote('%_/' * 200)}",
        "before=" + "z" * 5000,
        "needs=1&flow=nothing&q=run_",
    ],
)
def test_nonsense_in_the_address_never_breaks_the_list(
    browser: Browser, history: History, flow: str, query: str
) -> None:
    history.run(flow)
    assert browser.get(f"/runs?{query}").status_code == 200


def test_the_runs_of_a_flow_are_the_list_narrowed_to_it(browser: Browser, flow: str) -> None:
    answer = browser.get(f"/flows/{flow}/runs")
    assert answer.status_code == 303
    assert answer.headers["Location"].endswith(f"/runs?flow={flow}")


def test_runs_of_a_deleted_flow_are_still_there(
    browser: Browser, history: History, flow: str, parts: Parts
) -> None:
    run = history.run(flow, label="Kept order")
    parts.database.write(lambda db: db.exec_driver_sql("DELETE FROM flow_versions"))
    parts.database.write(lambda db: db.exec_driver_sql("DELETE FROM flows"))
    assert "Kept order" in browser.get("/runs").text
    assert "Kept order" in browser.get(f"/runs/{run}").text


def test_viewers_see_everything_and_change_nothing(
    browser: Browser, history: History, flow: str, parts: Parts
) -> None:
    run = history.run(flow, "dead", error_kind="unavailable", position="s1")
    parts.database.write(lambda db: db.execute(update(User).values(role="viewer")))
    html = browser.get(f"/runs/{run}").text
    assert 'method="post" action="/runs' not in html
    assert 'action="/runs/bulk"' not in browser.get("/runs").text
    assert browser.post(f"/runs/{run}/replay", {"mode": "whole"}).status_code == 403
    with parts.database.read() as db:
        assert db.execute(select(Run.id)).scalars().all() == [run]


def test_strangers_see_no_run(stranger: Browser, history: History, flow: str) -> None:
    run = history.run(flow, label="Secret order")
    for address in (
        "/runs",
        f"/runs/{run}",
        f"/runs/{run}/events",
        f"/runs/{run}/event.json",
        f"/runs/{run}/calls/1",
    ):
        answer = stranger.get(address)
        assert answer.status_code == 303, address
        assert "Secret order" not in answer.text
