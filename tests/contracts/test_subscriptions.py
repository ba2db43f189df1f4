"""Services that can be told are told: made, found again, and ended, through the product itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import connectors
from app.catalog.format.definition import WebhookTrigger
from app.catalog.registry import Registry
from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.intake.subscriptions import calls as subscriptions_calls
from app.storage.flows import subscriptions as store
from tests.connectors.samples import connection_for
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService, Received
from tests.intake.conftest import Server
from tests.intake.test_verification import connect, trigger

BUNDLED = Path(connectors.__file__).parent
REGISTRY = Registry([("bundled", BUNDLED)])
TOLD = sorted(
    (connector.key, found.key)
    for connector in map(REGISTRY.get, sorted(REGISTRY.keys()))
    for found in connector.triggers.values()
    if isinstance(found, WebhookTrigger) and found.subscribe.create is not None
)
# What each service answers when it is asked to send, with the id that it is to be ended by.
ANSWERS: dict[str, Any] = {
    "activecampaign": {"webhook": {"id": "42"}},
    "asana": {"data": {"gid": "42"}, "X-Hook-Secret": "b537207f20cbfa02357cf448134da559"},
    "brevo": {"id": 42},
    "calendly": {"resource": {"uri": "https://api.calendly.com/webhook_subscriptions/42"}},
    "github": {"id": 42},
    "klaviyo": {"data": {"id": "42"}},
    "mailchimp": {"id": "42"},
    "pipedrive": {"status": "ok", "success": True, "data": {"id": 42}},
    "sendgrid": {"id": "42", "public_key": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"},
    "shopify": {"webhook": {"id": 42}},
    "stripe": {"id": "42", "secret": "whsec_of-the-endpoint"},
    "telegram": {"ok": True, "result": True},
    "trello": {"id": "42"},
    "typeform": {"tag": "42"},
    "webflow": {"id": "42", "secretKey": "b537207f20cbfa02357cf448134da559"},
    "woocommerce": {"id": 42},
    "zendesk": {"webhook": {"id": "42"}},
}
ME = {"resource": {"uri": "https://api.calendly.com/users/A", "current_organization": "https://o/B"}}


async def no_wait(*_: Any) -> None:
    """The clock of the tests stands still, so nobody may wait for a turn."""


@pytest.fixture
def server(
    tmp_path: Path, clock: FakeClock, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    monkeypatch.setattr(subscriptions_calls, "wait_turn", no_wait)
    for key in {key for key, _ in TOLD}:
        shutil.copytree(BUNDLED / key, tmp_path / "connectors" / key)
    server = Server(tmp_path, clock, service)
    yield server
    server.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def service() -> FakeService:
    return FakeService()


def test_these_services_are_told_by_plumbline() -> None:
    assert {key for key, _ in TOLD} == set(ANSWERS)


@pytest.mark.parametrize(("key", "name"), TOLD)
def test_a_service_is_told_when_a_flow_goes_on_and_told_to_stop_when_it_goes_off(
    server: Server, service: FakeService, key: str, name: str
) -> None:
    service.answers("*", "*", lambda received: _answer(key, received))
    flow_id = server.live(_trigger(server, key, name))
    _tell(server)
    with server.database.read() as db:
        row = store.current(db, flow_id)
    assert row is not None
    assert (row.state, row.sentence) == ("live", "")
    told = [one for one in service.requests if server.token(flow_id) in one.url + one.text]
    assert len(told) == 1, "the address was told once"
    before = len(service.requests)
    flow_commands.switch_off(SHELL, server, flow_id)
    _tell(server)
    ended = service.requests[before:]
    assert [one.method for one in ended] in (["DELETE"], ["POST"], ["GET", "DELETE"])
    assert ended[-1].path.split("/")[-1].removesuffix(".json") in ("42", "deleteWebhook")


def _answer(key: str, received: Received) -> Any:
    if received.method == "DELETE":
        return 204
    if received.path.endswith("/users/me"):
        return ME
    if "/projects/" in received.path:
        return {"data": {"gid": "1", "workspace": {"gid": "9"}}}
    if received.path.endswith("/signing_secret"):
        return {"signing_secret": {"algorithm": "SHA256", "secret": "dGhpc19pc19hX3Rlc3Q="}}
    if received.method == "GET" or received.path.endswith("getWebhookInfo"):
        return _nothing(key)
    return ANSWERS[key]


def _nothing(key: str) -> Any:
    """An empty list in the form of each service."""
    empty = {"collection": [], "webhooks": [], "data": [], "items": [], "result": {"url": ""}, "ok": True}
    return [] if key in ("github", "trello", "woocommerce") else {**empty, "success": True, "links": {}}


def _trigger(server: Server, key: str, name: str) -> dict[str, Any]:
    connector = server.registry.get(key)
    facts = connection_for(connector)
    connection = connect(server, key, dict(facts.public), **facts.secrets)
    found = connector.triggers[name]
    values = {field.key: field.default or (field.choices or ("1",))[0] for field in found.input}
    return trigger(key, name, connection, input=values)


def _tell(server: Server) -> None:
    for _ in range(5):
        for future in (futures := server.intake.ticks.tell_services()):
            future.result(60)
        if not futures:
            return
