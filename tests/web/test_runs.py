"""The history as people see it: the list, one run, its calls, and what can be done about it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select, update

from app.parts import Parts
from app.storage.models import AuditEntry, Run, User
from app.storage.run_rows import get_row
from app.storage.runs import STATES
from tests.fakes.history import HTTP, NEXT, History
from tests.web.browser import Browser, words


def row(parts: Parts, run_id: str) -> Any:
    with parts.database.read() as db:
        return get_row(db, run_id)


# ------------------------------------------------------------------------------------- the list


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
        ({"state": "dead", "error_kind": "unavailable", "position": "s2"}, "Replay from step 3", "/replay"),
        ({"state": "dead", "error_kind": "gone", "position": "s5[2].s2"}, "Replay from step 3", "/replay"),
        ({"state": "failed"}, "Replay", "/replay"),
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
    parts.database.write(lambda c: c.exec_driver_sql("DELETE FROM flow_versions"))
    parts.database.write(lambda c: c.exec_driver_sql("DELETE FROM flows"))
    assert "Kept order" in browser.get("/runs").text
    assert "Kept order" in browser.get(f"/runs/{run}").text


# --------------------------------------------------------------------------------------- one run


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
    later = row(parts, old).created_at + timedelta(hours=1)
    new = history.run(flow, at=later, replay_of=old)
    history.step(new, "s1")
    assert "taken over, not sent again" in words(browser.get(f"/runs/{new}").text)


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


# --------------------------------------------------------------------------------- what is done


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
    assert "Replay all 3 with this cause" in html
    browser.post(f"/runs/{made[0]}/replay-alike")
    parts.engine.work_orders()
    assert all(row(parts, run).replayed_as for run in made)
    assert "3 of 3 resent" in browser.get("/dead-letters").text


def test_selected_runs_are_put_aside_together(
    browser: Browser, history: History, flow: str, parts: Parts
) -> None:
    made = [history.run(flow, "dead") for _ in range(2)]
    answer = browser.post("/runs/bulk", {"run": made, "do": "settle", "next": "/runs?state=stopped"})
    assert answer.headers["Location"].endswith("/runs?state=stopped")
    assert not any(row(parts, run).needs_person for run in made)
    assert "Nothing needs you" in browser.get("/runs?needs=1").text


def test_a_bulk_replay_says_how_many_could_not_be_replayed(
    browser: Browser, history: History, flow: str
) -> None:
    made = [history.run(flow, "dead"), history.run(flow, "waiting", reason="delay")]
    browser.post("/runs/bulk", {"run": [*made, "run_nothing"], "do": "whole"})
    shown = words(browser.get("/runs").text)
    assert "1 run replayed" in shown
    assert "2 runs could not be replayed" in shown


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
    assert "Marked as needing nothing more" in browser.get(f"/runs/{run}").text
    browser.post(f"/runs/{run}/reopen")
    assert row(parts, run).needs_person
    assert audited(parts) == ["put aside", "took up again"]


def test_a_test_run_is_called_so_and_asks_for_nothing(browser: Browser, history: History, flow: str) -> None:
    run = history.run(flow, "dead", source="test", position="s1", error_kind="unavailable")
    shown = words(browser.get(f"/runs/{run}").text)
    assert "Test run" in shown
    assert "Needs nothing more" not in shown
    assert "Nothing needs you" in browser.get("/runs?needs=1").text


def test_viewers_see_everything_and_change_nothing(
    browser: Browser, history: History, flow: str, parts: Parts
) -> None:
    run = history.run(flow, "dead", error_kind="unavailable", position="s1")
    parts.database.write(lambda c: c.execute(update(User).values(role="viewer")))
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
