"""When flows are due, and that nobody takes the same moment twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.storage.database.db import Database
from app.storage.flows import flows, triggers
from app.storage.flows.triggers import TriggerRow
from tests.fakes.clock import FakeClock
from tests.storage.test_flows import definition, new_flow

pytestmark = pytest.mark.postgres


def live_flow(database: Database, clock: FakeClock, *, due_in_s: float = 0, kind: str = "poll") -> str:
    flow_id = new_flow(database, clock)

    def work(connection: object) -> None:
        flows.add_version(connection, flow_id, definition(), by=None, now=clock.now())  # type: ignore[arg-type]
        flows.set_on(connection, flow_id, True, now=clock.now())  # type: ignore[arg-type]
        triggers.put_trigger(
            connection,  # type: ignore[arg-type]
            flow_id,
            kind=kind,
            is_on=True,
            interval_s=300,
            next_due_at=clock.now() + timedelta(seconds=due_in_s),
        )

    database.write(work)
    return flow_id


def row(database: Database, flow_id: str) -> TriggerRow:
    with database.read() as db:
        found = triggers.get_trigger(db, flow_id)
    assert found is not None
    return found


def due(database: Database, clock: FakeClock) -> list[str]:
    with database.read() as db:
        return [one.flow_id for one in triggers.due(db, clock.now(), limit=10)]


def test_what_is_due_comes_longest_overdue_first(database: Database, clock: FakeClock) -> None:
    late, later = live_flow(database, clock, due_in_s=-10), live_flow(database, clock, due_in_s=-60)
    live_flow(database, clock, due_in_s=60)
    assert due(database, clock) == [later, late]


def test_a_flow_that_is_off_is_never_due(database: Database, clock: FakeClock) -> None:
    flow_id = live_flow(database, clock)
    database.write(lambda db: flows.set_on(db, flow_id, False, now=clock.now()))
    assert due(database, clock) == []


def test_a_moment_is_taken_once(database: Database, clock: FakeClock) -> None:
    flow_id = live_flow(database, clock)
    at = row(database, flow_id).next_due_at
    assert at is not None
    take = lambda c: triggers.advance(c, flow_id, due_at=at, next_due_at=at + timedelta(hours=1))  # noqa: E731
    assert database.write(take) is True
    assert database.write(take) is False
    assert row(database, flow_id).last_due_at == at


def test_publishing_keeps_the_cursor(database: Database, clock: FakeClock) -> None:
    flow_id = live_flow(database, clock)
    database.write(
        lambda db: triggers.poll_succeeded(db, flow_id, cursor="c7", seeded_at=clock.now(), now=clock.now())
    )
    database.write(
        lambda db: triggers.put_trigger(
            db, flow_id, kind="poll", is_on=False, interval_s=60, next_due_at=None
        )
    )
    kept = row(database, flow_id)
    assert (kept.cursor, kept.seeded_at, kept.interval_s, kept.is_on) == ("c7", clock.now(), 60, False)


def test_a_failure_counts_and_puts_off_the_next_look(database: Database, clock: FakeClock) -> None:
    flow_id = live_flow(database, clock, due_in_s=10)
    later = clock.now() + timedelta(hours=1)
    database.write(
        lambda db: triggers.poll_failed(
            db, flow_id, sentence="No answer.", next_due_at=later, now=clock.now()
        )
    )
    kept = row(database, flow_id)
    assert (kept.fail_count, kept.last_error, kept.next_due_at) == (1, "No answer.", later)
    database.write(
        lambda db: triggers.poll_succeeded(db, flow_id, cursor=None, seeded_at=clock.now(), now=clock.now())
    )
    assert (row(database, flow_id).fail_count, row(database, flow_id).last_error) == (0, "")


def test_a_lease_is_given_to_one_at_a_time(database: Database, clock: FakeClock) -> None:
    flow_id = live_flow(database, clock)
    take = lambda c: triggers.take_lease(  # noqa: E731
        c, flow_id, now=clock.now(), until=clock.now() + timedelta(minutes=15)
    )
    assert [database.write(take), database.write(take)] == [True, False]
    clock.advance(16 * 60)
    assert database.write(take) is True


def test_a_look_that_a_stop_broke_off_is_due_again_at_once(database: Database, clock: FakeClock) -> None:
    flow_id, other = live_flow(database, clock, due_in_s=300), live_flow(database, clock, due_in_s=300)
    until = clock.now() + timedelta(minutes=15)
    database.write(lambda db: triggers.take_lease(db, flow_id, now=clock.now(), until=until))
    database.write(lambda db: triggers.end_leases(db, clock.now()))
    assert (row(database, flow_id).lease_until, row(database, flow_id).next_due_at) == (None, clock.now())
    assert row(database, other).next_due_at == clock.now() + timedelta(seconds=300)
