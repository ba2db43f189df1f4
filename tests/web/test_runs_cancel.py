"""All that waits is cancelled in one go: of a flow, or of what the list is narrowed to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.parts import Parts
from app.storage.people import audit
from app.storage.tables.models import BulkOrder, Run, User
from tests.fakes.history import HTTP, History
from tests.web.browser import Browser, words


@pytest.fixture
def flow(parts: Parts, history: History) -> str:
    """With runs in every kind of wait, one under way and one that is over."""
    flow = history.flow("Leads", [HTTP])
    at = parts.clock.now() - timedelta(hours=2)
    for number in range(3):
        history.run(flow, "waiting", at, reason="delay", label=f"Slow {number}")
    history.run(flow, "waiting", at, reason="retry", label="Retry")
    history.run(flow, "queued", at, label="In line")
    history.run(flow, "running", at, label="Under way")
    history.run(flow, "succeeded", at, label="Over")
    return flow


def states(parts: Parts) -> dict[str, str]:
    with parts.database.read() as db:
        return {row.label: row.state for row in db.execute(select(Run.label, Run.state))}


def orders(parts: Parts) -> list[Any]:
    with parts.database.read() as db:
        return list(db.execute(select(BulkOrder.__table__).order_by(BulkOrder.id)))


def test_the_number_is_said_before_anything_is_done(browser: Browser, parts: Parts, flow: str) -> None:
    assert f'href="/runs/cancel?flow={flow}"' in browser.get(f"/runs?flow={flow}").text
    shown = words(browser.get(f"/runs/cancel?flow={flow}").text)
    assert "5 runs wait" in shown
    assert "3 waiting for a delay of the flow" in shown
    assert "1 in line, not begun" in shown
    assert "Cancel 5 runs" in shown
    assert orders(parts) == []


def test_what_waits_is_cancelled_and_nothing_else(browser: Browser, parts: Parts, flow: str) -> None:
    answer = browser.post("/runs/cancel", {"flow": flow})
    (order,) = orders(parts)
    assert answer.headers["Location"] == f"/orders/{order.id}"
    assert "Cancelling 5 waiting runs" in words(browser.get(f"/orders/{order.id}").text)
    parts.engine.work_orders()
    parts.engine.work_orders()
    after = states(parts)
    assert [after.pop(label) for label in ("Under way", "Over")] == ["running", "succeeded"]
    assert set(after.values()) == {"cancelled"}
    assert "5 waiting runs cancelled" in words(browser.get(f"/orders/{order.id}").text)
    with parts.database.read() as db:
        (sentence,) = set(db.execute(select(Run.sentence).where(Run.state == "cancelled")).scalars())
        entry = audit.entries(db, noun="flow", noun_id=flow, limit=1)[0]
    assert sentence == "Cancelled by Ana Silva, with all that waited; nothing more was sent."
    assert (entry.action, entry.detail["number"]) == ("cancelled all that waits", 5)


def test_only_what_the_list_shows_is_cancelled(
    browser: Browser, parts: Parts, history: History, flow: str
) -> None:
    other = history.flow("Orders", [HTTP])
    history.run(other, "waiting", parts.clock.now() - timedelta(hours=1), reason="delay", label="Slow 9")
    assert "Cancel 3 runs" in browser.get(f"/runs/cancel?flow={flow}&q=slow").text
    browser.post("/runs/cancel", {"flow": flow, "q": "slow", "state": "waiting", "time": "24h"})
    parts.engine.work_orders()
    after = states(parts)
    assert {label for label, state in after.items() if state == "cancelled"} == {"Slow 0", "Slow 1", "Slow 2"}


def test_what_comes_after_the_order_is_not_part_of_it(
    browser: Browser, parts: Parts, history: History, flow: str
) -> None:
    browser.post("/runs/cancel", {"flow": flow})
    later = parts.clock.now() + timedelta(minutes=1)
    history.run(flow, "waiting", later, reason="delay", label="New")
    parts.engine.work_orders()
    assert states(parts)["New"] == "waiting"


def test_an_order_to_cancel_can_be_stopped(browser: Browser, parts: Parts, flow: str) -> None:
    browser.post("/runs/cancel", {"flow": flow})
    (order,) = orders(parts)
    answer = browser.post(f"/orders/{order.id}/stop")
    assert answer.headers["Location"] == f"/orders/{order.id}"
    parts.engine.work_orders()
    assert "cancelled" not in states(parts).values()
    assert "Stopped: 5 waiting runs" in words(browser.get(f"/orders/{order.id}").text)


def test_where_nothing_waits_there_is_nothing_to_cancel(
    browser: Browser, parts: Parts, history: History, flow: str
) -> None:
    empty = history.flow("Quiet", [HTTP])
    assert "Nothing waits" in browser.get(f"/runs/cancel?flow={empty}").text
    assert browser.post("/runs/cancel", {"flow": empty}).status_code == 422
    assert browser.post("/runs/cancel", {"flow": flow, "state": "succeeded"}).status_code == 422
    assert browser.post("/runs/cancel", {"flow": flow, "state": "needs"}).status_code == 422
    assert orders(parts) == []


def test_hundreds_are_cancelled_a_portion_at_a_time(browser: Browser, parts: Parts, history: History) -> None:
    flow = history.flow("Many", [HTTP])
    at = parts.clock.now() - timedelta(hours=1)
    for _ in range(230):
        history.run(flow, "waiting", at, reason="delay")
    browser.post("/runs/cancel", {"flow": flow})
    for _ in range(3):
        parts.engine.work_orders()
    (order,) = orders(parts)
    assert (order.state, order.done, order.refused) == ("done", 230, 0)


def test_who_may_only_look_cannot_cancel(browser: Browser, parts: Parts, flow: str) -> None:
    token = browser.token()
    parts.database.write(lambda db: db.execute(update(User).values(role="viewer")))
    assert "/runs/cancel" not in browser.get(f"/runs?flow={flow}").text
    assert "<button" not in browser.get(f"/runs/cancel?flow={flow}").text.split("<main")[1].split("</main")[0]
    answer = browser.client.post("/runs/cancel", data={"csrf_token": token, "flow": flow})
    assert answer.status_code == 403
