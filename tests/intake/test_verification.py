"""Genuine deliveries pass, everything else is refused; services that knock get their answer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import connectors
from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.errors import DeliveryRefused
from app.storage.connections.connections import create_connection
from app.storage.tables.types import to_ms
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService
from tests.intake.conftest import Server

SECRET = "s3cret-of-the-shop"
BUNDLED = Path(connectors.__file__).parent


@pytest.fixture
def server(tmp_path: Path, clock: FakeClock, service: FakeService) -> Iterator[Server]:
    """With the connectors that come along."""
    for key in ("shopify", "slack", "mailchimp", "hubspot"):
        shutil.copytree(BUNDLED / key, tmp_path / "connectors" / key)
    server = Server(tmp_path, clock, service)
    yield server
    server.close()


def connect(server: Server, connector: str, public: dict[str, str] | None = None, **secrets: str) -> str:
    connection_id = f"con_{connector}"
    book = server.connections
    sealed = server.vault.seal(orjson.dumps(secrets), f"{connection_id}:secrets")
    auth = server.registry.get(connector).auth[0].key
    server.database.write(
        lambda db: create_connection(
            db,
            connection_id=connection_id,
            connector=connector,
            name="Shop",
            auth=auth,
            public=public or {},
            sealed=sealed,
            owner_id=None,
            now=server.clock.now(),
        )
    )
    book.forget(connection_id)
    return connection_id


def trigger(connector: str, name: str, connection_id: str = "", **more: Any) -> dict[str, Any]:
    return {
        "kind": "connector",
        "connector": connector,
        "trigger": name,
        "connection_id": connection_id,
    } | more


def shopify(server: Server) -> str:
    connection = connect(server, "shopify", {"shop": "acme"}, access_token="t", client_secret=SECRET)
    return server.token(server.live(trigger("shopify", "order_created", connection)))


def shopify_headers(body: bytes, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return {
        "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-Event-Id": "evt-1",
    }


def refused(server: Server, token: str, body: bytes, headers: dict[str, str]) -> DeliveryRefused:
    with pytest.raises(DeliveryRefused) as reason:
        server.send(token, body, headers=headers)
    assert server.deliveries()[-1][0] == "refused"
    return reason.value


def test_a_signed_delivery_is_taken_and_one_that_comes_again_is_known(server: Server) -> None:
    token, body = shopify(server), b'{"id": 1, "name": "#1001", "email": "ana@example.com"}'
    assert server.send(token, body, headers=shopify_headers(body)).status == 200
    assert server.send(token, body, headers=shopify_headers(body)).duplicate is True
    assert server.events() == [orjson.loads(body)]


def test_a_forged_changed_or_unsigned_delivery_is_refused(server: Server) -> None:
    token, body = shopify(server), b'{"id": 1}'
    headers = shopify_headers(body)
    for given, sent in (
        (shopify_headers(body, "another secret"), body),
        (headers, b'{"id": 2}'),
        (headers, b'{"id":1}'),
        ({**headers, "X-Shopify-Hmac-Sha256": ""}, body),
        ({}, body),
    ):
        assert refused(server, token, sent, given).status == 401
    assert server.events() == []


def test_a_delivery_for_something_else_is_accepted_and_starts_nothing(server: Server) -> None:
    token, body = shopify(server), b'{"id": 1}'
    server.send(token, body, headers={**shopify_headers(body), "X-Shopify-Topic": "orders/updated"})
    assert server.events() == []
    assert server.deliveries() == [("accepted", "It holds no record that this flow is for.")]


def test_without_a_secret_nothing_is_taken_unless_somebody_chose_to(server: Server) -> None:
    connection = connect(server, "shopify", {"shop": "acme"}, access_token="t")
    closed = server.token(server.live(trigger("shopify", "order_created", connection)))
    reason = refused(server, closed, b'{"id": 1}', {"X-Shopify-Topic": "orders/create"})
    assert (reason.status, "no signing secret" in reason.sentence) == (401, True)
    open_to_all = trigger("shopify", "order_created", connection, accept_unsigned=True)
    token = server.token(server.live(open_to_all))
    assert server.send(token, b'{"id": 1}', headers={"X-Shopify-Topic": "orders/create"}).status == 200


def test_accepting_unsigned_deliveries_does_not_accept_forged_ones(server: Server) -> None:
    connection = connect(server, "shopify", {"shop": "acme"}, access_token="t", client_secret=SECRET)
    token = server.token(server.live(trigger("shopify", "order_created", connection, accept_unsigned=True)))
    assert refused(server, token, b'{"id": 1}', shopify_headers(b"x")).status == 401


def test_the_secret_is_nowhere_in_the_record_of_a_delivery(server: Server) -> None:
    token, body = shopify(server), b'{"id": 1}'
    headers = shopify_headers(body)
    server.send(token, body, headers=headers)
    kept = orjson.dumps(server.last_delivery().headers).decode()
    assert SECRET not in kept
    assert headers["X-Shopify-Hmac-Sha256"] not in kept


# ----------------------------------------------------------------------------------- handshakes


def slack_headers(server: Server, body: bytes) -> dict[str, str]:
    at = str(to_ms(server.clock.now()) // 1000)
    digest = hmac.new(SECRET.encode(), b"v0:" + at.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Signature": f"v0={digest}", "X-Slack-Request-Timestamp": at}


def test_slack_gets_its_challenge_back_before_the_flow_is_published(server: Server) -> None:
    connection = connect(server, "slack", bot_token="t", signing_secret=SECRET)
    flow_id = server.draft(trigger("slack", "new_message", connection))
    token = server.token(flow_id)
    body = b'{"type": "url_verification", "challenge": "c-42"}'
    answered = server.send(token, body, headers=slack_headers(server, body))
    assert (answered.status, answered.reply, answered.state) == (200, b"c-42", "handshake")
    assert [outcome for outcome, _ in server.deliveries()] == ["handshake"]
    assert refused(server, token, body, {}).status == 401


def test_slack_messages_of_people_run_and_those_of_bots_do_not(server: Server) -> None:
    connection = connect(server, "slack", bot_token="t", signing_secret=SECRET)
    token = server.token(server.live(trigger("slack", "new_message", connection)))
    for number, more in enumerate(({}, {"bot_id": "B1"}, {"subtype": "message_changed"})):
        event = {"type": "message", "text": "Hi", **more}
        body = orjson.dumps({"type": "event_callback", "event_id": f"E{number}", "event": event})
        assert server.send(token, body, headers=slack_headers(server, body)).status == 200
    assert [event["event_id"] for event in server.events()] == ["E0"]


def test_an_old_slack_request_is_refused(server: Server) -> None:
    connection = connect(server, "slack", bot_token="t", signing_secret=SECRET)
    token = server.token(server.live(trigger("slack", "new_message", connection)))
    body = b'{"type": "event_callback"}'
    headers = slack_headers(server, body)
    server.clock.advance(301)
    assert refused(server, token, body, headers).status == 401


def test_mailchimp_looks_at_the_address_and_then_sends_forms(server: Server) -> None:
    connection = connect(server, "mailchimp", {"data_center": "us1"}, api_key="k-us1")
    told = trigger("mailchimp", "audience_event", connection, input={"list_id": "a1"})
    token = server.token(server.live(told))
    looked = server.send(token, b"", method="GET")
    assert (looked.status, looked.reply, server.events()) == (200, b"", [])
    form = b"type=subscribe&data[email]=ana%40example.com&data[merges][FNAME]=Ana"
    kind = "application/x-www-form-urlencoded"
    server.send(token, form, content_type=kind)
    assert server.send(token, form, content_type=kind).duplicate is True
    assert server.events()[0]["data"]["merges"] == {"FNAME": "Ana"}


def test_a_method_nobody_waits_for_is_refused(server: Server) -> None:
    with pytest.raises(DeliveryRefused) as reason:
        server.send(shopify(server), b"", method="GET")
    assert reason.value.status == 405


def test_a_connector_that_is_gone_is_named(server: Server) -> None:
    token = shopify(server)
    shutil.rmtree(server.settings.data_dir / "connectors" / "shopify")
    server.registry.reload()
    reason = refused(server, token, b"{}", {})
    assert (reason.status, "shopify" in reason.sentence) == (409, True)


# ------------------------------------------------------------------------------ signed by hand


def test_a_webhook_of_ones_own_can_ask_for_a_signature(server: Server) -> None:
    connection = connect(server, "slack", bot_token="t", signing_secret=SECRET, secret=SECRET)
    signature = {"connection_id": connection, "header": "X-Signature", "prefix": "sha256="}
    token = server.hook(signature=signature)
    body = b'{"id": 1}'
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert server.send(token, body, headers={"X-Signature": f"sha256={digest}"}).status == 202
    assert refused(server, token, body, {"X-Signature": "sha256=00"}).status == 401
    assert refused(server, token, body, {}).status == 401


def test_hubspot_changes_come_many_at_once_and_are_signed_with_the_public_address(server: Server) -> None:
    connection = connect(server, "hubspot", token="t", client_secret=SECRET)
    flow_id = server.live(trigger("hubspot", "contact_changed", connection))
    url = flow_commands.create_address(SHELL, server, flow_id)
    body = orjson.dumps(
        [{"eventId": n, "subscriptionType": "contact.propertyChange", "objectId": 5} for n in (1, 2)]
        + [{"eventId": 3, "subscriptionType": "contact.creation", "objectId": 6}]
    )
    at = str(to_ms(server.clock.now()))
    digest = hmac.new(SECRET.encode(), b"POST" + url.encode() + body + at.encode(), hashlib.sha256).digest()
    headers = {
        "X-HubSpot-Signature-v3": base64.b64encode(digest).decode(),
        "X-HubSpot-Request-Timestamp": at,
    }
    assert len(server.send(server.token(flow_id), body, headers=headers).event_ids) == 2
    assert server.send(server.token(flow_id), body, headers=headers).duplicate is True
