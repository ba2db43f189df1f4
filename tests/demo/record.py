"""Records the exchanges of the demo's connectors with the demo's services.

python -m tests.demo.record     writes seed_data/connectors/*/cassettes anew
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from flask import Flask

from app.catalog.format.definition import Connector
from app.catalog.workbench.cassettes import Cassette
from app.errors import CallFailed
from seed_data.services import crm
from seed_data.services.process import create_services
from seed_data.services.shared import KEYS, SECRETS
from tests.connectors.player import DEMO, REGISTRY, play_action, play_check, play_lookup, play_poll, run

HOOK = "http://plumbline.example/hooks/tape"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass(frozen=True)
class Wanted:
    """`mode`: the trouble the service is in.  `before`: what was there already."""

    connector: str
    name: str
    about: str
    operation: str
    input: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    cursor: str | None = None
    mode: str = "fine"
    before: Callable[[Flask], None] = lambda app: None

    @property
    def file(self) -> Path:
        return DEMO / self.connector / "cassettes" / f"{self.name}.json"


class Live:
    """In the place of a tape: hands requests to the services and writes the exchange down."""

    def __init__(self, app: Flask, connector: str) -> None:
        self._app, self._service = app, connector.removeprefix("demo_")
        self.exchange: list[dict[str, Any]] = []
        self.differences: list[str] = []

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        key = KEYS[self._service]
        headers = {"X-Shop-Key": key, "X-Api-Key": key, "Authorization": f"Bearer {key}"}
        answer = self._app.test_client().open(
            request.url.raw_path.decode(),
            method=request.method,
            data=request.content,
            headers={"Content-Type": request.headers.get("Content-Type", "")} | headers,
        )
        self.exchange.append(_exchange(request, answer.status_code, answer.headers, answer.json))
        return httpx.Response(answer.status_code, headers=dict(answer.headers), content=answer.data)


def _exchange(request: httpx.Request, status: int, headers: Any, document: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "method": request.method,
        "path": request.url.raw_path.decode().partition("?")[0],
    }
    if request.url.params:
        asked["query"] = dict(request.url.params)
    if request.content:
        asked["json"] = json.loads(request.content)
    answered: dict[str, Any] = {"status": status, "json": document}
    if "Retry-After" in headers:
        answered["headers"] = {"Retry-After": headers["Retry-After"]}
    return {"request": asked, "response": answered}


@contextmanager
def _services(wanted: Wanted, sent: list[httpx.Request]) -> Iterator[Flask]:
    def keep(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    app = create_services(transport=httpx.MockTransport(keep), wait=lambda seconds: None)
    with app.app_context():
        wanted.before(app)
        service = wanted.connector.removeprefix("demo_")
        app.extensions["services"].faults.set_mode(service, wanted.mode)
    yield app
    app.extensions["services"].shelf.close()


def record(wanted: Wanted) -> dict[str, Any]:
    connector = REGISTRY.get(wanted.connector)
    tape: dict[str, Any] = {"about": wanted.about, "operation": wanted.operation}
    tape |= {name: value for name in ("input", "extra", "cursor") if (value := getattr(wanted, name))}
    with _services(wanted, []) as app:
        live = Live(app, wanted.connector)
        expect = _play(connector, Cassette.model_validate(tape | _PLACEHOLDER), live)
    return tape | {"exchange": live.exchange, "expect": expect}


_PLACEHOLDER = {
    "exchange": [{"request": {"method": "GET", "path": "/"}, "response": {"status": 200}}],
    "expect": {},
}


def _play(connector: Connector, cassette: Cassette, live: Any) -> dict[str, Any]:
    kind = cassette.operation.partition("/")[0]
    try:
        if kind == "actions":
            return {"output": run(play_action(connector, cassette, live))}
        if kind == "check":
            return {"account": run(play_check(connector, cassette, live))}
        if kind == "triggers":
            look = run(play_poll(connector, cassette, live))
            return {"keys": list(look.records), "cursor": look.cursor}
        found = run(play_lookup(connector, cassette, live))
    except CallFailed as failure:
        waits = {} if failure.wait_s is None else {"wait_s": failure.wait_s}
        return {"error": failure.kind, "message": failure.sentence, **waits}
    if found.options:
        return {"options": [[one.value, one.label] for one in found.options]}
    return {
        "fields": [
            {"key": one.key, "label": one.label, "type": one.type, "choices": [list(c) for c in one.choices]}
            for one in found.fields
        ]
    }


def timeless(tape: Any) -> Any:
    """Without moments and numbers of orders, which differ from recording to recording."""
    return json.loads(_TIME.sub("<moment>", json.dumps(tape, sort_keys=True)))


# -------------------------------------------------------------------------------------- deliveries


@dataclass(frozen=True)
class WantedDelivery:
    connector: str
    operation: str
    topic: str
    path: str
    form: dict[str, str]
    names: tuple[str, ...]  # of the headers that are kept
    spoil: tuple[str, str]


def record_deliveries(wanted: WantedDelivery) -> dict[str, dict[str, Any]]:
    """File name -> tape: as it was sent, and with one value changed."""
    service = wanted.connector.removeprefix("demo_")
    sent: list[httpx.Request] = []
    with _services(Wanted(wanted.connector, "", "", ""), sent) as app:
        outbox = app.extensions["services"].outbox
        outbox.point(service, "tape", wanted.topic, HOOK)
        app.test_client().post(wanted.path, data=wanted.form)
        outbox.send_due(0)
    (request,) = sent
    body = request.content.decode()
    event_id = request.headers[wanted.names[0]]
    key = wanted.operation.partition("/")[2]
    genuine = _delivery(wanted, request, body) | {"expect": {"keys": [event_id]}}
    forged = _delivery(wanted, request, body.replace(*wanted.spoil)) | {"expect": {"refused": True}}
    return {
        f"{key}.genuine": {"about": "As the service sent it.", **genuine},
        f"{key}.forged": {"about": "One value was changed on the way: refused.", **forged},
    }


def _delivery(wanted: WantedDelivery, request: httpx.Request, body: str) -> dict[str, Any]:
    service = wanted.connector.removeprefix("demo_")
    given: dict[str, Any] = {
        "headers": {name: request.headers[name] for name in ("Content-Type", *wanted.names)},
        "body": body,
        "secrets": {"signing_secret": SECRETS[service]},
    }
    if stamp := request.headers.get("X-Demo-Crm-Timestamp"):
        given["at"] = datetime.fromtimestamp(int(stamp), UTC).isoformat().replace("+00:00", "Z")
    return {"operation": wanted.operation, "delivery": given}


# ------------------------------------------------------------------------------ what is recorded

ANA = "ana@example.com"


def _contacts(app: Flask) -> None:
    for number in range(21):
        crm._upsert(f"person{number:02}@example.com", {"first_name": f"Person {number}", "stage": "mql"})


def _orders(app: Flask) -> None:
    for number in range(21):
        form = {"name": "Ana Silva", "email": f"p{number}@example.com", "sku": "TEA-EARL"}
        app.test_client().post("/shop/orders", data=form)


def _troubled(connector: str, operation: str, given: dict[str, Any]) -> list[Wanted]:
    key = operation.partition("/")[2]
    return [
        Wanted(connector, f"{key}.signed_out", "The key was revoked.", operation, given, mode="key_revoked"),
        Wanted(
            connector,
            f"{key}.too_many",
            "Too many calls: it says when to come again.",
            operation,
            given,
            mode="busy",
        ),
        Wanted(connector, f"{key}.down", "The service is being maintained.", operation, given, mode="error"),
    ]


def _lookups(connector: str, **given: dict[str, str]) -> list[Wanted]:
    return [
        Wanted(connector, key, "What the account has.", f"lookups/{key}", values)
        for key, values in given.items()
    ]


SINCE = "2026-01-01T00:00:00Z"
CONTACT = "actions/create_or_update_contact"
MEMBER = "actions/add_or_update_member"
TAPES = [
    Wanted("demo_shop", "check", "The shop says its name.", "check"),
    Wanted(
        "demo_shop",
        "get_product.found",
        "A product with its stock.",
        "actions/get_product",
        {"sku": "CUP-BLUE"},
    ),
    Wanted("demo_shop", "get_product.unknown", "No such product.", "actions/get_product", {"sku": "NO-SUCH"}),
    *_troubled("demo_shop", "actions/get_product", {"sku": "TEA-EARL"}),
    Wanted(
        "demo_shop",
        "order_poll.two_pages",
        "Two pages of orders.",
        "triggers/order_poll",
        cursor=SINCE,
        before=_orders,
    ),
    Wanted("demo_crm", "check", "The CRM says its name.", "check"),
    Wanted(
        "demo_crm",
        "create_or_update_contact.new",
        "An unknown contact is created.",
        CONTACT,
        {"email": ANA, "first_name": "Ana", "stage": "lead"},
        {"orders_count": 3, "last_purchase_on": "2026-11-21"},
    ),
    Wanted(
        "demo_crm",
        "create_or_update_contact.known",
        "A known contact keeps what is not sent.",
        CONTACT,
        {"email": "ken@example.com", "company": "Abe & Co"},
    ),
    Wanted(
        "demo_crm",
        "create_or_update_contact.unknown_field",
        "The CRM has no such field.",
        CONTACT,
        {"email": ANA},
        {"shoe_size": 38},
    ),
    *_troubled("demo_crm", CONTACT, {"email": ANA}),
    Wanted(
        "demo_crm",
        "get_contact.found",
        "A contact by email.",
        "actions/get_contact",
        {"email": "mara@example.com"},
    ),
    Wanted("demo_crm", "get_contact.unknown", "No such contact.", "actions/get_contact", {"email": ANA}),
    Wanted(
        "demo_crm",
        "stage_changed.two_pages",
        "Two pages of contacts whose stage changed.",
        "triggers/stage_changed",
        {"stage": "mql"},
        cursor=SINCE,
        before=_contacts,
    ),
    Wanted(
        "demo_crm",
        "updated_contact.two_pages",
        "Two pages of changed contacts.",
        "triggers/updated_contact",
        cursor=SINCE,
        before=_contacts,
    ),
    *_lookups("demo_crm", own_fields={}),
    Wanted("demo_mail", "check", "The tool says its name.", "check"),
    Wanted(
        "demo_mail",
        "add_or_update_member.added",
        "A new subscriber with a tag.",
        MEMBER,
        {"audience": "newsletter", "email": ANA, "tags": "mql", "first_name": "Ana"},
    ),
    Wanted(
        "demo_mail",
        "add_or_update_member.unknown_tag",
        "The audience has no such tag.",
        MEMBER,
        {"audience": "newsletter", "email": ANA, "tags": "nonsense"},
    ),
    *_troubled("demo_mail", MEMBER, {"audience": "newsletter", "email": ANA}),
    Wanted(
        "demo_mail",
        "leave_campaign.done",
        "The campaign is no longer sent to the address.",
        "actions/leave_campaign",
        {"campaign": "spring-discount", "email": ANA},
    ),
    Wanted(
        "demo_mail",
        "leave_campaign.unknown",
        "No such campaign.",
        "actions/leave_campaign",
        {"campaign": "autumn", "email": ANA},
    ),
    Wanted(
        "demo_mail",
        "enter_series.done",
        "The address enters the series.",
        "actions/enter_series",
        {"series": "welcome", "email": ANA, "first_name": "Ana"},
    ),
    Wanted(
        "demo_mail",
        "enter_series.unknown",
        "No such series.",
        "actions/enter_series",
        {"series": "autumn", "email": ANA},
    ),
    Wanted(
        "demo_mail",
        "send_message.sent",
        "One email.",
        "actions/send_message",
        {"to": ANA, "template": "order-thanks", "first_name": "Ana"},
    ),
    Wanted(
        "demo_mail",
        "send_message.unknown_template",
        "No such template.",
        "actions/send_message",
        {"to": ANA, "template": "autumn"},
    ),
    *_lookups(
        "demo_mail", audiences={}, campaigns={}, series={}, templates={}, tags={"audience": "newsletter"}
    ),
    Wanted("demo_chat", "check", "The chat says the team's name.", "check"),
    Wanted(
        "demo_chat",
        "post_message.posted",
        "A message in a channel.",
        "actions/post_message",
        {"channel": "C01", "text": "Hello"},
    ),
    Wanted(
        "demo_chat",
        "post_message.no_channel",
        "200, but the channel is not there.",
        "actions/post_message",
        {"channel": "C99", "text": "Hello"},
    ),
    *_troubled("demo_chat", "actions/post_message", {"channel": "C01", "text": "Hello"}),
    *_lookups("demo_chat", channels={}),
]
DELIVERIES = [
    WantedDelivery(
        "demo_shop",
        "triggers/new_order",
        "order.created",
        "/shop/orders",
        {"name": "Ana Silva", "email": ANA, "sku": "TEA-EARL"},
        ("X-Demo-Shop-Event-Id", "X-Demo-Shop-Topic", "X-Demo-Shop-Hmac-Sha256"),
        ("8.90", "1.00"),
    ),
    WantedDelivery(
        "demo_crm",
        "triggers/tier_changed",
        "tier.changed",
        "/crm/contacts/mara%40example.com/change",
        {"tier": "gold"},
        ("X-Demo-Crm-Event-Id", "X-Demo-Crm-Timestamp", "X-Demo-Crm-Signature"),
        ("gold", "platinum"),
    ),
]


def write(file: Path, tape: dict[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(tape, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    for wanted in TAPES:
        write(wanted.file, record(wanted))
    for delivery in DELIVERIES:
        for name, tape in record_deliveries(delivery).items():
            write(DEMO / delivery.connector / "cassettes" / f"{name}.json", tape)


if __name__ == "__main__":
    main()
