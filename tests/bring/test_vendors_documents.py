"""Real vendors' documents brought in, and what the connectors made of them send, held against those
very documents by the strict checker of the contract tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from urllib.parse import urlsplit

import pytest

from app.calls.message.call import Ready
from app.catalog.fields import action_fields, check_input, ready_input
from app.catalog.format.definition import Connector
from app.imports.apis.draft import Draft
from app.imports.apis.given import Given, draft_from
from tests.bring.values import connection_to, values_of
from tests.connectors.wire import on_the_wire
from tests.contracts.documents import FOLDER, is_there, load
from tests.contracts.strict import Sent, violations
from tests.needs import material

pytestmark = pytest.mark.contracts

SAMPLED = (
    "klaviyo.json",
    "iterable.json",
    "shopify.json",
    "asana.json",
    "braze.json",
    "brevo.json",
    "calendly.json",
    "github.json",
    "google-calendar.json",
    "hubspot-contacts.json",
    "mailchimp.json",
    "microsoft-teams-graph.json",
    "openweather-forecast.json",  # which has operations on two hosts
    "pipedrive.json",
    "sendgrid.json",
    "slack.json",
    "stripe.json",
    "telegram.json",
    "trello.json",
    "twilio.json",
    "woocommerce.json",
    "zendesk.json",
)


@cache
def brought(name: str) -> Draft:
    if not is_there(name):
        material(f"specs/{name}")
    return draft_from(Given((FOLDER / name).read_bytes(), name, "2026-11-21"))


def connector_of(draft: Draft) -> Connector:
    actions = {one.key: one.action for one in draft.usable}
    triggers = {one.trigger["key"]: one.trigger for one in draft.usable if one.trigger}
    return Connector.model_validate({**draft.head, "actions": actions, "triggers": triggers})


def base_of(name: str, url: str) -> str:
    """What stands before the paths of the document; a variable of its server may be anything."""
    data = load(name).data
    if "swagger" in data:
        return str(data.get("basePath", "")).rstrip("/")
    server = str((data.get("servers") or [{"url": ""}])[0]["url"])
    path = re.sub(r"^(https?://[^/]*|\{[^}]*\})", "", server).rstrip("/")
    pattern = "".join(
        "[^/]+" if one.startswith("{") else re.escape(one) for one in re.split(r"(\{.*?\})", path)
    )
    found = re.match(pattern, urlsplit(url).path)
    return found[0] if found else path


def known_faults(draft: Draft) -> tuple[str, ...]:
    """What the checker says although the request is right: a key in the query that only the security
    scheme names, and headers that every call carries."""
    keys = [auth.get("name") for auth in draft.head["auth"] if auth.get("location") == "query"]
    return (
        *(f"query/{key}: the document has no such" for key in keys),
        "header/User-Agent",
        "header/Content-Type",
    )


def sent_by(draft: Draft, *, full: bool) -> Iterator[tuple[str, Ready]]:
    connector = connector_of(draft)
    connection = connection_to(connector, 0)
    for one in draft.usable:
        action = connector.actions[one.key]
        values = values_of(one, action, full=full)
        assert [problem.sentence for problem in check_input(action, values)] == [], one.title
        scope = {"input": ready_input(action, values), "fields": action_fields(action, values)}
        yield one.title, on_the_wire(connector, action.requests[0], scope, connection)


def complaints(name: str, *, full: bool = False) -> dict[str, list[str]]:
    wrong = {}
    for title, ready in sent_by(brought(name), full=full):
        request = Sent(ready.method, ready.url, ready.headers, ready.body)
        found = violations(load(name), base_of(name, ready.url), request)
        if found := [one for one in found if not one.startswith(known_faults(brought(name)))]:
            wrong[title] = found
    return wrong


@pytest.mark.parametrize("name", SAMPLED)
def test_nearly_every_operation_of_a_vendors_document_can_be_used(name: str) -> None:
    draft = brought(name)
    assert len(draft.usable) >= 0.95 * len(draft.operations)
    assert all(len(one.reason) > 20 for one in draft.refused)


@pytest.mark.parametrize("name", SAMPLED)
def test_what_an_imported_action_sends_keeps_to_the_document(name: str) -> None:
    assert complaints(name) == {}
