"""Nodes of services: with a connector they become its action, without one an open step."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.flows.model import ActionStep, ConnectorTrigger, EmailStep, HttpStep, SetStep, Step
from app.imports.flows.reading import bring_flows
from tests.bring_flows.exports import REGISTRY, bring, export, lines, node, steps_of

HOOK = node("Hook", "webhook", 2, parameters={"path": "lead", "httpMethod": "POST", "options": {}})


def one(kind: str, version: float, parameters: dict[str, Any], **facts: Any) -> Step:
    (step,) = steps_of(export(HOOK, node("It", kind, version, parameters=parameters, **facts)))
    return step


def picked(value: str) -> dict[str, Any]:
    return {"__rl": True, "mode": "list", "value": value, "cachedResultName": "A name"}


def test_a_slack_message_keeps_channel_text_and_the_name_of_its_account() -> None:
    parameters = {
        "select": "channel",
        "channelId": picked("C024BE91L"),
        "text": "=New lead: {{ $json.body.email }}",
        "otherOptions": {},
    }
    export_ = export(
        HOOK, node("It", "slack", 2.3, parameters=parameters, credentials={"slackApi": {"name": "Team"}})
    )
    (draft,) = bring(export_).drafts
    (step,) = draft.file.definition.steps
    assert isinstance(step, ActionStep)
    assert (step.connector, step.action) == ("slack", "post_message")
    assert {key: mapping.value for key, mapping in step.input.items()} == {
        "channel": "C024BE91L",
        "text": "New lead: {{trigger:$['email']}}",
    }
    (connection,) = draft.file.connections.values()
    assert (connection.connector, connection.name) == ("slack", "Team")
    assert step.gaps == []


CASES: list[tuple[str, float, dict[str, Any], str, dict[str, str]]] = [
    ("telegram", 1.2, {"chatId": "5", "text": "Hi"}, "send_message", {"chat_id": "5", "text": "Hi"}),
    ("gmail", 2.1, {"sendTo": "a@example.com", "subject": "S", "message": "<b>x</b>"}, "send_email",
     {"to": "a@example.com", "subject": "S", "html": "<b>x</b>"}),
    ("gmail", 2.1, {"operation": "markAsRead", "messageId": "7"}, "change_labels",
     {"message": "7", "remove": "UNREAD"}),
    ("twilio", 1, {"to": "+1", "from": "+2", "message": "Hi"}, "send_message",
     {"to": "+1", "from": "+2", "body": "Hi"}),
    ("hubspot", 2.1, {"email": "a@example.com", "additionalFields": {"firstName": "Ana"}},
     "create_or_update_contact", {"email": "a@example.com", "firstname": "Ana"}),
    ("github", 1.1, {"owner": picked("casa"), "repository": picked("shop"), "title": "T", "body": "B"},
     "create_issue", {"owner": "casa", "repo": "shop", "title": "T", "body": "B"}),
    ("airtable", 2.1, {"operation": "get", "base": picked("app1"), "table": picked("tbl1"), "id": "rec1"},
     "find_record", {"base_id": "app1", "table_id": "tbl1", "formula": "RECORD_ID()='rec1'"}),
    ("discord", 2, {"resource": "message", "channelId": picked("9"), "content": "Hi"}, "send_message",
     {"channel_id": "9", "content": "Hi"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "version", "parameters", "action", "wanted"), CASES)
def test_an_operation_becomes_the_action_of_the_connector(
    kind: str, version: float, parameters: dict[str, Any], action: str, wanted: dict[str, str]
) -> None:
    step = one(kind, version, parameters)
    assert isinstance(step, ActionStep)
    assert REGISTRY.find_action(step.connector, step.action) is not None
    assert step.action == action
    assert {key: mapping.value for key, mapping in step.input.items() if key in wanted} == wanted


def test_columns_become_further_fields_and_fields_of_a_record_are_found_again() -> None:
    table = {"columns": {"mappingMode": "defineBelow", "value": {"Mail": "={{ $json.body.email }}"}}}
    create = node(
        "Add", "airtable", 2.1,
        parameters={"operation": "create", "base": picked("app1"), "table": picked("tbl1"), **table},
    )  # fmt: skip
    told = {"assignments": {"assignments": [{"name": "x", "value": "={{ $json.Mail }} {{ $json.id }}"}]}}
    add, use = steps_of(export(HOOK, create, node("Use", "set", 3.4, parameters=told)))
    assert isinstance(add, ActionStep)
    assert [(row.name, row.mapping.value) for row in add.extra] == [("Mail", "{{trigger:$['email']}}")]
    assert isinstance(use, SetStep)
    assert use.values[0].mapping.value == "{{s1:$['fields']['Mail']}} {{s1:$['id']}}"


def test_a_service_without_a_connector_keeps_all_it_was_given_and_stays_open() -> None:
    parameters = {"domain": "={{ $json.body.domain }}", "operation": "domainSearch"}
    brought = bring(export(HOOK, node("It", "hunter", 1, parameters=parameters)))
    (step,) = brought.drafts[0].file.definition.steps
    assert isinstance(step, HttpStep)
    assert step.request.url.value == "https://api.hunter.io/v2/"
    assert [(row.name, row.mapping.value) for row in step.request.body] == [
        ("domain", "{{trigger:$['domain']}}"),
        ("operation", "domainSearch"),
    ]
    assert step.gaps[0].reason == "There is no connector for hunter yet."
    assert lines(brought) == [("It (hunter)", "It")]
    assert brought.report.as_json()["carried"] == 1


def test_an_action_that_comes_later_is_found_by_its_name() -> None:
    class Later:
        """The registry, with a connector for Google Calendar."""

        def find(self, key: str) -> Any:
            return REGISTRY.find("slack") if key == "google_calendar" else REGISTRY.find(key)

        def find_action(self, connector: str, action: str) -> Any:
            known = (connector, action) == ("google_calendar", "create_event")
            return REGISTRY.find_action("slack", "post_message") if known else None

        def find_trigger(self, connector: str, trigger: str) -> Any:
            return None

    text = orjson.dumps(export(HOOK, node("It", "googleCalendar", 1.3, parameters={"start": "x"}))).decode()
    (draft,) = bring_flows(text, Later()).drafts
    (step,) = draft.file.definition.steps
    assert isinstance(step, ActionStep)
    assert step.action == "create_event"


def test_a_mail_over_smtp_goes_as_text_and_says_so() -> None:
    parameters = {
        "toEmail": "={{ $json.body.email }}",
        "fromEmail": "shop@example.com",
        "subject": "Thanks",
        "html": "=<p>Hello {{ $json.body.name }}</p><p>Bye</p>",
        "options": {},
    }
    step = one("emailSend", 2.1, parameters, credentials={"smtp": {"name": "Mailbox"}})
    assert isinstance(step, EmailStep)
    assert step.to.value == "{{trigger:$['email']}}"
    assert step.text.value == "Hello {{trigger:$['name']}}\nBye"
    assert [gap.what for gap in step.gaps] == ["the form of the mail (HTML)"]


def test_a_trigger_of_a_service_becomes_the_connectors_own() -> None:
    sheet = {
        "documentId": picked("1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgVE2upms"),
        "sheetName": picked("Leads"),
    }
    told = {"assignments": {"assignments": [{"name": "x", "value": "={{ $json.Email }}"}]}}
    data = export(
        node("Rows", "googleSheetsTrigger", 1, parameters=sheet), node("Use", "set", 3.4, parameters=told)
    )
    (draft,) = bring(data).drafts
    trigger = draft.file.definition.trigger
    assert isinstance(trigger, ConnectorTrigger)
    assert (trigger.connector, trigger.trigger) == ("google_sheets", "changed_row")
    assert trigger.input["sheet"].value == "Leads"
    (use,) = draft.file.definition.steps
    assert isinstance(use, SetStep)
    assert use.values[0].mapping.value == "{{trigger:$['cells']['Email']}}"


def test_dates_hashes_and_calls_of_other_flows_become_steps() -> None:
    mail = "={{ $('Hook').item.json.body.email }}"
    add = {"operation": "addToDate", "magnitude": "={{ $json.body.at }}", "duration": 3, "timeUnit": "days"}
    other = {"__rl": True, "value": "x", "cachedResultName": "Other"}
    nodes = [
        node("Later", "dateTime", 2, parameters=add),
        node("Print", "crypto", 1, parameters={"type": "SHA256", "value": mail}),
        node(
            "Call",
            "executeWorkflow",
            1.2,
            parameters={"workflowId": other, "workflowInputs": {"value": {"mail": mail}}},
        ),
    ]
    later, printed, call = steps_of(export(HOOK, *nodes))
    assert isinstance(later, SetStep)
    assert later.values[0].mapping.value == '{{trigger:$[\'at\'] | add_time:"3","days"}}'
    assert isinstance(printed, SetStep)
    assert printed.values[0].mapping.value == "{{trigger:$['email'] | sha256}}"
    assert isinstance(call, HttpStep)
    assert call.request.body[0].mapping.value == "{{trigger:$['email']}}"
    assert call.gaps[0].what == "the call of 'Other'"


@pytest.mark.parametrize("kind", ["extractFromFile", "postgres", "executeCommand", "openAi", "n8n", "form"])
def test_what_nothing_here_does_is_an_open_step_with_the_reason(kind: str) -> None:
    brought = bring(export(HOOK, node("It", kind, 1, parameters={"prompt": "={{ $json.body.text }}"})))
    (step,) = brought.drafts[0].file.definition.steps
    assert isinstance(step, SetStep)
    assert step.values[0].mapping.value == "{{trigger:$['text']}}"
    assert step.gaps[0].what == f"It ({kind})"


def test_ai_nodes_and_what_serves_them_are_named() -> None:
    agent = node("Agent", "@n8n/n8n-nodes-langchain.agent", 1.7, parameters={"text": "={{ $json.body.q }}"})
    model = node("Model", "@n8n/n8n-nodes-langchain.lmChatOpenAi", 1)
    data = export(HOOK, agent, model, links={"Hook": [["Agent"]]})
    data["connections"]["Model"] = {"ai_languageModel": [[{"node": "Agent", "type": "x", "index": 0}]]}
    brought = bring(data)
    assert [line.where for line in brought.report.lines] == ["Agent", "Model"]
    assert len(brought.drafts) == 1
