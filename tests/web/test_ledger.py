"""The ledger as pages: every figure leads to exactly what it counts, and a difference is said."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from app.parts import Parts
from app.storage.tables.models import Run
from tests.fakes.history import HTTP, History
from tests.fakes.ledger import Records
from tests.web.browser import Browser, words

NOON = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=12)
DAY = NOON.date().isoformat()
_ROW = re.compile(r'<li id="(run_\w+)"')


@pytest.fixture
def records(parts: Parts) -> Records:
    return Records(parts.database, History(parts.database).flow("New order", [HTTP]))


def make_one_of_each(records: Records) -> dict[str, str]:
    """By figure the run that it counts."""
    made = {}
    for kind, state, reason in (
        ("succeeded", "succeeded", ""),
        ("filtered", "filtered", ""),
        ("failed", "failed", ""),
        ("settled", "dead", ""),
        ("held", "waiting", "held_flow"),
        ("waiting", "waiting", "delay"),
        ("cancelled", "cancelled", ""),
    ):
        [made[kind]] = records.delivery(NOON)
        records.end(made[kind], state, NOON, reason)
    records.replay(made["settled"], NOON + timedelta(minutes=1))
    records.event(NOON, source="test")
    return made


def test_every_figure_leads_to_the_runs_it_counts_and_to_no_other(browser: Browser, records: Records) -> None:
    for kind, run in make_one_of_each(records).items():
        address = f"/runs?flow={records.flow_id}&day={DAY}&became={kind}"
        assert address.replace("&", "&amp;") in browser.get(f"/ledger/{DAY}").text
        assert _ROW.findall(browser.get(address).text) == [run]
    everything = browser.get(f"/runs?flow={records.flow_id}&day={DAY}").text
    assert len(_ROW.findall(everything)) == 7
    assert f"All that came in on {DAY} (UTC)" in everything


def test_repeated_and_refused_deliveries_of_a_day_are_listed(browser: Browser, records: Records) -> None:
    records.delivery(NOON, records=2, repeated=3, reason="3 of its 5 records had come before.")
    records.delivery(NOON, records=0, repeated=1, reason="A repetition.")
    records.delivery(NOON, records=0, outcome="refused", reason="Wrong signature.")
    records.delivery(NOON - timedelta(days=1), records=0, outcome="refused", reason="Too large.")
    shown = browser.get(f"/flows/{records.flow_id}/ledger").text
    for outcome, number in (("repeated", 4), ("refused", 1)):
        address = f"/flows/{records.flow_id}/deliveries?outcome={outcome}&amp;day={DAY}"
        assert f'<a href="{address}"' in shown
        assert f'{DAY}: {number}"' in shown
    again = words(browser.get(f"/flows/{records.flow_id}/deliveries?outcome=repeated&day={DAY}").text)
    assert "3 of its 5 records had come before." in again
    assert "A repetition." in again
    assert "Wrong signature." not in again
    refused = words(browser.get(f"/flows/{records.flow_id}/deliveries?outcome=refused&day={DAY}").text)
    assert "Wrong signature." in refused
    assert "Too large." not in refused


def test_all_flows_stand_together_and_a_day_shows_which(browser: Browser, records: Records) -> None:
    make_one_of_each(records)
    page = browser.get("/ledger").text
    assert f'href="/ledger/{DAY}"' in page
    assert "New order" in words(browser.get(f"/ledger/{DAY}").text)
    assert "Nothing came in that day" in words(browser.get("/ledger/2001-01-01").text)


def test_a_difference_is_shown_with_a_sentence_and_the_way_there(browser: Browser, records: Records) -> None:
    made = make_one_of_each(records)
    assert browser.post("/ledger/check").status_code == 303
    assert "Everything that came in is accounted for." in words(browser.get("/ledger").text)
    assert "Everything that came in is accounted for: see the ledger" in words(browser.get("/").text)
    records.delete(Run, made["succeeded"])
    browser.post("/ledger/check")
    for path in ("/ledger", f"/ledger/{DAY}", f"/flows/{records.flow_id}/ledger"):
        page = browser.get(path).text
        assert f"{DAY}, New order: 1 record came in, and there is no run for it." in words(page)
        assert 'class="is-wrong"' in page
    assert "Not everything that came in is accounted for: see the ledger" in words(browser.get("/").text)


def test_the_deliveries_of_a_flow_begin_with_its_last_seven_days(browser: Browser, records: Records) -> None:
    make_one_of_each(records)
    shown = browser.get(f"/flows/{records.flow_id}/deliveries").text
    assert "The last 7 days" in shown
    assert f'href="/flows/{records.flow_id}/ledger"' in shown


@pytest.mark.parametrize(
    "path", ["/ledger/2026-99-99", "/ledger/today", "/flows/flow_x/ledger", "/ledger?flow=x"]
)
def test_what_is_no_day_or_flow_is_not_found(browser: Browser, path: str) -> None:
    assert browser.get(path).status_code == 404


def test_choosing_a_flow_leads_to_its_ledger(browser: Browser, records: Records) -> None:
    answer = browser.get(f"/ledger?flow={records.flow_id}")
    assert answer.headers["Location"] == f"/flows/{records.flow_id}/ledger"
