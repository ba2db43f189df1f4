"""Loading the demo: into an empty installation, again, and after a person changed things."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from app.catalog.workbench.check import check_all
from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.errors import Unavailable
from app.flows.review.flow import review
from app.parts import Parts, open_parts
from app.settings import Settings
from app.storage.connections import connections
from app.storage.flows import flows
from seed_data.load import load_demo

ROOT = Path(__file__).parents[2]
NAMES = [
    "After the purchase",
    "Lead in seconds",
    "Loyalty tier on every channel",
    "Qualified leads to the newsletter",
]


class Services:
    """Stands for the demo services: keeps where they were told to report."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}
        self.status = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.told[request.url.path] = orjson.loads(request.content)["address"]
        return httpx.Response(self.status, json={})

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self))


@pytest.fixture
def there() -> Services:
    return Services()


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    settings = Settings(data_dir=tmp_path, min_free_mb=10, demo_url="http://127.0.0.1:8090")
    opened = open_parts(settings)
    yield opened
    opened.database.close()


def listed(parts: Parts) -> list[Any]:
    with parts.database.read() as db:
        return sorted(flows.list_flows(db), key=lambda row: row.name)


def test_everything_is_there_and_switched_on(parts: Parts, there: Services) -> None:
    load_demo(parts, client=there.client)
    assert [(row.name, row.is_on, row.live_number) for row in listed(parts)] == [
        (name, True, 1) for name in NAMES
    ]
    with parts.database.read() as db:
        made = connections.list_connections(db)
    assert {row.connector for row in made} == {"demo_shop", "demo_crm", "demo_mail", "demo_chat"}
    assert {row.public["address"] for row in made} == {"http://127.0.0.1:8090"}


def test_the_flows_have_nothing_to_complain_of(parts: Parts, there: Services) -> None:
    load_demo(parts, client=there.client)
    with parts.database.read() as db:
        connected = {row.id: row.connector for row in connections.list_connections(db)}
    for row in listed(parts):
        problems = review(row.draft, parts.registry, connected)
        assert [problem.sentence for problem in problems] == [], row.name


def test_the_services_are_told_the_addresses_of_the_flows(parts: Parts, there: Services) -> None:
    load_demo(parts, client=there.client)
    by_name = {row.name: row.id for row in listed(parts)}

    def address(name: str) -> str:
        return flow_commands.create_address(SHELL, parts, by_name[name])

    assert there.told == {
        "/shop/api/webhooks/plumbline": flow_commands.create_address(
            SHELL, parts, by_name["After the purchase"]
        ),
        "/crm/api/webhooks/plumbline": flow_commands.create_address(
            SHELL, parts, by_name["Loyalty tier on every channel"]
        ),
        "/site/api/webhooks/plumbline": flow_commands.create_address(
            SHELL, parts, by_name["Lead in seconds"]
        ),
    }


def test_loading_again_changes_nothing(parts: Parts, there: Services) -> None:
    first = load_demo(parts, client=there.client)
    before = listed(parts)
    assert load_demo(parts, client=there.client) == first
    assert listed(parts) == before
    with parts.database.read() as db:
        assert len(connections.list_connections(db)) == 4


def test_what_a_person_removed_or_switched_off_stays_so(parts: Parts, there: Services) -> None:
    load_demo(parts, client=there.client)
    first, second, *_ = listed(parts)
    now = parts.clock.now()
    flow_commands.switch_off(SHELL, parts, first.id)
    flow_commands.switch_off(SHELL, parts, second.id)
    parts.database.write(lambda db: flows.delete_flow(db, second.id, now=now))
    there.told.clear()
    load_demo(parts, client=there.client)
    assert [row.name for row in listed(parts)] == [NAMES[0], NAMES[2], NAMES[3]]
    assert listed(parts)[0].is_on is False
    assert "/site/api/webhooks/plumbline" not in there.told


def test_the_connections_follow_the_services_to_another_port(parts: Parts, there: Services) -> None:
    load_demo(parts, client=there.client)
    parts = replace(parts, settings=replace(parts.settings, demo_url="http://127.0.0.1:8095"))
    load_demo(parts, client=there.client)
    with parts.database.read() as db:
        made = connections.list_connections(db)
    assert {row.public["address"] for row in made} == {"http://127.0.0.1:8095"}
    facts = parts.connections.get(made[0].id)
    assert facts.secrets


def test_services_that_do_not_answer_are_named(parts: Parts, there: Services) -> None:
    there.status = 503
    with pytest.raises(Unavailable, match=r"do not answer at http://127\.0\.0\.1:8090"):
        load_demo(parts, client=there.client)
    there.status = 200
    load_demo(parts, client=there.client)
    assert len(listed(parts)) == 4


def test_the_demo_connectors_are_in_order() -> None:
    report = check_all([ROOT / "seed_data" / "connectors"])
    found = {one.key: one.problems for one in report.connectors}
    assert found == dict.fromkeys(("demo_chat", "demo_crm", "demo_mail", "demo_shop"), ())
