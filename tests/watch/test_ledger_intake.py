"""What really comes in, through the door, by polls, schedules and by hand, is what the ledger counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.errors import DeliveryRefused
from app.intake.manual import start_run
from app.watch.ledger import Day, of_flow
from app.watch.ledger_check import check, verdicts
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService
from tests.intake.conftest import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Ids are made by the real clock, so the ledger's days are real ones."""
    server = Server(tmp_path, FakeClock(datetime.now(UTC)), FakeService())
    yield server
    server.close()


def ledger(server: Server, flow_id: str) -> Day:
    """Of two days together: midnight may come at any time."""
    found = Day("", "")
    for one in of_flow(server.database, datetime.now(UTC), flow_id, days=2):
        assert one.adds_up
        found.add(one)
    return found


def test_batches_repetitions_and_refusals_add_up(server: Server) -> None:
    flow_id = server.live({"kind": "webhook", "items": "$.items[*]", "dedupe": "$.id"})
    token = server.token(flow_id)
    server.send(token, {"items": [{"id": 1}, {"id": 2}]})
    server.send(token, {"items": [{"id": 2}, {"id": 3}, {"id": 3}]})
    server.send(token, {"items": [{"id": 1}]})
    server.send(token, {"items": []})
    for body, words in ((b"{", {}), (b"{}", {"method": "PUT"})):
        with pytest.raises(DeliveryRefused):
            server.send(token, body, **words)
    found = ledger(server, flow_id)
    assert (found.came.webhook, found.came.duplicates, found.came.refused) == (3, 3, 2)
    assert (found.received, found.became.waiting) == (8, 3)
    assert list(verdicts(server.database, datetime.now(UTC), everything=True)) == []


def test_samples_count_for_nothing_and_a_held_flow_holds(server: Server) -> None:
    flow_id = server.draft({"kind": "webhook"})
    server.send(server.token(flow_id), {"id": 1})
    assert ledger(server, flow_id).received == 0
    flow_commands.publish(SHELL, server, flow_id)
    flow_commands.switch_on(SHELL, server, flow_id)
    flow_commands.hold(SHELL, server, flow_id)
    server.send(server.token(flow_id), {"id": 2})
    assert ledger(server, flow_id).became.held == 1
    flow_commands.release(SHELL, server, flow_id)
    assert ledger(server, flow_id).became.waiting == 1


def test_polls_count_what_is_new_and_what_was_started_by_hand_is_no_test(server: Server) -> None:
    flow_id = server.live(
        {"kind": "poll", "request": {"url": "https://crm.example/contacts"}, "dedupe": "$.id"}
    )
    server.service.answers("GET", "/contacts", [{"id": 1}], [{"id": 1}, {"id": 2}, {"id": 3}])
    for _ in range(2):
        server.poll_now(flow_id)
    start_run(server, flow_id, {"id": 9})
    start_run(server, flow_id, {"id": 9}, source="test")
    found = ledger(server, flow_id)
    assert (found.came.poll, found.came.manual, found.received) == (2, 1, 3)
    assert check(server.database, datetime.now(UTC)) == []


def test_a_schedule_that_fires_is_one_record(server: Server) -> None:
    flow_id = server.live({"kind": "schedule", "when": "every 15 minutes"})
    server.clock.advance(15 * 60)
    server.intake.ticks.start_due()
    assert ledger(server, flow_id).came.schedule == 1
