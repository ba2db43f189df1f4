"""What can be done about runs: replay, put aside, cancel, decide."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app.parts import Parts
from app.storage.history.rows import get_row
from app.storage.tables.models import AuditEntry
from tests.fakes.history import History
from tests.web.browser import Browser, words


def row(parts: Parts, run_id: str) -> Any:
    with parts.database.read() as db:
        return get_row(db, run_id)


def audited(parts: Parts) -> list[str]:
    with parts.database.read() as db:
        return list(db.execute(select(AuditEntry.action).where(AuditEntry.noun == "run")).scalars())


def test_a_replay_makes_a_new_run_and_leads_to_it(
    browser: Browser, history: History, flow: str, parts: Parts
) -> None:
    run = history.run(flow, "dead", position="s2")
    history.step(run, "s1")
    answer = browser.post(f"/runs/{run}/replay", {"mode": "failed", "version": "same"})
    new = answer.headers["Location"].rsplit("/", 1)[-1]
    assert answer.status_code == 303
    assert row(parts, new).replay_of == run
    assert row(parts, new).steps == 1
    assert not row(parts, run).needs_person
    assert audited(parts) == ["replayed"]


def test_a_run_under_way_cannot_be_replayed(browser: Browser, history: History, flow: str) -> None:
    run = history.run(flow, "waiting", reason="delay")
    answer = browser.post(f"/runs/{run}/replay", {"mode": "whole"})
    assert answer.status_code == 422
    assert "still under way" in answer.text


def test_all_runs_with_one_cause_are_replayed_at_once(
    browser: Browser, history: History, flow: str, parts: Parts
) -> None:
    cause: dict[str, Any] = {"position": "s2", "error_kind": "invalid_payload"}
    made = [history.run(flow, "dead", label=f"Order {n}", **cause) for n in range(3)]
    html = browser.get(f"/runs/{made[0]}").text
    assert "Send all 3 with this cause again" in html
    browser.post(f"/runs/{made[0]}/replay-alike")
    parts.engine.work_orders()
    assert all(row(parts, run).replayed_as for run in made)
    assert "3 of 3 sent again" in browser.get("/dead-letters").text


def test_selected_runs_are_put_aside_together(
    browser: Browser, history: History, flow: str, parts: Parts
) -> None:
    made = [history.run(flow, "dead") for _ in range(2)]
    answer = browser.post("/runs/bulk", {"run": made, "do": "settle", "next": "/runs?state=stopped"})
    assert answer.headers["Location"].endswith("/runs?state=stopped")
    assert not any(row(parts, run).needs_person for run in made)
    assert "Nothing needs you" in browser.get("/runs?needs=1").text


@pytest.mark.parametrize(
    "address", ["https://evil.example/runs", "//evil.example/runs", "/logout", "javascript:1"]
)
def test_the_way_back_never_leads_to_another_website(
    browser: Browser, history: History, flow: str, address: str
) -> None:
    run = history.run(flow, "dead")
    answer = browser.post("/runs/bulk", {"run": [run], "do": "settle", "next": address})
    assert answer.headers["Location"] == "/runs"


def test_cancelling_ends_an_open_run_and_names_who_did_it(
    browser: Browser, history: History, flow: str, parts: Parts
) -> None:
    run = history.run(flow, "waiting", reason="delay")
    browser.post(f"/runs/{run}/cancel")
    assert row(parts, run).state == "cancelled"
    assert "Cancelled by Ana Silva" in row(parts, run).sentence
    browser.post(f"/runs/{run}/cancel")
    assert "already ended" in browser.get(f"/runs/{run}").text


@pytest.mark.parametrize(("answer", "state"), [("yes", "succeeded"), ("no", "retry")])
def test_an_unknown_outcome_is_decided_by_a_person(
    browser: Browser, history: History, flow: str, parts: Parts, answer: str, state: str
) -> None:
    run = history.run(flow, "waiting", reason="unknown", position="s1")
    history.step(run, "s1", "unknown")
    history.call(run, 1, "s1", status=None, duration_ms=None, answer_body=None, answer_headers=None)
    html = browser.get(f"/runs/{run}").text
    assert "It was sent" in html
    assert "Send again" in html
    assert "its answer is not known" in html
    assert browser.post(f"/runs/{run}/decide", {"sent": answer}).status_code == 303
    assert row(parts, run).state == "queued"
    with parts.database.read() as db:
        assert db.exec_driver_sql("SELECT state FROM steps").scalar() == state


def test_a_decision_without_an_answer_decides_nothing(
    browser: Browser, history: History, flow: str, parts: Parts
) -> None:
    run = history.run(flow, "waiting", reason="unknown", position="s1")
    assert browser.post(f"/runs/{run}/decide", {"sent": "maybe"}).status_code == 422
    assert row(parts, run).state == "waiting"


def test_a_failure_put_aside_can_be_taken_up_again(
    browser: Browser, history: History, flow: str, parts: Parts
) -> None:
    run = history.run(flow, "dead")
    browser.post(f"/runs/{run}/settle")
    assert "Marked as resolved" in browser.get(f"/runs/{run}").text
    browser.post(f"/runs/{run}/reopen")
    assert row(parts, run).needs_person
    assert audited(parts) == ["put aside", "took up again"]


def test_a_test_run_is_called_so_and_asks_for_nothing(browser: Browser, history: History, flow: str) -> None:
    run = history.run(flow, "dead", source="test", position="s1", error_kind="unavailable")
    shown = words(browser.get(f"/runs/{run}").text)
    assert "Test run" in shown
    assert "Mark as resolved" not in shown
    assert "Nothing needs you" in browser.get("/runs?needs=1").text
