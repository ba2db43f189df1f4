"""Publishing, switching, addresses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.errors import FlowInvalid, NotFound
from app.storage.flows import flows, triggers
from app.storage.flows.triggers import TriggerRow
from app.storage.people import audit
from tests.intake.conftest import Server

SCHEDULE = {"kind": "schedule", "when": "every day at 07:00"}


def poll(url: str = "https://api.example/items", **more: Any) -> dict[str, Any]:
    return {"kind": "poll", "request": {"url": url}, "every_s": 300, **more}


def row(server: Server, flow_id: str) -> TriggerRow:
    with server.database.read() as db:
        found = triggers.get_trigger(db, flow_id)
    assert found is not None
    return found


def test_publishing_makes_the_draft_live_under_the_next_number(server: Server) -> None:
    flow_id = server.draft({"kind": "webhook"})
    assert flow_commands.publish(SHELL, server, flow_id) == 1
    assert server.edit(flow_id, {"kind": "webhook"}, name="Second") == 2
    with server.database.read() as db:
        flow = flows.get_flow(db, flow_id)
        live = flows.live_definition(db, flow_id)
        actions = [entry.action for entry in audit.entries(db, noun="flow", noun_id=flow_id)]
    assert live is not None
    assert (flow.live_number, flow.is_on, live.name) == (2, False, "Second")
    assert actions.count("published") == 2


def test_a_flow_with_problems_does_not_go_live_and_all_of_them_are_said(server: Server) -> None:
    flow_id = server.draft({"kind": "schedule", "when": "whenever"}, steps=[])
    with pytest.raises(flow_commands.PublishRefused) as reason:
        flow_commands.publish(SHELL, server, flow_id)
    assert {problem.field for problem in reason.value.problems} == {"when", "steps"}
    assert "And 1 more." in reason.value.sentence
    with server.database.read() as db:
        assert flows.live_definition(db, flow_id) is None


def test_a_flow_that_was_never_published_cannot_be_switched_on(server: Server) -> None:
    flow_id = server.draft({"kind": "webhook"})
    with pytest.raises(FlowInvalid, match="never published"):
        flow_commands.switch_on(SHELL, server, flow_id)


def test_a_flow_nobody_made_cannot_be_published(server: Server) -> None:
    commands = (flow_commands.publish, flow_commands.switch_on, flow_commands.switch_off)
    for command in (*commands, flow_commands.replace_address):
        with pytest.raises(NotFound):
            command(SHELL, server, "flow_none")


def test_switching_twice_is_as_switching_once(server: Server) -> None:
    flow_id = server.live(SCHEDULE)
    due = row(server, flow_id).next_due_at
    server.clock.advance(3 * 86400)
    flow_commands.switch_on(SHELL, server, flow_id)
    assert row(server, flow_id).next_due_at == due
    for _ in range(2):
        flow_commands.switch_off(SHELL, server, flow_id)
    assert (row(server, flow_id).is_on, row(server, flow_id).next_due_at) == (False, None)


def test_a_hold_is_felt_by_the_next_delivery_and_a_release_sends_all_on(server: Server) -> None:
    flow_id = server.live({"kind": "webhook"})
    token = server.token(flow_id)
    server.send(token)
    flow_commands.hold(SHELL, server, flow_id)
    for _ in range(3):
        server.send(token)
    assert [reason for _, reason in server.runs()] == ["", "held_flow", "held_flow", "held_flow"]
    assert flow_commands.release(SHELL, server, flow_id) == 3
    server.send(token)
    assert server.runs() == [("queued", "")] * 5
    assert len(server.engine.tickets) == 5
    with pytest.raises(NotFound):
        flow_commands.hold(SHELL, server, "flow_none")


def test_an_address_is_made_once_and_shown_again(server: Server) -> None:
    flow_id = server.draft({"kind": "webhook"})
    address = flow_commands.create_address(SHELL, server, flow_id)
    assert address.startswith("https://p.example/hooks/")
    assert flow_commands.create_address(SHELL, server, flow_id) == address
    assert flow_commands.create_address(SHELL, server, flow_id) == address


def test_a_schedule_is_due_in_the_zone_of_the_flow(server: Server) -> None:
    flow_id = server.live(SCHEDULE, time_zone="Europe/Berlin")
    due = row(server, flow_id).next_due_at
    assert due is not None
    assert due.isoformat() == "2026-03-03T06:00:00+00:00"


def test_publishing_the_same_schedule_keeps_the_moment_and_another_one_changes_it(server: Server) -> None:
    flow_id = server.live(SCHEDULE)
    due = row(server, flow_id).next_due_at
    assert due is not None
    server.clock.advance(22 * 3600 + 1)  # a second past 07:00: the tick has not come by yet
    server.edit(flow_id, SCHEDULE, description="Other words")
    assert row(server, flow_id).next_due_at == due
    server.edit(flow_id, {**SCHEDULE, "when": "every day at 08:00"})
    assert row(server, flow_id).next_due_at == due + timedelta(hours=1)


def test_what_a_poll_has_read_survives_publishing_pausing_and_a_new_filter(server: Server) -> None:
    flow_id = server.live(poll())
    now = server.clock.now()
    server.database.write(
        lambda db: triggers.poll_succeeded(db, flow_id, cursor="c7", seeded_at=now, now=now)
    )
    server.edit(flow_id, poll("https://api.example/items?status=paid", every_s=60))
    flow_commands.switch_off(SHELL, server, flow_id)
    server.edit(flow_id, poll(every_s=60))
    flow_commands.switch_on(SHELL, server, flow_id)
    kept = row(server, flow_id)
    assert (kept.cursor, kept.seeded_at, kept.interval_s, kept.next_due_at) == ("c7", now, 60, now)


def test_another_source_is_read_as_if_for_the_first_time(server: Server) -> None:
    flow_id = server.live(poll())
    now = server.clock.now()
    server.database.write(
        lambda db: triggers.poll_succeeded(db, flow_id, cursor="c7", seeded_at=now, now=now)
    )
    server.edit(flow_id, poll("https://other.example/items"))
    assert (row(server, flow_id).cursor, row(server, flow_id).seeded_at) == (None, None)


def test_a_flow_that_turns_from_poll_to_webhook_and_back_stops_polling_meanwhile(server: Server) -> None:
    flow_id = server.live(poll())
    server.edit(flow_id, {"kind": "webhook"})
    assert row(server, flow_id).is_on is False
    server.edit(flow_id, poll())
    assert row(server, flow_id).is_on is True
    assert row(server, flow_id).next_due_at == server.clock.now()


def test_a_shorter_interval_counts_at_once(server: Server) -> None:
    flow_id = server.live(poll(every_s=86400))
    now = server.clock.now()
    tomorrow = now + timedelta(days=1)
    server.database.write(
        lambda db: triggers.put_trigger(
            db, flow_id, kind="poll", is_on=True, interval_s=86400, next_due_at=tomorrow
        )
    )
    server.edit(flow_id, poll(every_s=60))
    assert row(server, flow_id).next_due_at == now + timedelta(seconds=60)
