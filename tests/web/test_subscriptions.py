"""What a service was told stands on the flow's page, with a button for everything that went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.flows.model import FlowDefinition, WebhookTrigger
from app.parts import Parts, open_parts
from app.settings import Settings
from app.storage.flows import subscriptions as store
from app.storage.flows.flows import create_flow
from app.storage.flows.subscriptions import SubscriptionRow
from app.storage.upkeep import alerts
from app.storage.upkeep.ledger_days import flow_names
from app.watch.looks import View, untold_services
from tests.fakes.service import FakeService
from tests.intake.letters import Letters, install
from tests.web.browser import Browser
from tests.web.flow_forms import connect, part, send, stored


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    install(tmp_path / "connectors")
    return Settings(data_dir=tmp_path, secret_key="5a" * 32, public_url="https://p.example")


@pytest.fixture
def empty(settings: Settings, service: FakeService) -> Iterator[Parts]:
    parts = open_parts(settings, transport=service.transport)
    parts.engine.start()
    yield parts
    parts.engine.stop(1)
    parts.database.close()


@pytest.fixture
def letters(service: FakeService) -> Letters:
    return Letters(service)


def make(parts: Parts, *, is_on: bool = True) -> str:
    account = connect(parts, "letters", "token", {"token": "t0ken-of-letters"})
    reading = {
        "kind": "connector",
        "connector": "letters",
        "trigger": "new_reader",
        "connection_id": account,
        "input": {"list_id": "7"},
    }

    steps = [{"id": "s1", "kind": "stop", "message": "Done."}]
    definition = FlowDefinition.model_validate({"name": "Readers", "trigger": reading, "steps": steps})
    now = parts.clock.now()
    flow_id = parts.database.write(
        lambda db: create_flow(db, name="Readers", definition=definition, owner_id=None, now=now)
    )
    flow_commands.publish(SHELL, parts, flow_id)
    if is_on:
        flow_commands.switch_on(SHELL, parts, flow_id)
        tell(parts)
    return flow_id


def tell(parts: Parts) -> None:
    for future in parts.intake.ticks.tell_services():
        future.result(60)


def row(parts: Parts, flow_id: str) -> SubscriptionRow:
    with parts.database.read() as db:
        found = store.current(db, flow_id)
    assert found is not None
    return found


def test_before_the_flow_goes_on_the_trigger_says_what_will_be_told(
    browser: Browser, parts: Parts, letters: Letters
) -> None:
    flow_id = make(parts, is_on=False)
    panel = browser.get(f"/flows/{flow_id}?step=trigger&tab=fields").text
    assert "Plumbline tells Letters where to send what happens" in panel
    assert "Set it up by hand instead" in panel
    assert browser.get(f"/flows/{flow_id}/subscription").status_code == 200


def test_once_told_it_says_since_when_and_what_was_said(
    browser: Browser, parts: Parts, letters: Letters
) -> None:
    letters.expires_at = "2036-03-09T09:00:00Z"
    flow_id = make(parts)
    panel = browser.get(f"/flows/{flow_id}?step=trigger&tab=fields").text
    assert "Letters</strong>" in panel
    assert "sends to this flow since" in panel
    assert "it is renewed before that" in panel
    page = browser.get(f"/flows/{flow_id}/subscription").text
    assert "Told where to send" in page
    assert "{{secret:subscription_address}}" in page
    assert "h1" in page


def test_each_call_has_a_page_of_its_own(browser: Browser, parts: Parts, letters: Letters) -> None:
    told = row(parts, make(parts))
    assert "/v1/lists/7/hooks" in browser.get(f"/subscriptions/{told.id}/calls/2").text
    body = browser.get(f"/subscriptions/{told.id}/calls/2/request")
    assert b"subscription_secret" in body.data
    assert browser.get("/subscriptions/sub_nothing/calls/1").status_code == 404
    assert browser.get(f"/subscriptions/{told.id}").headers["Location"].endswith("/subscription")


def look(parts: Parts) -> None:
    """As the rounds do, for this kind of alert."""
    now = parts.clock.now()
    with parts.database.read() as db:
        view = View(db, now, parts.registry, parts.space, flow_names(db))
        found = list(untold_services(view))
    kinds = {"subscription"}
    parts.database.write(lambda db: alerts.bring_up_to_date(db, found, looked_for=kinds, now=now))


def test_a_refusal_is_an_alert_that_can_be_tried_again(
    browser: Browser, parts: Parts, letters: Letters
) -> None:
    letters.service.answers("POST", "/v1/lists/7/hooks", (422, {"error": "no such list"}), letters._post)
    flow_id = make(parts)
    look(parts)
    page = browser.get("/alerts").text
    assert "“Readers” hears nothing from Letters: Letters: no such list." in page
    assert f'action="/flows/{flow_id}/subscription/again"' in page
    browser.post(f"/flows/{flow_id}/subscription/again")
    tell(parts)
    look(parts)
    assert f'action="/flows/{flow_id}/subscription/again"' not in browser.get("/alerts").text


def test_a_refusal_shows_why_with_buttons_that_mend_it(
    browser: Browser, parts: Parts, letters: Letters
) -> None:
    no = (403, {"error": "hooks need the plan <Pro>"})
    letters.service.answers("POST", "/v1/lists/7/hooks", no, letters._post)
    flow_id = make(parts)
    told = row(parts, flow_id)
    page = browser.get(f"/flows/{flow_id}/subscription").text
    assert "hooks need the plan &lt;Pro&gt;" in page
    assert f'href="/connections/{told.connection_id}"' in page
    assert "Reconnect" in page
    assert "“Readers” gets nothing" in browser.get("/").text
    browser.post(f"/flows/{flow_id}/subscription/again")
    tell(parts)
    assert row(parts, flow_id).state == "live"
    assert "gets nothing" not in browser.get("/").text


def test_a_person_may_look_after_it_by_hand_and_give_it_back(
    browser: Browser, parts: Parts, letters: Letters
) -> None:
    letters.service.answers("POST", "/v1/lists/7/hooks", (403, {"error": "no"}), letters._post)
    flow_id = make(parts)
    browser.post(f"/flows/{flow_id}/subscription/by-hand")
    assert "set this up in Letters by hand" in browser.get(f"/flows/{flow_id}/subscription").text
    browser.post(f"/flows/{flow_id}/subscription/again")
    tell(parts)
    assert row(parts, flow_id).state == "live"


def test_what_cannot_be_done_is_said(browser: Browser, parts: Parts, letters: Letters) -> None:
    flow_id = make(parts)
    browser.post(f"/flows/{flow_id}/subscription/by-hand")
    assert "The service sends already" in browser.get(f"/flows/{flow_id}/subscription").text


def test_while_it_is_told_the_page_asks_again(browser: Browser, parts: Parts, letters: Letters) -> None:
    flow_id = make(parts, is_on=False)
    flow_commands.switch_on(SHELL, parts, flow_id)
    waiting = browser.part(f"/flows/{flow_id}/subscription/state").text
    assert 'hx-trigger="every 2s"' in waiting
    tell(parts)
    assert "every 2s" not in browser.part(f"/flows/{flow_id}/subscription/state").text


def test_a_flow_without_such_a_trigger_has_no_such_page(browser: Browser, parts: Parts) -> None:
    now = parts.clock.now()

    plain = FlowDefinition(name="Plain", trigger=WebhookTrigger())
    flow_id = parts.database.write(
        lambda db: create_flow(db, name="Plain", definition=plain, owner_id=None, now=now)
    )
    assert browser.get(f"/flows/{flow_id}/subscription").status_code == 404


def test_a_draft_with_another_service_does_not_show_the_state_of_the_old_one(
    browser: Browser, parts: Parts, letters: Letters
) -> None:
    flow_id = make(parts)
    panel = part(send(browser, parts, flow_id, "trigger/kind", kind="webhook"), "#panel")
    assert "Letters" not in panel
    assert stored(parts, flow_id).draft.trigger.kind == "webhook"
