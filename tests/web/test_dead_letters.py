"""The screen of dead letters: what stopped by its cause, the button that fixes it, resend and discard."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from sqlalchemy import select, update

from app.parts import Parts
from app.storage.letters.dead_letters import cause_of, count
from app.storage.tables.models import BulkOrder, Discard, Run, User
from tests.fakes.history import HTTP, History
from tests.web.browser import Browser, words

ABOUT = "crm.example 422"


def stopped(
    history: History, flow: str, label: str = "Ana", kind: str = "invalid_payload", **more: Any
) -> str:
    about = more.pop("about", ABOUT)
    facts = {"position": "s1", "error_kind": kind, "sentence": "crm.example answered 422: no such list."}
    cause = cause_of(flow, "s1", kind, about)
    run = history.run(flow, "dead", label=label, cause=cause, **facts | more)
    history.step(run, "s1", "failed", remedy="Choose another list in step 1.")
    return run


def cause(flow: str, kind: str = "invalid_payload", about: str = ABOUT) -> str:
    return cause_of(flow, "s1", kind, about)


def left(parts: Parts) -> int:
    with parts.database.read() as db:
        return count(db)


def orders(parts: Parts) -> list[Any]:
    with parts.database.read() as db:
        return list(db.execute(select(BulkOrder.__table__).order_by(BulkOrder.id)))


def test_without_dead_letters_the_page_says_so(browser: Browser, parts: Parts) -> None:
    page = browser.get("/dead-letters")
    assert "No incidents" in page.text
    assert "pl-nav-count" not in page.text


def test_what_stopped_for_one_reason_is_one_group(browser: Browser, history: History, flow: str) -> None:
    for label in ("Ana", "Bo", "Cy"):
        stopped(history, flow, label)
    stopped(history, flow, "Di", "unavailable", about="crm.example 503", sentence="crm.example is down.")
    shown = words(browser.get("/dead-letters").text)
    assert "Incidents 4" in shown  # in the navigation
    assert "Not accepted · crm.example 422" in shown
    assert "no such list" in shown
    assert "What to do: Choose another list in step 1." in shown
    assert "3 runs" in shown
    assert "Send all 3 again" in shown
    assert "Send it again" in shown
    assert "Not reachable · crm.example 503" in shown


def test_a_group_shows_its_runs_and_leads_to_the_step_that_mends_it(
    browser: Browser, history: History, flow: str
) -> None:
    run = stopped(history, flow)
    page = browser.get(f"/dead-letters/group?cause={quote(cause(flow))}")
    assert f"/runs/{run}" in page.text
    assert f'href="/flows/{flow}?step=s1"' in page.text
    assert "Fix step 2" in words(page.text)


def test_a_step_without_the_right_key_leads_to_its_connection(
    browser: Browser, parts: Parts, history: History
) -> None:
    from sqlalchemy import insert

    from app.storage.tables.models import Connection
    from tests.fakes.history import NOON

    row = {"id": "con_1", "connector": "http", "name": "Our CRM", "auth": "bearer", "public": {}}
    row |= {"created_at": NOON, "updated_at": NOON}
    parts.database.write(lambda db: db.execute(insert(Connection), row))
    step = HTTP | {"request": {"url": "https://crm.example", "connection_id": "con_1"}}
    flow = history.flow("New order", [step])
    stopped(history, flow, kind="permission_missing")
    shown = browser.get("/dead-letters").text
    assert 'href="/connections/con_1"' in shown
    assert "Reconnect Our CRM" in words(shown)


def test_a_group_that_is_gone_says_so(browser: Browser, parts: Parts) -> None:
    for hostile in ("", "x", "%00", "a|b", "%ED%A0%80", "x" * 3000):
        assert "No runs are left in this incident" in browser.get(f"/dead-letters/group?cause={hostile}").text


def test_all_of_a_group_are_resent_by_an_order(
    browser: Browser, parts: Parts, history: History, flow: str
) -> None:
    old = [stopped(history, flow, label) for label in ("Ana", "Bo")]
    form = {"cause": cause(flow), "mode": "failed"}
    answer = browser.post("/dead-letters/resend", form)
    assert answer.status_code == 303
    parts.engine.work_orders()
    shown = words(browser.get("/dead-letters").text)
    assert "2 runs sent again" in shown
    assert "2 of 2 sent again: 2 under way." in shown
    with parts.database.read() as db:
        again = db.execute(select(Run.replay_of).where(Run.replay_of.is_not(None)).order_by(Run.replay_of))
        assert list(again.scalars()) == sorted(old)
    assert left(parts) == 0


def test_an_order_is_stopped_with_a_button(
    browser: Browser, parts: Parts, history: History, flow: str
) -> None:
    stopped(history, flow)
    browser.post("/dead-letters/resend", {"cause": cause(flow)})
    (order,) = orders(parts)
    assert "Stop" in words(browser.get(f"/dead-letters/group?cause={quote(cause(flow))}").text)
    browser.post(f"/orders/{order.id}/stop")
    browser.post(f"/orders/{order.id}/stop")
    assert orders(parts)[0].state == "stopped"
    assert "Stopped: 1 run" in words(browser.get("/dead-letters").text)
    assert browser.post("/orders/ord_none/stop").status_code == 404


def test_discarding_needs_a_reason_and_keeps_it(
    browser: Browser, parts: Parts, history: History, flow: str
) -> None:
    run = stopped(history, flow, "Ana")
    refused = browser.post("/dead-letters/discard", {"cause": cause(flow), "reason": " "})
    assert refused.status_code == 422
    assert "Say why" in refused.text
    browser.post("/dead-letters/discard", {"cause": cause(flow), "reason": "An old <test>"})
    parts.engine.work_orders()
    assert left(parts) == 0
    shown = browser.get("/dead-letters/discarded").text
    assert "An old &lt;test&gt;" in shown
    assert f"/runs/{run}" in shown
    assert "Ana Silva" in words(shown)
    assert browser.get("/dead-letters/discarded?before=99999999999999.run_x").status_code == 200
    assert browser.get("/dead-letters/discarded?before=nonsense").status_code == 200


def test_only_the_ticked_ones_are_discarded(
    browser: Browser, parts: Parts, history: History, flow: str
) -> None:
    ids = [stopped(history, flow, label) for label in ("Ana", "Bo", "Cy")]
    form = {"cause": cause(flow), "do": "discard", "reason": "No", "run": ids[:2]}
    assert browser.post("/dead-letters/chosen", form).status_code == 303
    parts.engine.work_orders()
    with parts.database.read() as db:
        assert set(db.execute(select(Discard.run_id)).scalars()) == set(ids[:2])
    assert left(parts) == 1
    assert browser.post("/dead-letters/chosen", {"cause": cause(flow), "do": "resend"}).status_code == 422


def test_who_may_only_look_finds_no_buttons(
    browser: Browser, parts: Parts, history: History, flow: str
) -> None:
    stopped(history, flow)
    token = browser.token()
    parts.database.write(lambda db: db.execute(update(User).values(role="viewer")))
    for path in ("/dead-letters", f"/dead-letters/group?cause={quote(cause(flow))}"):
        shown = browser.get(path).text
        assert "no such list" in shown
        assert "/dead-letters/resend" not in shown
    data = {"csrf_token": token, "cause": cause(flow)}
    assert browser.client.post("/dead-letters/resend", data=data).status_code == 403
    assert orders(parts) == []


def test_a_test_run_and_one_put_aside_are_no_dead_letters(
    browser: Browser, parts: Parts, history: History, flow: str
) -> None:
    run = stopped(history, flow)
    browser.post(f"/runs/{run}/settle")
    assert "No incidents" in browser.get("/dead-letters").text


def test_the_pages_refresh_only_as_long_as_an_order_is_open(
    browser: Browser, parts: Parts, history: History, flow: str
) -> None:
    stopped(history, flow)
    assert "every 2s" not in browser.part("/dead-letters").text
    browser.post("/dead-letters/resend", {"cause": cause(flow)})
    part = browser.part("/dead-letters").text
    assert "Sending 1 run again" in words(part)
    assert "every 2s" in part
    assert "<html" not in part
