"""Steps of connectors in the builder: accounts, inputs, choices that only the account knows."""

from __future__ import annotations

import re

import pytest

from app.flows.model import ActionStep, ConnectorTrigger
from app.parts import Parts
from tests.fakes.service import FakeService
from tests.web.browser import Browser
from tests.web.flow_forms import connect, make_flow, part, send, stored

MEMBER = {"kind": "action", "connector": "mailchimp", "action": "add_or_update_member", "after": "trigger"}
TRIGGER = {"kind": "connector", "connector": "mailchimp", "trigger": "new_subscriber"}
AUDIENCES = {"lists": [{"id": "a1", "name": "Customers"}, {"id": "b2", "name": "<b>Leads</b>"}]}


def _mailchimp(parts: Parts) -> str:
    return connect(parts, "mailchimp", "api_key", {"api_key": "k-us21"}, data_center="us21")


def _step(parts: Parts, flow_id: str) -> ActionStep:
    step = stored(parts, flow_id).draft.steps[0]
    assert isinstance(step, ActionStep)
    return step


def test_the_picker_finds_actions_of_apps(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    page = browser.get(f"/flows/{flow_id}?add=trigger&q=subscriber+mailchimp").text
    assert "Add or update subscriber" in page
    assert "Web request" not in page


def test_without_an_account_the_step_begins_with_connecting_one(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    panel = part(send(browser, parts, flow_id, "steps", **MEMBER), "#panel")
    assert "There is no connection to Mailchimp yet" in panel
    assert "/connections/new?connector=mailchimp" in panel


def test_the_only_account_is_chosen_by_itself_and_usual_values_are_filled_in(
    browser: Browser, parts: Parts
) -> None:
    account = _mailchimp(parts)
    flow_id = make_flow(parts)
    panel = part(send(browser, parts, flow_id, "steps", **MEMBER), "#panel")
    assert _step(parts, flow_id).connection_id == account
    assert _step(parts, flow_id).input["status_if_new"].value == "pending"
    assert "Status of new subscribers" in panel
    assert re.search(r'value="pending" selected', panel)


def test_choices_of_the_account_are_asked_once_and_shown_as_text(
    browser: Browser, parts: Parts, service: FakeService
) -> None:
    parts.engine.start()
    service.answers("GET", "/3.0/lists", AUDIENCES)
    _mailchimp(parts)
    flow_id = make_flow(parts)
    panel = part(send(browser, parts, flow_id, "steps", **MEMBER), "#panel")
    assert "Loading the choices" in panel
    assert service.requests == []
    field = browser.part(f"/flows/{flow_id}/choices?step=s1&name=input.list_id").text
    assert '<option value="a1">Customers</option>' in field
    assert "&lt;b&gt;Leads&lt;/b&gt;" in field
    again = browser.get(f"/flows/{flow_id}?step=s1").text
    assert '<option value="a1">Customers</option>' in again
    assert len(service.to("/3.0/lists")) == 1


def test_a_service_that_refuses_leaves_a_field_to_write_in(
    browser: Browser, parts: Parts, service: FakeService
) -> None:
    parts.engine.start()
    service.answers("GET", "/3.0/lists", (401, {"detail": "Your key is gone"}))
    _mailchimp(parts)
    flow_id = make_flow(parts)
    send(browser, parts, flow_id, "steps", **MEMBER)
    field = browser.part(f"/flows/{flow_id}/choices?step=s1&name=input.list_id").text
    assert "The list could not be loaded" in field
    assert "<pill-field" in field


def test_fields_of_the_account_wait_for_what_they_depend_on(
    browser: Browser, parts: Parts, service: FakeService
) -> None:
    parts.engine.start()
    service.answers("GET", "/3.0/lists/a1/merge-fields", {"merge_fields": [{"tag": "TIER", "name": "Tier"}]})
    _mailchimp(parts)
    flow_id = make_flow(parts)
    panel = part(send(browser, parts, flow_id, "steps", **MEMBER), "#panel")
    assert "Fill in “Audience” first" in panel
    chosen = send(browser, parts, flow_id, "steps/s1?tab=fields", input__list_id__value="a1")
    assert "name=extra" in part(chosen, "#panel")
    names = browser.part(f"/flows/{flow_id}/choices?step=s1&name=extra").text
    assert '<option value="TIER">Tier</option>' in names


def test_a_choice_gives_way_to_data_and_comes_back(browser: Browser, parts: Parts) -> None:
    _mailchimp(parts)
    flow_id = make_flow(parts)
    send(browser, parts, flow_id, "steps", **MEMBER)
    asked = send(browser, parts, flow_id, "steps/s1?tab=fields", do="data:input.status")
    assert 'name="input.status.value" rows="1"' in asked.text
    mapped = {"input.status.value": "{{$.status}}"}
    send(browser, parts, flow_id, "steps/s1?tab=fields", **mapped)
    assert 'name="input.status.value" rows="1"' in browser.get(f"/flows/{flow_id}?step=s1").text
    back = send(browser, parts, flow_id, "steps/s1?tab=fields", **mapped, do="set:input.status.value=")
    assert '<select id="i-input-status"' in back.text


def test_later_steps_map_from_the_connectors_examples(browser: Browser, parts: Parts) -> None:
    _mailchimp(parts)
    flow_id = make_flow(parts)
    send(browser, parts, flow_id, "steps", **MEMBER)
    send(browser, parts, flow_id, "steps", kind="set", after="s1")
    page = browser.get(f"/flows/{flow_id}?step=s2").text
    assert "s1:$[&#39;email_address&#39;]" in page
    assert "examples" in page


def test_a_trigger_of_an_app_is_set_up(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, sample=None)
    account = _mailchimp(parts)
    send(browser, parts, flow_id, "trigger/kind", **TRIGGER)
    trigger = stored(parts, flow_id).draft.trigger
    assert isinstance(trigger, ConnectorTrigger)
    assert trigger.connection_id == account
    page = browser.get(f"/flows/{flow_id}?step=trigger&tab=fields").text
    assert "Audience" in page
    assert "Look every" in page
    usual = send(browser, parts, flow_id, "trigger", every__amount="", every__unit="hours")
    assert usual.status_code == 200
    assert send(browser, parts, flow_id, "trigger", every__amount="x", every__unit="hours").status_code == 422


def test_a_trigger_that_is_called_by_the_app_says_what_to_do_there(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, sample=None)
    send(
        browser, parts, flow_id, "trigger/kind", **TRIGGER | {"connector": "slack", "trigger": "new_message"}
    )
    page = browser.get(f"/flows/{flow_id}?step=trigger&tab=fields").text
    assert "/hooks/" in page
    assert "At Slack" in page
    assert "without a valid signature" in page


def test_a_connector_that_is_not_installed_says_so(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, {"id": "s1", "kind": "action", "connector": "gone", "action": "x"})
    page = browser.get(f"/flows/{flow_id}?step=s1&tab=fields").text
    assert "is not installed here" in page


@pytest.mark.parametrize("name", ["input.nothing", "request.url", "", "extra"])
def test_choices_of_a_field_that_has_none(browser: Browser, parts: Parts, name: str) -> None:
    flow_id = make_flow(parts, {"id": "s1", "kind": "delay"})
    answer = browser.part(f"/flows/{flow_id}/choices?step=s1&name={name}")
    assert answer.status_code == (200 if name == "extra" else 404)
