"""The page of renamed fields: the new name is taken over, published, and what stopped is sent again."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.flows.portable.files import load
from app.parts import Parts
from app.storage.flows import flows
from app.storage.flows.renamed_fields import note_renamed
from app.storage.letters.dead_letters import cause_of
from app.storage.tables.models import BulkOrder, RenamedField
from tests.fakes.history import History
from tests.web.browser import Browser, words

NOW = {"email_address": "bo@example.com", "nickname": "Bo"}
GONE = "To: the field “email” is no longer there. It looks like it is called “email_address” now."
BODY = [
    {"name": "email", "mapping": "{{ $.email | lower }}"},
    {"name": "name", "mapping": "{{$.nickname}}"},
]
REQUEST = {"method": "POST", "url": "https://crm.example/c", "body_kind": "json", "body": BODY}
VALUES = [{"name": "mail", "mapping": "<{{trigger:$['email']}}> {{$.nickname}}"}]
FLOW = {
    "name": "Leads",
    "trigger": {"kind": "webhook"},
    "steps": [
        {"id": "s1", "kind": "http", "name": "Tell the CRM", "request": REQUEST},
        {"id": "s2", "kind": "set", "values": VALUES},
    ],
}


@pytest.fixture
def leads(parts: Parts, history: History) -> str:
    definition, now = load(FLOW), parts.clock.now()
    flow_id = parts.database.write(
        lambda db: flows.create_flow(db, name="Leads", definition=definition, owner_id=None, now=now)
    )
    flow_commands.publish(SHELL, parts, flow_id)
    with parts.database.read() as db:
        history.versions[flow_id] = flows.get_flow(db, flow_id).live_version_id or ""
    return flow_id


def noticed(parts: Parts, history: History, flow_id: str, place: str = "trigger:$['email']") -> str:
    cause = cause_of(flow_id, "s1", "invalid_payload", "field To")
    facts: dict[str, Any] = {"position": "s1", "error_kind": "invalid_payload", "sentence": GONE}
    run = history.run(flow_id, "dead", cause=cause, payload=NOW, **facts)
    found = [(place, "$['email_address']")]
    now = parts.clock.now()
    parts.database.write(lambda db: note_renamed(db, flow_id, found, run_id=run, now=now))
    return run


def take(browser: Browser, flow_id: str, path: str = "$['email_address']") -> Any:
    form = {"place": "trigger:$['email']", "new_path": path}
    return browser.post(f"/flows/{flow_id}/renamed/take", form)


def draft(parts: Parts, flow_id: str) -> Any:
    with parts.database.read() as db:
        return flows.get_flow(db, flow_id)


def test_the_page_names_the_old_the_new_and_where_it_is_used(
    browser: Browser, parts: Parts, history: History, leads: str
) -> None:
    run = noticed(parts, history, leads)
    page = browser.get(f"/flows/{leads}/renamed")
    shown = words(page.text)
    assert "step 2 · Tell the CRM, step 3 · Values The field “email” is no longer there" in shown
    assert "It looks like it is called “email_address” now. 1 run stopped because of it" in shown
    assert "email_address: bo@example.com" in shown
    assert "nickname: Bo" in shown
    assert f"/runs/{run}" in page.text


def test_taken_over_published_and_sent_again(
    browser: Browser, parts: Parts, history: History, leads: str
) -> None:
    noticed(parts, history, leads)
    assert take(browser, leads).status_code == 303
    page = browser.get(f"/flows/{leads}/renamed")
    assert "Publish as version 2" in words(page.text)
    flow = draft(parts, leads)
    assert flow.draft.steps[0].request.body[0].mapping.value == "{{$['email_address'] | lower}}"
    assert flow.draft.steps[1].values[0].mapping.value == "<{{trigger:$['email_address']}}> {{$.nickname}}"
    browser.post(f"/flows/{leads}/renamed/publish", {"revision": str(flow.draft_revision)})
    page = browser.get(f"/flows/{leads}/renamed")
    assert "Send 1 run again with version 2" in words(page.text)
    assert browser.post(f"/flows/{leads}/renamed/resend").status_code == 303
    with parts.database.read() as db:
        [order] = db.execute(select(BulkOrder.what, BulkOrder.mode, BulkOrder.version, BulkOrder.total))
    assert tuple(order) == ("replay", "failed", "current", 1)


def test_another_of_the_values_that_came_can_be_chosen_and_nothing_else(
    browser: Browser, parts: Parts, history: History, leads: str
) -> None:
    noticed(parts, history, leads)
    assert take(browser, leads, "$['made_up']").status_code == 404
    assert take(browser, leads, "$['nickname']").status_code == 303
    assert "$['nickname'] | lower" in draft(parts, leads).draft.steps[0].request.body[0].mapping.value


def test_what_is_something_else_is_not_shown_again(
    browser: Browser, parts: Parts, history: History, leads: str
) -> None:
    noticed(parts, history, leads)
    browser.post(f"/flows/{leads}/renamed/leave", {"place": "trigger:$['email']"})
    assert "No field is missing" in words(browser.get(f"/flows/{leads}/renamed").text)
    with parts.database.read() as db:
        assert db.scalar(select(RenamedField.left_alone_at)) is not None
    assert browser.post(f"/flows/{leads}/renamed/leave", {"place": "nothing"}).status_code == 404


def test_a_draft_changed_meanwhile_is_not_published(
    browser: Browser, parts: Parts, history: History, leads: str
) -> None:
    noticed(parts, history, leads)
    take(browser, leads)
    assert browser.post(f"/flows/{leads}/renamed/publish", {"revision": "1"}).status_code == 409
    assert draft(parts, leads).live_number == 1


def test_the_dead_letter_leads_there(browser: Browser, parts: Parts, history: History, leads: str) -> None:
    noticed(parts, history, leads)
    page = browser.get("/dead-letters")
    assert "Use “email_address” instead" in words(page.text)
    assert f"/flows/{leads}/renamed" in page.text


def test_a_flow_that_misses_nothing_says_so(browser: Browser, leads: str) -> None:
    assert "No field is missing" in words(browser.get(f"/flows/{leads}/renamed").text)
