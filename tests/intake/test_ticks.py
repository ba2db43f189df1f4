"""What is due is started once, whatever the clock and the server do."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.intake.ticks import Ticks
from app.storage.flows import flows, polls, triggers
from tests.intake.conftest import Server

DAILY = {"kind": "schedule", "when": "every day at 09:30"}  # the clock starts on a Monday at 09:00 UTC


def tick(server: Server, seconds: float = 0) -> None:
    server.clock.advance(seconds)
    server.intake.ticks.start_due()


def skipped(server: Server, flow_id: str) -> list[str]:
    with server.database.read() as db:
        return [poll.sentence for poll in polls.list_polls(db, flow_id)]


def test_a_schedule_fires_at_its_moment_and_not_before(server: Server) -> None:
    server.live(DAILY)
    tick(server, 1799)
    assert server.events() == []
    tick(server, 1)
    tick(server, 1)
    assert server.events() == [
        {
            "planned_at": "2026-03-02T09:30:00Z",
            "local_date": "2026-03-02",
            "local_time": "09:30",
            "weekday": "Monday",
        }
    ]
    assert [ticket.delivery for ticket in server.engine.tickets] == [None]


def test_two_ticks_at_once_fire_once(server: Server) -> None:
    server.live(DAILY)
    server.clock.advance(1800)
    with server.database.read() as db:
        due = triggers.due(db, server.clock.now(), limit=10)
    for ticks in (server.intake.ticks, Ticks(server, server.engine)):
        for one in due:
            ticks._try_to_fire(one, server.clock.now())
    assert len(server.runs()) == 1


def test_a_clock_that_is_set_back_and_forth_fires_once_per_day(server: Server) -> None:
    server.live(DAILY)
    start = server.clock.now()
    for minutes in (31, -29, 31, 90, 29, 33):
        server.clock.set(start + timedelta(minutes=minutes))
        tick(server)
    assert len(server.events()) == 1


def test_after_downtime_one_run_makes_up_for_all_and_the_rest_is_on_record(server: Server) -> None:
    flow_id = server.live(DAILY)
    tick(server, 3 * 86400)
    tick(server, 1)
    assert [event["local_date"] for event in server.events()] == ["2026-03-04"]
    assert skipped(server, flow_id) == [
        "2 planned starts were missed since 2026-03-02 09:30 because the server was not running, and made up "
        "for by one run."
    ]
    tick(server, 1800)
    assert [event["local_date"] for event in server.events()] == ["2026-03-04", "2026-03-05"]


def test_a_flow_that_wants_no_late_runs_gets_none_and_it_is_on_record(server: Server) -> None:
    flow_id = server.live({**DAILY, "catch_up": "skip"})
    tick(server, 86400 + 3600)
    assert server.events() == []
    assert "2 planned starts were missed" in skipped(server, flow_id)[0]
    tick(server, 86400 - 1800)
    assert [event["local_date"] for event in server.events()] == ["2026-03-04"]


def test_a_second_late_is_not_missed(server: Server) -> None:
    server.live({**DAILY, "catch_up": "skip"})
    tick(server, 1800 + 60)
    assert len(server.events()) == 1


def test_time_that_a_flow_was_off_is_not_made_up(server: Server) -> None:
    flow_id = server.live(DAILY)
    flow_commands.switch_off(SHELL, server, flow_id)
    tick(server, 3 * 86400)
    flow_commands.switch_on(SHELL, server, flow_id)
    tick(server, 1)
    assert server.events() == []


def test_a_held_schedule_keeps_its_runs_waiting(server: Server) -> None:
    flow_id = server.live(DAILY)
    server.database.write(lambda db: flows.set_held(db, flow_id, True, now=server.clock.now()))
    tick(server, 1800)
    assert server.runs() == [("waiting", "held_flow")]
    assert server.engine.tickets == []


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [
        ("Europe/Berlin", datetime(2026, 3, 27, 23, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 10, 23, 22, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 3, 7, 5, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 10, 31, 4, tzinfo=UTC)),
    ],
)
def test_each_time_of_a_daily_flow_comes_once_on_the_nights_the_clocks_change(
    server: Server, zone: str, midnight: datetime
) -> None:
    server.clock.set(midnight)
    server.live({"kind": "schedule", "when": "30 1,2 * * *"}, time_zone=zone)
    for _ in range(3 * 24 * 4):
        tick(server, 900)
    dates = Counter(event["local_date"] for event in server.events())
    assert len(dates) == 3
    assert set(dates.values()) == {2}


def test_one_broken_flow_keeps_no_other_from_its_moment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, fine = server.live(DAILY), server.live(DAILY)

    def spoil(connection: Any) -> None:
        version = flows.live_version(connection, broken)
        assert version is not None
        definition = flows.stored(version.definition)
        definition["trigger"]["when"] = "whenever"
        connection.exec_driver_sql(
            "UPDATE flow_versions SET definition = json(?) WHERE id = ?",
            (json.dumps(definition), version.id),
        )

    server.database.write(spoil)
    tick(server, 1800)
    assert [ticket.flow_id for ticket in server.engine.tickets] == [fine]


def test_five_hundred_flows_due_in_one_second_all_fire(server: Server) -> None:
    definition, now = server.definition(DAILY), server.clock.now()

    def many(connection: Any) -> set[str]:
        made = set()
        for _ in range(500):
            flow_id = flows.create_flow(
                connection, name="Many", definition=definition, owner_id=None, now=now
            )
            flows.add_version(connection, flow_id, definition, by=None, now=now)
            flows.set_on(connection, flow_id, True, now=now)
            triggers.put_trigger(
                connection, flow_id, kind="schedule", is_on=True, interval_s=0, next_due_at=now
            )
            made.add(flow_id)
        return made

    ids = server.database.write(many)
    while server.intake.ticks.start_due():
        pass
    assert {ticket.flow_id for ticket in server.engine.tickets} == ids
    assert len(server.events()) == 500


def test_the_ticks_start_and_stop(server: Server) -> None:
    server.intake.start()
    jobs = server.intake.ticks._scheduler
    assert jobs is not None
    assert {job.id: job.misfire_grace_time for job in jobs.get_jobs()} == dict.fromkeys(
        ("poll_tick", "subscription_tick", "timer_tick", "lease_sweep", "orders", "disk", "retention")
    )
    assert all(job.coalesce and job.max_instances == 1 for job in jobs.get_jobs())
    server.intake.stop()
    server.intake.stop()
