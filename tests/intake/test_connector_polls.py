"""Polls that connectors describe: pages, cursors, links."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import connectors
from app.intake.polls.polling import Looked
from app.storage.flows import triggers
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService
from tests.intake.conftest import Server
from tests.intake.test_verification import connect, trigger

BUNDLED = Path(connectors.__file__).parent


@pytest.fixture
def server(tmp_path: Path, clock: FakeClock, service: FakeService) -> Iterator[Server]:
    for key in ("shopify", "hubspot"):
        shutil.copytree(BUNDLED / key, tmp_path / "connectors" / key)
    server = Server(tmp_path, clock, service)
    yield server
    server.close()


def shop(server: Server) -> str:
    connection = connect(server, "shopify", {"shop": "acme"}, access_token="t0ken-of-the-shop")
    return server.live(trigger("shopify", "new_order", connection))


def look(server: Server, flow_id: str) -> Looked:
    return server.poll_now(flow_id)


def order(number: int, at: str) -> dict[str, Any]:
    return {"id": number, "name": f"#{number}", "email": f"{number}@b.c", "created_at": at}


def path_of(server: Server) -> str:
    return server.service.requests[0].path


def test_the_first_look_asks_from_now_on_and_starts_nothing(server: Server) -> None:
    flow_id = shop(server)
    server.service.answers("GET", "*", {"orders": [order(1, "2026-03-02T08:55:00Z")]})
    first = look(server, flow_id)
    assert (first.state, first.seeded, first.sentence) == ("succeeded", 1, first.sentence)
    asked = server.service.requests[0].query["created_at_min"]
    assert asked.startswith("2026-03-02T08:50:00")  # ten minutes of overlap before nine
    assert server.events() == []


def test_all_pages_are_read_and_the_oldest_record_comes_first(server: Server) -> None:
    flow_id = shop(server)
    server.service.answers("GET", "*", {"orders": []})
    look(server, flow_id)
    place = path_of(server)
    host = server.service.requests[0].host
    link = {"Link": f'<https://{host}{place}?page_info=two>; rel="next"'}
    pages = (200, {"orders": [order(3, "2026-03-02T09:03:00Z"), order(2, "2026-03-02T09:02:00Z")]}, link)
    server.service.answers("GET", "*", pages, {"orders": [order(1, "2026-03-02T09:01:00Z")]})
    second = look(server, flow_id)
    assert (second.found, second.new) == (3, 3)
    assert [event["id"] for event in server.events()] == [1, 2, 3]
    with server.database.read() as db:
        row = triggers.get_trigger(db, flow_id)
    assert row is not None
    assert row.cursor == "2026-03-02T09:03:00Z"


def test_a_look_that_fails_on_its_second_page_moves_nothing(server: Server) -> None:
    flow_id = shop(server)
    server.service.answers("GET", "*", {"orders": []})
    look(server, flow_id)
    received = server.service.requests[0]
    link = {"Link": f'<https://{received.host}{received.path}?page_info=two>; rel="next"'}
    first_page = (200, {"orders": [order(1, "2026-03-02T09:01:00Z")]}, link)
    server.service.answers("GET", "*", first_page, 500, {"orders": [order(1, "2026-03-02T09:01:00Z")]})
    failed = look(server, flow_id)
    assert (failed.state, server.events()) == ("failed", [])
    assert look(server, flow_id).new == 1


def test_a_next_page_on_another_host_is_not_followed(server: Server) -> None:
    flow_id = shop(server)
    link = {"Link": '<https://evil.example/orders?page_info=two>; rel="next"'}
    server.service.answers("GET", "*", (200, {"orders": [order(1, "2026-03-02T09:01:00Z")]}, link))
    failed = look(server, flow_id)
    assert failed.state == "failed"
    assert {received.host for received in server.service.requests} == {server.service.requests[0].host}


def test_a_broken_connection_is_not_used_and_says_so(server: Server) -> None:
    flow_id = shop(server)
    server.database.write(
        lambda db: db.exec_driver_sql("UPDATE connections SET state = 'broken', state_sentence = 'Expired.'")
    )
    server.connections.forget("con_shopify")
    failed = look(server, flow_id)
    assert (failed.state, "Expired." in failed.sentence) == ("failed", True)
    assert server.service.requests == []


def test_a_connector_that_is_gone_is_a_failure_on_record(server: Server) -> None:
    flow_id = shop(server)
    shutil.rmtree(server.settings.data_dir / "connectors" / "shopify")
    server.registry.reload()
    failed = look(server, flow_id)
    assert (failed.state, "new_order" in failed.sentence) == ("failed", True)


def test_a_search_that_wants_its_cursor_as_a_number_gets_one(server: Server) -> None:
    connection = connect(server, "hubspot", token="t")
    flow_id = server.live(trigger("hubspot", "new_contact", connection))
    server.service.answers("POST", "*", {"results": []})
    assert look(server, flow_id).state == "succeeded"
    value = server.service.requests[0].json["filterGroups"][0]["filters"][0]["value"]
    assert value == "1772441400000"  # ten minutes before nine


def test_one_record_that_changes_again_is_another_event_where_the_whole_record_counts(server: Server) -> None:
    connection = connect(server, "hubspot", token="t")
    flow_id = server.live(trigger("hubspot", "updated_contact", connection))

    def contact(at: str) -> dict[str, Any]:
        return {"results": [{"id": "7", "properties": {"lastmodifieddate": at}}]}

    server.service.answers(
        "POST", "*", {"results": []}, *[contact(f"2026-03-02T09:0{n}:00Z") for n in (1, 1, 2)]
    )
    for _ in range(4):
        look(server, flow_id)
        server.clock.advance(60)
    assert len(server.events()) == 2
