"""What somebody should know of becomes an alert with a sentence and a button, once, and ends by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from app.storage.cluster.processes import beat, has_role, register, unregister
from app.storage.connections.connections import break_connection, create_connection, fix_connection
from app.storage.history.rows import settle
from app.storage.tables.models import Flow, FlowVersion, Lane, Process, Run, Trigger
from app.storage.upkeep import alerts
from app.watch import looks
from app.watch.ledger_check import check
from tests.fakes.history import NOON
from tests.fakes.ledger import Records
from tests.watch.conftest import House

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
pytestmark = pytest.mark.postgres


def sentences(house: House) -> list[str]:
    return [one.sentence for one in house.look()]


def change(house: House, table: Any, flow_id: str, **values: Any) -> None:
    key = table.id if table is Flow else table.flow_id
    house.database.write(lambda db: db.execute(update(table).where(key == flow_id).values(**values)))


# ------------------------------------------------------------------------------------ one alert


def test_the_first_run_that_stops_is_an_alert_and_more_for_the_same_reason_are_no_further(
    house: House,
) -> None:
    records = house.flow()
    house.stopped(records)
    [first] = house.look()
    assert first.sentence == "A run of “New order” stopped: It was not accepted."
    assert first.remedy_url.startswith("/dead-letters/group?cause=")
    for _ in range(4):
        house.stopped(records)
    [grown] = house.look(seconds=30)
    assert (grown.id, grown.count) == (first.id, 5)
    assert grown.sentence.startswith("5 runs of “New order” stopped")
    house.stopped(records, cause="too long")
    assert len(house.look(seconds=30)) == 2


def test_an_alert_ends_when_its_cause_is_gone_and_a_new_one_comes_when_it_is_back(house: House) -> None:
    run = house.stopped(house.flow())
    [first] = house.look()
    house.database.write(lambda db: settle(db, [run], now=house.clock.now()))
    assert house.look(seconds=30) == []
    with house.database.read() as db:
        [ended] = alerts.ended_alerts(db)
    assert ended.ended_at == house.clock.now()
    house.stopped(house.flow("Other"))
    [second] = house.look()
    assert second.id != first.id


def test_a_restart_or_another_leader_finds_the_same_alert(house: House) -> None:
    house.stopped(house.flow())
    assert len({house.look(seconds=5)[0].id for _ in range(4)}) == 1


def test_two_that_lead_at_once_make_one_alert(house: House) -> None:
    house.stopped(house.flow())
    found = [alerts.Noticed("disk", "server", "disk", "disk", "Full.", "See", "/health")]
    for _ in range(2):
        house.database.write(
            lambda db: alerts.bring_up_to_date(db, found, looked_for={"disk"}, now=house.clock.now())
        )
    assert len(house.open()) == 1


def test_what_was_seen_stays_seen_while_it_lasts(house: House) -> None:
    records = house.flow()
    house.stopped(records)
    [one] = house.look()
    house.database.write(lambda db: alerts.mark_seen(db, one.id, by=house.owner, now=house.clock.now()))
    house.stopped(records)
    [same] = house.look(seconds=30)
    assert (same.id, same.count) == (one.id, 2)
    assert same.seen_by == house.owner
    with house.database.read() as db:
        assert alerts.number_unseen(db) == 0


def test_a_look_that_fails_hides_no_other_and_ends_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.stopped(house.flow())
    house.look()

    def fails(_view: Any) -> Any:
        raise ValueError("broken")

    monkeypatch.setitem(looks.LOOKS, "dead_letters", fails)
    monkeypatch.setattr(house.space, "_is_low", True)
    monkeypatch.setattr(house.space, "_look", lambda: None)
    assert {one.kind for one in house.look(seconds=30)} == {"dead_letters", "disk"}


# --------------------------------------------------------------------------------- what is noticed


def test_a_connection_that_is_refused_asks_for_its_owner(house: House) -> None:
    made = house.database.write(
        lambda db: create_connection(
            db, connector="hubspot", name="CRM", auth="key", public={}, sealed=None, owner_id=None, now=NOON
        )
    )
    assert house.look() == []
    house.database.write(lambda db: break_connection(db, made, "HubSpot refuses the key (401)."))
    [one] = house.look()
    assert one.sentence.startswith("The connection “CRM” needs you: HubSpot refuses the key (401).")
    assert one.remedy_url == f"/connections/{made}"
    house.database.write(lambda db: fix_connection(db, made))
    assert house.look() == []


def test_a_poll_that_fails_three_times_in_a_row_is_noticed(house: House) -> None:
    records = house.flow()
    house.insert(Trigger, flow_id=records.flow_id, kind="poll", is_on=True, fail_count=2, last_error="Away.")
    assert house.look() == []
    change(house, Trigger, records.flow_id, fail_count=3)
    assert "has failed to look for new records at least 3 times in a row: Away." in sentences(house)[0]
    change(house, Trigger, records.flow_id, fail_count=0)
    assert house.look() == []


def quiet(house: House, before: list[int], *, age: timedelta = 5 * WEEK) -> Records:
    """A flow that is on, of which the last record came three hours ago, and so many in the same hours
    of the weeks before."""
    records = house.flow(is_on=True)
    change(house, FlowVersion, records.flow_id, created_at=NOON - age)
    for week, number in enumerate(before, 1):
        for _ in range(number):
            records.event(NOON - week * WEEK - timedelta(hours=1))
    records.event(NOON - timedelta(hours=3))
    return records


def test_a_flow_that_receives_nothing_though_it_usually_does_is_noticed(house: House) -> None:
    records = quiet(house, [5, 6, 7])
    assert sentences(house) == [
        "“New order” has received nothing since 21 Nov, 09:00 UTC. In the same hours of the last 3 weeks "
        "5, 6 and 7 records came in. Is the sender still connected to it?"
    ]
    records.event(NOON)
    assert house.look() == []


@pytest.mark.parametrize("before", [[5, 4, 7], [9, 9, 0], [0, 0, 0]])
def test_a_flow_that_was_as_quiet_in_one_of_the_weeks_before_is_left_alone(
    house: House, before: list[int]
) -> None:
    quiet(house, before)
    assert house.look() == []


def test_a_flow_that_is_off_or_new_is_left_alone(house: House) -> None:
    quiet(house, [9, 9, 9], age=2 * WEEK)
    off = quiet(house, [9, 9, 9])
    change(house, Flow, off.flow_id, is_on=False)
    assert house.look() == []


def test_a_flow_that_was_held_and_forgotten_is_noticed_after_a_day(house: House) -> None:
    records = house.flow(is_held=True)
    for hours in (25, 26, 2):
        [run] = records.delivery(NOON - timedelta(hours=hours))
        records.end(run, "waiting", NOON, "held_flow")
    assert sentences(house) == ["“New order” is held, and 2 runs wait for more than a day."]
    change(house, Flow, records.flow_id, is_held=False)
    assert house.look() == []


def test_a_host_that_is_left_alone_for_long_is_noticed(house: House) -> None:
    house.insert(
        Lane, place="|api.example.com", host="api.example.com", tried_at=NOON, since=NOON, trips=3,
        sentence="It answered 503.",
    )  # fmt: skip
    assert house.look() == []
    [one] = house.look(seconds=600)
    assert one.sentence.startswith("api.example.com has not answered as it should since 21 Nov, 12:00 UTC.")
    assert (one.noun, one.noun_id) == ("host", "api.example.com")


def test_a_ledger_that_does_not_add_up_is_noticed_and_one_that_does_again_ends_it(house: House) -> None:
    records = house.flow()
    [run] = records.delivery(NOON)
    event = dict(records.runs)[run]
    records.delete(Run, run)
    house.clock.advance(3600)
    check(house.database, house.clock.now())
    [one] = house.look()
    assert one.sentence == (
        "The ledger of “New order” does not add up on 2026-11-21: "
        "1 record came in, and there is no run for it."
    )
    records.run(NOON, event)
    check(house.database, house.clock.now())
    assert house.look() == []


def test_a_disk_that_is_almost_full_is_noticed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house.space, "wanted", 10**15)
    [one] = house.look(seconds=5)
    assert one.sentence.startswith("The disk is almost full")
    monkeypatch.setattr(house.space, "wanted", 0)
    assert house.look(seconds=5) == []


def test_a_database_without_a_worker_is_noticed_after_a_minute(house: House) -> None:
    rounds = house.rounds()
    rounds.look()
    house.clock.advance(61)
    rounds.look()
    if house.database.is_sqlite:  # one process does everything
        assert house.open() == []
        return
    assert [one.kind for one in house.open()] == ["worker"]
    worker = house.database.write(lambda db: register(db, "web,worker"))
    rounds.look()
    assert house.open() == []
    house.database.write(lambda db: unregister(db, worker))
    rounds.look()
    assert house.open() == []


def test_a_process_that_refuses_to_work_or_went_silent_has_no_role(house: House) -> None:
    if house.database.is_sqlite:
        return
    made = house.database.write(lambda db: register(db, "scheduler"))

    def is_there() -> bool:
        with house.database.read() as db:
            return has_role(db, "scheduler")

    assert is_there()
    assert not house.database.write(lambda db: has_role(db, "worker"))
    house.database.write(lambda db: beat(db, made, sentence="It is of another release."))
    assert not is_there()
    house.database.write(lambda db: beat(db, made))
    house.database.write(lambda db: db.execute(update(Process).values(seen_at=NOON)))
    assert not is_there()
