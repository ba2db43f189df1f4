"""What people do to flows: publishing, switching, holding, addresses, files."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.commands import flows as flow_commands
from app.commands.who import SHELL, Who
from app.errors import FlowInvalid, NotAllowed, NotFound, Stale
from app.flows.portable.files import FlowFile
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


# ------------------------------------------------------------------------------------------- rights

EVA = Who(id="usr_eva", name="Eva", role="viewer", via="page")
ED = Who(id="usr_ed", name="Ed", role="editor", via="page")


def test_a_viewer_is_refused_by_the_command_itself(server: Server) -> None:
    flow_id = server.live({"kind": "webhook"})
    with server.database.read() as db:
        before = (flows.get_flow(db, flow_id), len(audit.entries(db)), len(flows.list_flows(db)))
    attempts = (
        lambda: flow_commands.create(EVA, server, name="New", time_zone="UTC"),
        lambda: flow_commands.copy(EVA, server, flow_id),
        lambda: flow_commands.rename(EVA, server, flow_id, "Mine"),
        lambda: flow_commands.publish(EVA, server, flow_id),
        lambda: flow_commands.switch_off(EVA, server, flow_id),
        lambda: flow_commands.hold(EVA, server, flow_id),
        lambda: flow_commands.release(EVA, server, flow_id),
        lambda: flow_commands.replace_address(EVA, server, flow_id),
        lambda: flow_commands.set_sample(EVA, server, flow_id, {}),
        lambda: flow_commands.delete(EVA, server, flow_id),
    )
    for attempt in attempts:
        with pytest.raises(NotAllowed, match="you cannot change it"):
            attempt()
    with server.database.read() as db:
        assert (flows.get_flow(db, flow_id), len(audit.entries(db)), len(flows.list_flows(db))) == before


def test_who_did_it_is_written_down(server: Server) -> None:
    flow_id = flow_commands.create(ED, server, name="New", time_zone="UTC")
    flow_commands.rename(ED, server, flow_id, "  Leads \n to the CRM ")
    with server.database.read() as db:
        done = [(entry.user_id, entry.action) for entry in audit.entries(db, noun="flow", noun_id=flow_id)]
        assert flows.get_flow(db, flow_id).name == "Leads to the CRM"
    assert done == [("usr_ed", "renamed"), ("usr_ed", "created")]


# ---------------------------------------------------------------------------------------- publishing


def test_only_the_draft_that_was_looked_at_is_published(server: Server) -> None:
    flow_id = server.draft({"kind": "webhook"})
    with pytest.raises(Stale, match="nothing was published"):
        flow_commands.publish(SHELL, server, flow_id, revision=7)
    with server.database.read() as db:
        revision = flows.get_flow(db, flow_id).draft_revision
        assert flows.live_definition(db, flow_id) is None
    assert flow_commands.publish(SHELL, server, flow_id, revision=revision) == 1


def test_a_draft_that_changes_during_its_review_is_not_published(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The review is no part of the writer's transaction, so that somebody may edit meanwhile."""
    flow_id = server.draft({"kind": "webhook"})
    reviewed = flow_commands.review

    def edited_meanwhile(*args: Any) -> Any:
        flow_commands.rename(SHELL, server, flow_id, "Another name")
        return reviewed(*args)

    monkeypatch.setattr(flow_commands, "review", edited_meanwhile)
    with pytest.raises(Stale, match="nothing was published"):
        flow_commands.publish(SHELL, server, flow_id)
    with server.database.read() as db:
        assert flows.live_definition(db, flow_id) is None


# --------------------------------------------------------------------------------------------- files


def test_all_flows_of_a_file_come_in_or_none(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [FlowFile(server.definition({"kind": "webhook"}), {}) for _ in range(3)]
    made = flow_commands.import_files(SHELL, server, files)
    assert [one.name for one in made] == ["Welcome", "Welcome 2", "Welcome 3"]
    assert all("/hooks/" in one.hook_url for one in made)
    real, calls = flows.create_flow, iter((True, False))

    def fails_at_the_second(db: Any, **facts: Any) -> str:
        if not next(calls):
            raise FlowInvalid("It does not fit.")
        return real(db, **facts)

    monkeypatch.setattr(flows, "create_flow", fails_at_the_second)
    with pytest.raises(FlowInvalid):
        flow_commands.import_files(SHELL, server, files)
    with server.database.read() as db:
        assert len(flows.list_flows(db)) == 3
