"""One run as people see it: its steps, its calls, its loops, and nothing hostile comes alive."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.parts import Parts
from app.storage.history.rows import get_row
from tests.fakes.history import HTTP, NEXT, History
from tests.web.browser import Browser, words


def test_the_page_of_a_run_answers_what_came_what_was_sent_and_what_to_do(
    browser: Browser, history: History, flow: str
) -> None:
    delivery = history.delivery(flow)
    run = history.run(
        flow,
        "dead",
        payload={"phone": "912 345 678"},
        label="Ana Silva · order #10482",
        position="s1",
        error_kind="invalid_payload",
        sentence="The CRM said: Phone must be in international format.",
        delivery_id=delivery,
    )
    finding = {
        "field": "Phone",
        "sentence": "The value was “912 345 678”.",
        "reference": "trigger:$['phone']",
    }
    history.step(
        run,
        "s1",
        "failed",
        input={"phone": "912 345 678"},
        findings=[finding],
        remedy="Add the function Phone.",
    )
    history.call(run, 1, "s1", status=400, error_kind="invalid_payload", sentence="Refused.")
    html = browser.get(f"/runs/{run}").text
    shown = words(html)
    assert "Phone must be in international format" in shown
    assert "trigger:$['phone']" in shown
    assert "Add the function Phone." in shown
    assert "answered 400 Bad request" in shown
    assert "250 ms" in shown
    assert "1 call to api.crm.example" in shown
    assert "Not reached" in shown
    assert f'href="/deliveries/{delivery}"' in html
    assert f'href="/flows/{flow}?step=s1"' in html


def test_every_attempt_is_there_with_its_wait_and_its_key(
    browser: Browser, history: History, flow: str
) -> None:
    run = history.run(flow)
    history.step(run, "s1", attempt=2)
    history.call(run, 1, "s1", status=503, attempt=1, error_kind="unavailable")
    history.call(run, 2, "s1", status=200, attempt=2, waited_ms=1500, idempotency_key="run_x:s1")
    shown = words(browser.get(f"/runs/{run}").text)
    assert "503 Unavailable" in shown
    assert "attempt 2" in shown
    assert "after waiting 1.5 s for its turn" in shown
    assert shown.count("run_x:s1") == 1
    assert "{{secret:token}}" in shown


def test_a_path_that_was_not_taken_is_named_with_the_reason(browser: Browser, history: History) -> None:
    condition = {"groups": [[{"left": "{{trigger:$['total']}}", "operator": "greater", "right": "150"}]]}
    paths = [
        {"id": "p1", "name": "Big order", "conditions": condition, "steps": [HTTP]},
        {"id": "p2", "name": "Everyone else", "steps": [NEXT]},
    ]
    flow = history.flow("Split", [{"kind": "paths", "id": "s3", "name": "By value", "paths": paths}])
    run = history.run(flow)
    history.step(run, "s3", output={"taken": ["p2"], "why": {"p1": "Total is 84, not more than 150."}})
    history.step(run, "s2")
    shown = words(browser.get(f"/runs/{run}").text)
    assert "2a · Big order Not taken Total is 84, not more than 150. 1 step left out: Tell the CRM" in shown
    assert "2b · Everyone else Taken" in shown


@pytest.fixture
def loop(history: History) -> str:
    step = {
        "kind": "for_each",
        "id": "s5",
        "name": "Each row",
        "items": "{{trigger:$[*]}}",
        "steps": [HTTP, NEXT],
    }
    return history.flow("Weekly scores", [step])


def test_a_loop_of_thousands_shows_what_failed_first_and_stays_small(
    browser: Browser, history: History, loop: str
) -> None:
    run = history.run(loop, "dead", position="s5[1200].s2")
    history.step(run, "s5", "failed", output={"count": 2500})
    history.steps(run, [f"s5[{n}].{s}" for n in range(2500) for s in ("s1", "s2") if n != 1200])
    history.step(run, "s5[1200].s1", input={"email": "zoe@example.com"})
    history.step(run, "s5[1200].s2", "failed", sentence="The contact is archived.")
    html = browser.get(f"/runs/{run}").text
    shown = words(html)
    assert "2,500 items" in shown
    assert shown.index("Item 1201") < shown.index("Item 1 ")
    assert "zoe@example.com The contact is archived." in shown
    assert "More items" in shown
    assert len(html) < 120_000
    opened = words(browser.get(f"/runs/{run}?item=s5[1200]").text)
    assert "2.2 Tell the team" in opened
    assert "Item 40 " in words(browser.get(f"/runs/{run}?from=s5:21").text)


@pytest.mark.parametrize(
    "query",
    ["item=s5[", "item=" + "x" * 9000, "from=s5:-1", "from=:", "from=s5:99999999", "item=s5[0]&from=s5:7"],
)
def test_nonsense_about_loops_is_overlooked(
    browser: Browser, history: History, loop: str, query: str
) -> None:
    run = history.run(loop)
    history.steps(run, ["s5", "s5[0].s1"])
    assert browser.get(f"/runs/{run}?{query}").status_code == 200


def test_replays_lead_to_each_other(browser: Browser, history: History, flow: str) -> None:
    old = history.run(flow, "dead", label="Old")
    new = history.run(flow, "succeeded", label="New", replay_of=old)
    assert f'href="/runs/{new}"' in browser.get(f"/runs/{old}").text
    assert f'href="/runs/{old}"' in browser.get(f"/runs/{new}").text
    assert "see the newer run" in browser.get("/runs").text


def test_steps_taken_over_by_a_replay_say_that_nothing_was_sent_again(
    browser: Browser, history: History, flow: str, parts: Parts
) -> None:
    old = history.run(flow, "dead")
    with parts.database.read() as db:
        later = get_row(db, old).created_at + timedelta(hours=1)
    new = history.run(flow, at=later, replay_of=old)
    history.step(new, "s1")
    assert "its result is used and nothing is sent again" in words(browser.get(f"/runs/{new}").text)


HOSTILE = "<script>alert(1)</script>\u202e\x00 hx-get"


def test_hostile_payloads_are_shown_and_do_nothing(browser: Browser, history: History, flow: str) -> None:
    payload = {HOSTILE: HOSTILE, "big": "x" * 1_000_000, "many": list(range(50_000)), "deep": _deep(60)}
    run = history.run(flow, "dead", payload=payload, label=HOSTILE, position="s1", sentence=HOSTILE)
    history.step(run, "s1", "failed", input={HOSTILE: HOSTILE, "long": "z" * 300_000}, sentence=HOSTILE)
    history.call(
        run,
        1,
        "s1",
        url="https://x.example/" + HOSTILE,
        request_body=HOSTILE.encode(),
        answer_body=b"<html>" + HOSTILE.encode() * 5_000,
        answer_headers=[[HOSTILE, "a\r\nSet-Cookie: b"]],
        sentence=HOSTILE,
    )
    for address in (f"/runs/{run}", f"/runs/{run}/calls/1", "/runs"):
        html = browser.get(address).text
        assert "<script>alert" not in html, address
        assert "\u202e" not in html, address
        assert "\x00" not in html, address
        assert "⟨U+202E⟩" in html, address
        assert len(html) < 900_000, address


def _deep(levels: int) -> Any:
    return [] if levels == 0 else [_deep(levels - 1)]


def test_a_run_that_is_not_there_is_a_404_with_a_way_back(browser: Browser) -> None:
    answer = browser.get("/runs/run_nothing")
    assert answer.status_code == 404
    assert "not in the history" in answer.text


def test_the_page_of_a_call_holds_all_that_is_kept_and_bodies_are_only_downloads(
    browser: Browser, history: History, flow: str
) -> None:
    run = history.run(flow)
    history.call(run, answer_body=b"<script>x</script>", answer_size=900_000)
    html = browser.get(f"/runs/{run}/calls/1").text
    assert "curl --globoff --request POST" in html
    assert "more were cut" in html
    answer = browser.get(f"/runs/{run}/calls/1/answer")
    assert answer.data == b"<script>x</script>"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert browser.get(f"/runs/{run}/calls/7").status_code == 404
    assert browser.get(f"/runs/{run}/calls/99999999999999999999").status_code == 404


def test_the_event_can_be_downloaded_as_it_came(browser: Browser, history: History, flow: str) -> None:
    run = history.run(flow, payload=b'{"amount": 1.10, "id": 12345678901234567890123}')
    answer = browser.get(f"/runs/{run}/event.json")
    assert answer.data == b'{"amount": 1.10, "id": 12345678901234567890123}'
    shown = words(browser.get(f"/runs/{run}").text)
    assert "amount 1.10" in shown
    assert "12345678901234567890123" in shown
