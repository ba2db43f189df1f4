"""The connector workshop: from an empty form to an action that flows use, without a file being touched."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
import yaml

from app.flows.model import FlowDefinition
from app.parts import Parts
from app.storage.flows.flows import add_version, create_flow
from tests.fakes.service import FakeService
from tests.web.browser import Browser

HEAD = {
    "name": "Loyalty",
    "key": "loyalty",
    "description": "Members of our loyalty programme.",
    "base_url": "https://api.loyalty.example/v1",
    "docs": "https://api.loyalty.example/docs",
    "category": "crm",
    "owner": "ana@example.com",
    "auth": "header",
    "auth_name": "X-Api-Key",
    "check_path": "/account",
    "account": "$.name",
    "limit": "60",
    "per": "1m",
}
ADD = {
    "label": "Add member",
    "key": "add_member",
    "description": "Adds a member, or changes the one with this email.",
    "idempotent": "1",
    "input.0.key": "email",
    "input.0.label": "Email",
    "input.0.type": "email",
    "input.0.required": "1",
    "input.1.key": "tier",
    "input.1.label": "Tier",
    "input.1.type": "choice",
    "input.1.choices": "gold, silver",
    "input.2.key": "",
    "method": "POST",
    "path": "/members",
    "query.0.name": "source",
    "query.0.value": "plumbline",
    "body": '{"email": "${input.email}", "tier": "${input.tier}"}',
    "body_kind": "json",
    "output.0.path": "$.id",
    "output.0.label": "Member ID",
    "output.0.type": "integer",
}
LOOK = {
    "label": "New member",
    "key": "new_member",
    "description": "Starts the flow once for every new member.",
    "every": "5m",
    "method": "GET",
    "path": "/members",
    "query.0.name": "since",
    "query.0.value": "${cursor}",
    "items": "$.members[*]",
    "dedupe": "$.id",
    "cursor_path": "$.created_at",
    "cursor_type": "datetime",
}


@pytest.fixture
def made(browser: Browser) -> Browser:
    """Somebody who has made a connector with an action and a trigger."""
    for address, form in (
        ("/connectors/new", HEAD),
        ("/connectors/loyalty/actions/new", ADD),
        ("/connectors/loyalty/triggers/new", LOOK),
    ):
        answer = browser.post(address, form)
        assert answer.status_code == 303, answer.text
    return browser


def _file(parts: Parts, name: str) -> Any:
    return yaml.safe_load((parts.settings.connectors_folder / "loyalty" / name).read_text())


def test_a_connector_made_in_forms_loads_and_is_offered_to_flows(made: Browser, parts: Parts) -> None:
    connector = parts.registry.get("loyalty")
    assert connector.name == "Loyalty"
    assert connector.auth[0].type == "api_key"
    assert connector.actions["add_member"].idempotent
    assert connector.triggers["new_member"].kind == "poll"
    assert [one.required for one in connector.actions["add_member"].input] == [True, False]
    assert "/connections/new?connector=loyalty" in made.get("/connections/new").text
    assert "Add member" in made.get("/connectors/loyalty/edit").text


def test_what_a_form_says_stands_in_the_file(made: Browser, parts: Parts) -> None:
    action = _file(parts, "actions/add_member.yaml")
    assert action["requests"][0]["body"] == {"email": "${input.email}", "tier": "${input.tier}"}
    assert action["requests"][0]["query"] == {"source": "plumbline"}
    assert action["input"][1]["choices"] == ["gold", "silver"]
    trigger = _file(parts, "triggers/new_member.yaml")
    assert trigger["cursor"] == {"start": "now", "path": "$.created_at", "type": "datetime"}
    assert _file(parts, "connector.yaml")["limits"] == [
        {"key": "calls", "default": True, "requests": 60, "per": "1m"}
    ]


def test_saving_a_form_anew_loses_nothing_that_it_does_not_show(made: Browser, parts: Parts) -> None:
    text = (parts.settings.connectors_folder / "loyalty/actions/add_member.yaml").read_text()
    richer = text.replace("key: email\n", "key: email\n  longest: 200\n") + "identity: [email]\n"
    assert made.post("/connectors/loyalty/files/actions/add_member.yaml", {"text": richer}).status_code == 303
    assert made.post("/connectors/loyalty/actions/add_member", {**ADD, "label": "Join"}).status_code == 303
    action = parts.registry.get("loyalty").actions["add_member"]
    assert (action.label, action.identity, action.input[0].longest) == ("Join", ("email",), 200)


def _connect(browser: Browser) -> str:
    form = {"connector": "loyalty", "name": "Our club", "auth": "api_key", "field.api_key": "k-123"}
    made = browser.post("/connections/new", form)
    assert made.status_code == 303, made.text
    return str(made.location).rpartition("/")[2].partition("?")[0]


def test_an_operation_is_tried_with_a_connection_and_its_fields_are_taken(
    made: Browser, parts: Parts, service: FakeService
) -> None:
    service.answers("POST", "/v1/members", {"id": 7, "member": {"email": "ana@example.com", "tags": ["vip"]}})
    parts.engine.start()
    page = made.post(
        "/connectors/loyalty/actions/add_member/try",
        {"connection": _connect(made), "input.email": "ana@example.com", "input.tier": "gold"},
    ).text
    sent = service.requests[-1]
    assert (sent.method, sent.path) == ("POST", "/v1/members")
    assert sent.headers["x-api-key"] == "k-123"
    assert "k-123" not in page
    assert "Let later steps pick these fields" in page
    answer = made.post(
        "/connectors/loyalty/actions/add_member/fields",
        {"sample": '{"id": 7, "member": {"email": "ana@example.com", "tags": ["vip"]}}'},
    )
    assert answer.status_code == 303
    paths = {one.path: one.type for one in parts.registry.get("loyalty").actions["add_member"].output.fields}
    assert paths == {"$.id": "integer", "$.member.email": "string", "$.member.tags": "list"}


def test_a_trial_of_a_trigger_reads_the_answer_as_the_poll_will(
    made: Browser, parts: Parts, service: FakeService
) -> None:
    service.answers("GET", "/v1/members", {"members": [{"id": 7, "created_at": "2026-11-20T08:00:00Z"}]}, {})
    parts.engine.start()
    address, trial = "/connectors/loyalty/triggers/new_member/try", {"connection": _connect(made)}
    assert "1 record found" in made.post(address, trial).text
    page = made.post(address, trial).text
    assert "The answer has nothing at $.members[*]" in page
    assert "Let later steps pick these fields" not in page


def test_a_refused_trial_says_why(made: Browser, parts: Parts, service: FakeService) -> None:
    service.answers("POST", "/v1/members", (401, {"message": "no such key"}))
    parts.engine.start()
    trial = {"connection": _connect(made), "input.email": "ana@example.com"}
    page = made.post("/connectors/loyalty/actions/add_member/try", trial).text
    assert "401" in page
    nothing = made.post("/connectors/loyalty/actions/add_member/try", {**trial, "input.email": "ana"}).text
    assert "Nothing was sent" in nothing
    assert [one.path for one in service.requests if one.method == "POST"] == ["/v1/members"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"key": "Loyalty Club"}, "small letters"),
        ({"key": "hubspot"}, "already"),
        ({"key": "../../etc"}, "small letters"),
        ({"base_url": "ftp:/nowhere"}, "cannot be used"),
        ({"base_url": "https://${input.host}"}, "cannot be used"),
        ({"limit": "many"}, "not a number of calls"),
        ({"per": "an hour"}, "length of time"),
        ({"account": "name"}, "cannot be used"),
        ({"name": ""}, "cannot be used"),
    ],
)
def test_a_mistake_in_the_connector_is_told_and_nothing_is_made(
    browser: Browser, parts: Parts, change: dict[str, str], says: str
) -> None:
    answer = browser.post("/connectors/new", HEAD | change)
    assert answer.status_code == 422
    assert says in answer.text
    assert HEAD["description"] in answer.text
    folder = parts.settings.connectors_folder
    assert not folder.exists() or list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"body": '{"email": }'}, "not JSON"),
        ({"body": '{"email": "${input.mail}"}'}, "mail"),
        ({"path": "members"}, "has to begin with /"),
        ({"key": "x/../../y"}, "small letters"),
        ({"key": "add_member"}, "already"),
        ({"output.0.path": "$.["}, "cannot be used"),
        ({"input.1.key": "email"}, "twice"),
        ({"input.1.choices": ""}, "neither choices"),
    ],
)
def test_a_mistake_in_an_action_is_told_and_the_connector_stays_whole(
    made: Browser, parts: Parts, change: dict[str, str], says: str
) -> None:
    before = parts.registry.hash_of("loyalty")
    answer = made.post("/connectors/loyalty/actions/new", ADD | {"key": "other"} | change)
    assert answer.status_code == 422
    assert says in answer.text
    parts.registry.reload()
    assert parts.registry.hash_of("loyalty") == before
    assert parts.registry.find("loyalty") is not None


def test_a_connector_of_ours_is_changed_as_a_copy_and_comes_back(browser: Browser, parts: Parts) -> None:
    assert "This connector comes with Plumbline" in browser.get("/connectors/slack/edit").text
    text = (parts.registry.shelf_of("slack").folder / "connector.yaml").read_text()  # type: ignore[union-attr]
    changed = text.replace("name: Slack", "name: Our Slack", 1)
    assert browser.post("/connectors/slack/files/connector.yaml", {"text": changed}).status_code == 303
    assert parts.registry.get("slack").name == "Our Slack"
    assert parts.registry.get("slack").actions
    assert browser.post("/connectors/slack/remove").status_code == 303
    assert parts.registry.get("slack").name == "Slack"


def test_a_file_with_a_mistake_is_shown_again_with_its_place(made: Browser, parts: Parts) -> None:
    answer = made.post("/connectors/loyalty/files/actions/add_member.yaml", {"text": "key: add_member\n: :"})
    assert answer.status_code == 422
    assert "line 2" in answer.text
    assert parts.registry.find_action("loyalty", "add_member") is not None
    for name in ("../secret.yaml", "actions/../../x.yaml", "icon.svg", "actions/x.txt"):
        assert made.get(f"/connectors/loyalty/files/{name}").status_code == 404


def test_a_connector_that_is_used_stays(made: Browser, parts: Parts) -> None:
    definition = FlowDefinition.model_validate(
        {
            "name": "Members",
            "trigger": {"kind": "manual"},
            "steps": [{"id": "s1", "kind": "action", "connector": "loyalty", "action": "add_member"}],
        }
    )
    now = parts.clock.now()
    parts.database.write(
        lambda db: create_flow(db, name="Members", definition=definition, owner_id=None, now=now)
    )
    for address in ("/connectors/loyalty/remove", "/connectors/loyalty/actions/add_member/remove"):
        answer = made.post(address)
        assert "Members" in answer.text
        assert answer.status_code >= 400
    assert made.post("/connectors/loyalty/triggers/new_member/remove").status_code == 303
    assert parts.registry.find_trigger("loyalty", "new_member") is None


def test_a_connector_is_taken_along_as_a_zip_file(made: Browser) -> None:
    answer = made.get("/connectors/loyalty/export.zip")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as packed:
        assert {"loyalty/connector.yaml", "loyalty/actions/add_member.yaml"} <= set(packed.namelist())


def test_only_administrators_come_in(made: Browser, stranger: Browser) -> None:
    assert stranger.get("/connectors/loyalty/edit").status_code in (302, 303)
    assert stranger.post("/connectors/new", HEAD).status_code in (302, 303)


def test_an_action_that_only_the_live_version_uses_stays(made: Browser, parts: Parts) -> None:
    step = {"id": "s1", "kind": "action", "connector": "loyalty", "action": "add_member"}
    flow = {"name": "Members", "trigger": {"kind": "manual"}}
    live, draft = (FlowDefinition.model_validate({**flow, "steps": steps}) for steps in ([step], []))
    now = parts.clock.now()
    flow_id = parts.database.write(
        lambda db: create_flow(db, name="Members", definition=draft, owner_id=None, now=now)
    )
    parts.database.write(lambda db: add_version(db, flow_id, live, by=None, now=now))
    assert "Members" in made.post("/connectors/loyalty/actions/add_member/remove").text
    assert parts.registry.find_action("loyalty", "add_member") is not None
