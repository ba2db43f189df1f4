"""Services that ask first whether somebody is there: Slack, Meta, Zoom, Asana, Trello, X."""

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
from app.errors import DeliveryRefused
from app.storage.flows import subscriptions as store
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService, Received
from tests.intake.conftest import Server
from tests.intake.test_verification import connect, trigger

BUNDLED = Path(connectors.__file__).parent
SECRET = "b537207f20cbfa02357cf448134da559e8bd39d61597dcd5631b8012eae53e81"


@pytest.fixture
def server(tmp_path: Path, clock: FakeClock, service: FakeService) -> Iterator[Server]:
    for key in ("asana", "trello"):
        shutil.copytree(BUNDLED / key, tmp_path / "connectors" / key)
    _proving(tmp_path / "connectors" / "proving")
    server = Server(tmp_path, clock, service)
    yield server
    server.close()


def _proving(home: Path) -> None:
    """A service that asks by GET, as X does, or by POST, as Zoom does."""
    (home / "triggers").mkdir(parents=True)
    (home / "connector.yaml").write_text(
        """
key: proving
name: Proving
category: other
description: Asks for a proof.
owner: tests
docs: https://proving.example
api: {base_url: "https://api.proving.example", checked: 2026-11-21}
auth:
  - {key: app, type: none, label: App, fields: [{key: app_secret, label: Secret, secret: true}]}
"""
    )
    (home / "triggers" / "event.yaml").write_text(
        """
key: event
label: Event
description: Something happened.
docs: https://proving.example
kind: webhook
subscribe: {directions: Enter the address.}
verify: {scheme: hmac_sha256, secret: app_secret, header: X-Signature, prefix: "sha256=", encoding: base64}
handshakes:
  - method: GET
    answer: query:crc_token
    proof: {secret: app_secret, signed_as: response_token, prefix: "sha256=", encoding: base64}
    signed: false
  - method: POST
    when: {$.event: endpoint.url_validation}
    answer: $.payload.plainToken
    proof: {secret: app_secret, signed_as: encryptedToken, plain_as: plainToken}
    signed: false
"""
    )


def asana(server: Server) -> str:
    connection = connect(server, "asana", token="t0ken-of-asana")
    return server.live(trigger("asana", "task_event", connection, input={"project": "7"}))


def knock(server: Server, token: str) -> Any:
    return server.send(token, b"{}", headers={"X-Hook-Secret": SECRET})


def tell(server: Server) -> None:
    for future in server.intake.ticks.tell_services():
        future.result(60)


def events(server: Server, flow_id: str, secret: str = SECRET) -> Any:
    event = {"action": "changed", "resource": {"gid": "1"}, "created_at": "2026-03-02T09:00:00Z"}
    body = orjson.dumps({"events": [event]})
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return server.send(server.token(flow_id), body, headers={"X-Hook-Signature": signature})


def test_asana_hands_over_its_secret_while_it_is_told_and_signs_with_it(
    server: Server, service: FakeService
) -> None:
    flow_id = asana(server)
    seen: list[Any] = []

    def create(received: Received) -> Any:
        seen.append(knock(server, server.token(flow_id)))  # Asana calls us before it answers
        return (201, {"data": {"gid": "42"}})

    service.answers("GET", "*", {"data": {"workspace": {"gid": "9"}}}, {"data": []})
    service.answers("POST", "/api/1.0/webhooks", create)
    tell(server)
    assert seen[0].status == 200
    assert seen[0].reply_headers == {"X-Hook-Secret": SECRET}
    assert events(server, flow_id).status == 200
    assert len(server.events()) == 1
    with pytest.raises(DeliveryRefused):
        events(server, flow_id, "another-secret")


def test_a_secret_that_comes_at_another_time_counts_for_nothing(server: Server, service: FakeService) -> None:
    flow_id = asana(server)
    with pytest.raises(DeliveryRefused, match="nobody asked"):
        knock(server, server.token(flow_id))
    with pytest.raises(DeliveryRefused):
        events(server, flow_id)
    with server.database.read() as db:
        row = store.current(db, flow_id)
    assert row is not None
    assert server.deliveries()[0][0] == "refused"
    assert SECRET.encode() not in (server.last_delivery().body or b"")


def test_trello_looks_with_head_whether_somebody_is_there(server: Server) -> None:
    connection = connect(server, "trello", api_key="k", token="t", api_secret="s")
    flow_id = server.live(trigger("trello", "board_event", connection, input={"board_id": "7"}))
    answer = server.send(server.token(flow_id), b"", method="HEAD")
    assert (answer.status, answer.reply, server.events()) == (200, b"", [])


def test_x_wants_its_token_signed(server: Server) -> None:
    connection = connect(server, "proving", app_secret="consumer-secret")
    token = server.token(server.live(trigger("proving", "event", connection)))
    answer = server.send(token, b"", method="GET", query="crc_token=abc%2B1")
    signed = base64.b64encode(hmac.new(b"consumer-secret", b"abc+1", hashlib.sha256).digest()).decode()
    assert orjson.loads(answer.reply or b"") == {"response_token": f"sha256={signed}"}
    assert answer.reply_type == "application/json"


def test_zoom_wants_its_token_back_plain_and_signed(server: Server) -> None:
    connection = connect(server, "proving", app_secret="zoom-secret")
    token = server.token(server.live(trigger("proving", "event", connection)))
    asked = {"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"}}
    answer = server.send(token, asked)
    signed = hmac.new(b"zoom-secret", b"qgg8vlvZRS6UYooatFL8Aw", hashlib.sha256).hexdigest()
    assert orjson.loads(answer.reply or b"") == {
        "plainToken": "qgg8vlvZRS6UYooatFL8Aw",
        "encryptedToken": signed,
    }


@pytest.mark.parametrize(("method", "query"), [("GET", ""), ("GET", "crc_token=")])
def test_nothing_is_signed_where_nothing_was_asked(server: Server, method: str, query: str) -> None:
    connection = connect(server, "proving", app_secret="consumer-secret")
    token = server.token(server.live(trigger("proving", "event", connection)))
    with pytest.raises(DeliveryRefused):
        server.send(token, b"", method=method, query=query)
