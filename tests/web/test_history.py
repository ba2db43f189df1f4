"""Settings of history: what would go is said before it goes, and failures cannot be thrown away early."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.parts import Parts
from app.storage.upkeep.keep_rules import Rule, read_rules
from tests.fakes.history import HTTP, History
from tests.web.browser import Browser, words

GOOD = {"well_days": "7", "failed_days": "120", "most_runs": ""}


def _rules(parts: Parts) -> object:
    with parts.database.read() as db:
        return read_rules(db, 30)


def test_the_page_says_how_much_would_go_now(browser: Browser, history: History, parts: Parts) -> None:
    flow = history.flow("Orders", [HTTP])
    now = parts.clock.now()
    for days in (1, 40, 50):
        history.run(flow, at=now - timedelta(days=days))
    shown = words(browser.get("/settings/history").text)
    assert "2 runs are older than that and will go within the next hour, about" in shown
    parts.intake.ticks.prune()
    assert "Nothing is old enough to go." in words(browser.get("/settings/history").text)


def test_days_and_numbers_are_saved_and_kept(browser: Browser, parts: Parts) -> None:
    assert browser.post("/settings/history", GOOD | {"most_runs": "10,000"}).status_code == 303
    assert _rules(parts).everywhere == Rule(7, 120, 10_000)  # type: ignore[attr-defined]
    assert 'value="120"' in browser.get("/settings/history").text


def test_a_flow_gets_a_rule_of_its_own_and_loses_it(browser: Browser, history: History, parts: Parts) -> None:
    flow = history.flow("Orders", [HTTP])
    browser.post("/settings/history/flows", GOOD | {"flow_id": flow})
    assert "7 days, failures 120 days" in words(browser.get("/settings/history").text)
    browser.post(f"/settings/history/flows/{flow}/forget")
    assert _rules(parts).flows == {}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("field", "text", "sentence"),
    [
        ("failed_days", "10", "Failures are kept for at least 90 days"),
        ("well_days", "soon", "“soon” is not a whole number."),
        ("well_days", "", "Write a number of days from 1 to 3,650."),
        ("most_runs", "-4", "“-4” is not a whole number."),
        ("well_days", "٣", "is not a whole number."),
    ],
)
def test_what_cannot_be_used_is_said_beside_the_field_and_nothing_is_saved(
    browser: Browser, parts: Parts, field: str, text: str, sentence: str
) -> None:
    answer = browser.post("/settings/history", GOOD | {field: text})
    assert answer.status_code == 422
    assert sentence in words(answer.text)
    assert _rules(parts).everywhere == Rule(30, 90)  # type: ignore[attr-defined]


def test_a_flow_that_is_not_there_is_not_found(browser: Browser) -> None:
    assert browser.post("/settings/history/flows", GOOD | {"flow_id": "flow_none"}).status_code == 404
