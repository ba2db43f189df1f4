"""A connection is held with a reason and resumed, by buttons on its page."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select, update

from app.parts import Parts
from app.storage.people import audit
from app.storage.tables.models import Connection, Run, User
from tests.fakes.history import HTTP, NOON, History
from tests.web.browser import Browser, words


@pytest.fixture
def connection(parts: Parts) -> str:
    row = {"id": "con_1", "connector": "http", "name": "Our CRM", "auth": "bearer", "public": {}}
    row |= {"created_at": NOON, "updated_at": NOON}
    parts.database.write(lambda db: db.execute(insert(Connection), row))
    return "con_1"


def held(parts: Parts) -> str | None:
    with parts.database.read() as db:
        return db.execute(select(Connection.hold_reason)).scalar_one()


def test_a_connection_is_held_with_a_reason_that_its_page_shows(
    browser: Browser, parts: Parts, connection: str
) -> None:
    assert "Hold this connection" in browser.get("/connections/con_1").text
    browser.post("/connections/con_1/hold", {"reason": "  We move\x00 to   a <new> account "})
    assert held(parts) == "We move to a <new> account"
    shown = browser.get("/connections/con_1").text
    assert "“We move to a &lt;new&gt; account” Nothing goes out" in shown
    assert "Release" in shown
    assert "We move to a &lt;new&gt; account" in browser.get("/connections").text
    with parts.database.read() as db:
        (entry,) = audit.entries(db, noun="connection", noun_id="con_1")
    assert (entry.action, entry.detail["reason"]) == ("held", "We move to a <new> account")


def test_a_second_hold_does_not_change_the_reason(browser: Browser, parts: Parts, connection: str) -> None:
    browser.post("/connections/con_1/hold", {"reason": "First"})
    browser.post("/connections/con_1/hold", {"reason": "Second"})
    assert held(parts) == "First"


def test_resuming_lets_the_runs_go_on(browser: Browser, parts: Parts, connection: str) -> None:
    history = History(parts.database)
    run = history.run(
        history.flow("Leads", [HTTP]),
        "waiting",
        reason="held_connection",
        waits_for="con_1",
        sentence="Waits for the connection “Our CRM”, which somebody holds.",
    )
    browser.post("/connections/con_1/hold")
    assert held(parts) == ""
    assert "The connection “Our CRM” is held" in words(browser.get("/").text)
    page = browser.get(f"/runs/{run}").text
    assert "Open the connection" in page
    answer = browser.post("/connections/con_1/resume")
    assert "1 run that waited goes on, oldest first." in browser.get(answer.location).text
    assert held(parts) is None
    with parts.database.read() as db:
        assert db.execute(select(Run.state)).scalar_one() == "queued"
    browser.post("/connections/con_1/resume")


def test_a_broken_connection_has_to_be_mended_too(browser: Browser, parts: Parts, connection: str) -> None:
    browser.post("/connections/con_1/hold")
    parts.database.write(lambda db: db.execute(update(Connection).values(state="broken")))
    answer = browser.post("/connections/con_1/resume")
    assert "It has to be fixed before anything goes out." in browser.get(answer.location).text


def test_who_may_only_look_can_neither_hold_nor_resume(
    browser: Browser, parts: Parts, connection: str
) -> None:
    token = browser.token()
    parts.database.write(lambda db: db.execute(update(User).values(role="viewer")))
    assert "Hold this connection" not in browser.get("/connections/con_1").text
    answer = browser.client.post("/connections/con_1/hold", data={"csrf_token": token})
    assert answer.status_code == 403
    assert held(parts) is None
    assert browser.client.post("/connections/con_x/resume", data={"csrf_token": token}).status_code == 403
