"""What came in is what became of it: per flow and day, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from app.storage.database.db import Database
from app.storage.history.received import day_of
from app.storage.tables.models import Base, Delivery, Event, LedgerDay, Run, ServerValue
from app.storage.upkeep.keep_rules import Rules, default_rule
from app.storage.upkeep.retention import prune
from app.watch.ledger import Day, by_day, count_up, of_day, of_flow
from app.watch.ledger_check import check, verdicts
from tests.fakes.history import NOON, History
from tests.fakes.ledger import Records

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def records(database: Database) -> Records:
    return Records(database, History(database).flow("New order", []))


def line(records: Records, at: datetime = NOON, now: datetime = NOON + HOUR) -> Day:
    [found] = [one for one in of_flow(records.database, now, records.flow_id) if one.day == day_of(at)]
    return found


def figures(found: Day) -> dict[str, int]:
    """Without those that are nothing."""
    numbers = {name: getattr(found.became, name) for name in found.became.__dataclass_fields__}
    numbers |= {name: getattr(found.came, name) for name in ("duplicates", "refused")}
    return {name: number for name, number in numbers.items() if number}


# -------------------------------------------------------------------------------- what is counted


@pytest.mark.postgres
def test_what_came_in_is_what_became_of_it(records: Records) -> None:
    for state in ("succeeded", "succeeded", "filtered", "failed", "cancelled", "queued", "running"):
        [run] = records.delivery(NOON)
        records.end(run, state, NOON)
    for reason in ("delay", "held_flow", "unknown"):
        [run] = records.delivery(NOON)
        records.end(run, "waiting", NOON, reason)
    records.delivery(NOON, records=3, repeated=2)
    records.delivery(NOON, records=0, repeated=1)
    records.delivery(NOON, records=0, outcome="refused", reason="The signature does not fit.")
    found = line(records)
    assert found.received == 17
    assert figures(found) == {
        "succeeded": 5,
        "filtered": 1,
        "failed": 1,
        "cancelled": 1,
        "waiting": 3,
        "held": 2,
        "duplicates": 3,
        "refused": 1,
    }
    assert found.adds_up
    assert check(records.database, NOON + HOUR) == []


@pytest.mark.postgres
def test_polls_schedules_and_starts_by_hand_came_in_and_tests_did_not(records: Records) -> None:
    for source in ("poll", "schedule", "manual", "test"):
        records.event(NOON, source=source)
    found = line(records)
    assert (found.came.poll, found.came.schedule, found.came.manual, found.received) == (1, 1, 1, 3)
    assert found.adds_up


def test_samples_handshakes_and_answers_a_run_waited_for_are_no_records(records: Records) -> None:
    for outcome in ("sample", "handshake", "callback"):
        records.delivery(NOON, records=0, outcome=outcome)
    records.delivery(NOON, records=0, reason="It holds no record that this flow is for.")
    assert line(records).received == 0
    assert check(records.database, NOON + HOUR) == []


@pytest.mark.postgres
def test_a_failure_that_was_sent_again_with_success_is_settled_and_came_in_once(records: Records) -> None:
    [run] = records.delivery(NOON)
    records.end(run, "failed", NOON)
    again = records.replay(run, NOON + HOUR, state="failed")
    assert figures(line(records)) == {"failed": 1}
    records.replay(again, NOON + DAY)
    assert figures(line(records)) == {"settled": 1}
    assert line(records).received == 1
    assert line(records, NOON + DAY, NOON + DAY).received == 0


def test_a_failure_that_somebody_put_away_is_settled(records: Records) -> None:
    [run] = records.delivery(NOON)
    records.end(run, "failed", NOON)
    records.settle(run, NOON)
    assert figures(line(records)) == {"settled": 1}


@pytest.mark.postgres
def test_a_run_made_just_after_midnight_counts_for_the_day_its_record_came_in(records: Records) -> None:
    midnight = NOON.replace(hour=0)
    records.event(midnight - timedelta(milliseconds=1), later=timedelta(milliseconds=3))
    assert line(records, midnight - HOUR).adds_up
    assert line(records, midnight - HOUR).received == 1
    assert line(records, midnight).accounted == 0
    assert check(records.database, NOON) == []


@pytest.mark.postgres
def test_all_flows_of_a_day_and_all_days_of_a_flow_come_to_the_same(database: Database) -> None:
    history = History(database)
    first, second = (Records(database, history.flow(name, []), n) for n, name in enumerate(("A", "B")))
    second.number = 500
    for at in (NOON, NOON - DAY):
        first.delivery(at, records=2)
        second.end(second.delivery(at)[0], "failed", at)
        second.replay(second.runs[-1][0], at + HOUR)
    count_up(database, NOON - 13 * HOUR)
    today, yesterday, *_ = by_day(database, NOON + HOUR)
    assert (today.received, today.became.succeeded, today.became.settled) == (3, 2, 1)
    assert [one.received for one in of_day(database, yesterday.day)] == [2, 1]
    assert sum(one.became.settled for one in of_day(database, yesterday.day)) == yesterday.became.settled == 1


def test_what_is_counted_later_is_counted_once(records: Records) -> None:
    records.delivery(NOON)
    count_up(records.database, NOON + HOUR)
    records.delivery(NOON + HOUR)
    count_up(records.database, NOON + HOUR + timedelta(seconds=30))
    assert line(records).received == 2
    count_up(records.database, NOON + 2 * HOUR)
    assert line(records, now=NOON + 2 * HOUR).received == 2


def test_what_is_committed_after_its_hour_was_counted_is_noticed_and_added(records: Records) -> None:
    records.delivery(NOON)
    count_up(records.database, NOON + HOUR)
    records.delivery(NOON + timedelta(minutes=1), records=2, repeated=1)
    records.delivery(NOON, records=0, outcome="refused")
    assert check(records.database, NOON + HOUR) == []
    assert line(records).received == 5
    assert line(records).adds_up


# ------------------------------------------------------------------------------ when it is pruned


def pruned(records: Records, now: datetime) -> None:
    prune(records.database, now=now, rules=Rules(default_rule(10)))


@pytest.mark.postgres
def test_what_was_pruned_stays_accounted_for(records: Records) -> None:
    for state in ("succeeded", "filtered", "cancelled", "failed"):
        [run] = records.delivery(NOON)
        records.end(run, state, NOON)
    records.delivery(NOON, records=2, repeated=1)
    records.delivery(NOON, records=0, repeated=1)
    records.delivery(NOON, records=0, outcome="refused")
    before = figures(line(records))
    later = NOON + 20 * DAY
    count_up(records.database, later)
    pruned(records, later)
    assert len(_ids(records, Run)) == 1
    assert figures(line(records, now=later)) == before
    assert check(records.database, later, everything=True) == []


def test_a_failure_stays_settled_when_its_replay_is_pruned_before_it(records: Records) -> None:
    [run] = records.delivery(NOON)
    records.end(run, "failed", NOON)
    records.replay(run, NOON + HOUR)
    later = NOON + 20 * DAY
    pruned(records, later)
    assert _ids(records, Run) == {run}
    assert figures(line(records, now=later)) == {"settled": 1}


# ------------------------------------------------------------------------- when something is lost


def _ids(records: Records, table: Any) -> set[str]:
    with records.database.read() as db:
        return set(db.scalars(table.__table__.select().with_only_columns(table.id)))


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("table", "said"),
    [
        (Run, "1 record came in, and there is no run for it."),
        (Event, "1 record left the history without being too old."),
        (Delivery, "Of 1 accepted delivery the record is missing."),
    ],
)
@pytest.mark.parametrize("days", [0, 1, 6])
def test_a_row_deleted_by_hand_is_missed(records: Records, table: Any, said: str, days: int) -> None:
    for at in (NOON - days * DAY, NOON - days * DAY, NOON - 8 * DAY):
        records.delivery(at)
    assert check(records.database, NOON + HOUR) == []
    records.delete(table, sorted(_ids(records, table))[-1])
    [found] = check(records.database, NOON + HOUR, everything=True)
    assert (found.difference, found.slot.day) == (1, day_of(NOON - days * DAY))
    assert said in found.sentence
    assert not line(records, NOON - days * DAY).adds_up
    assert check(records.database, NOON + HOUR) == [found]


def test_a_record_that_is_gone_without_a_trace_is_missed(records: Records) -> None:
    records.delivery(NOON)
    records.delivery(NOON)
    count_up(records.database, NOON + HOUR)
    for table in (Run, Event, Delivery):
        records.delete(table, max(_ids(records, table)))
    [found] = check(records.database, NOON + HOUR)
    assert found.difference == 1


def test_a_repeated_delivery_that_is_gone_is_missed(records: Records) -> None:
    records.delivery(NOON)
    records.delivery(NOON, records=0, repeated=1)
    count_up(records.database, NOON + HOUR)
    records.delete(Delivery, max(_ids(records, Delivery)))
    [found] = check(records.database, NOON + HOUR)
    assert found.sentence == "1 repeated or refused delivery left the history without being too old."


def test_a_run_without_a_record_is_noticed(records: Records) -> None:
    records.delivery(NOON)
    records.run(NOON, "evt_0000000000000000000x")
    [found] = check(records.database, NOON + HOUR)
    assert found.sentence.startswith("There is 1 run for which no record came in.")


def test_a_day_that_adds_up_again_is_no_longer_reported(records: Records) -> None:
    records.delivery(NOON)
    [run] = records.delivery(NOON)
    records.end(run, "failed", NOON)
    assert check(records.database, NOON + HOUR) == []
    event = dict(records.runs)[run]
    records.delete(Run, run)
    assert len(check(records.database, NOON + HOUR)) == 1
    records.run(NOON, event)
    assert check(records.database, NOON + HOUR) == []
    assert line(records).adds_up


def test_looking_changes_nothing(records: Records) -> None:
    records.delivery(NOON)
    records.delete(Run, records.runs[0][0])
    [found] = verdicts(records.database, NOON + HOUR)
    assert found.difference == 1
    assert line(records).sentence == ""


# --------------------------------------------------------------------------- whatever may happen


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db")
    database.start()
    database.write(Base.metadata.create_all)
    yield database
    database.close()


STATES = ("succeeded", "filtered", "failed", "dead", "cancelled", "waiting", "queued", "running")
MOMENTS = st.builds(
    lambda days, hours: NOON - days * DAY + timedelta(hours=hours, milliseconds=-1),
    st.integers(0, 12),
    st.sampled_from([-11.5, -0.001, 0, 11.9999]),
)
STEPS = st.one_of(
    st.tuples(st.just("deliver"), MOMENTS, st.integers(0, 3), st.integers(0, 2)),
    st.tuples(st.just("refuse"), MOMENTS),
    st.tuples(st.just("come"), MOMENTS, st.sampled_from(["poll", "schedule", "manual", "test"])),
    st.tuples(st.just("end"), st.integers(0, 30), st.sampled_from(STATES)),
    st.tuples(st.just("replay"), st.integers(0, 30), st.sampled_from(STATES)),
    st.tuples(st.just("settle"), st.integers(0, 30)),
    st.tuples(st.just("count"), MOMENTS),
    st.tuples(st.just("prune"), st.integers(1, 200)),
)
_LATEST = NOON + 14 * HOUR


class World:
    """Does one step after the other."""

    def __init__(self, records: Records) -> None:
        self.records = records

    def deliver(self, at: datetime, fresh: int, repeated: int) -> None:
        if fresh or repeated:
            self.records.delivery(at, records=fresh, repeated=repeated)

    def refuse(self, at: datetime) -> None:
        self.records.delivery(at, records=0, outcome="refused")

    def come(self, at: datetime, source: str) -> None:
        self.records.event(at, source=source)

    def end(self, number: int, state: str) -> None:
        if run := self._run(number):
            self.records.end(run, state, NOON, "held_flow" if number % 2 else "")

    def replay(self, number: int, state: str) -> None:
        if run := self._run(number):
            self.records.replay(run, NOON + HOUR, state)

    def settle(self, number: int) -> None:
        if run := self._run(number):
            self.records.settle(run, NOON)

    def count(self, now: datetime) -> None:
        count_up(self.records.database, now)

    def prune(self, days: int) -> None:
        prune(self.records.database, now=NOON + days * DAY, rules=Rules(default_rule(10)))

    def _run(self, number: int) -> str:
        there = _ids(self.records, Run)
        runs = [run for run, _ in self.records.runs if run in there]
        return runs[number % len(runs)] if runs else ""


@settings(deadline=None, max_examples=25)
@given(st.lists(STEPS, max_size=12))
def test_the_ledger_adds_up_whatever_happens(shared: Database, steps: list[tuple[Any, ...]]) -> None:
    for table in (Run, Event, Delivery, LedgerDay, ServerValue):
        shared.write(lambda db, t=table: db.execute(delete(t)))
    records = Records(shared, History(shared).flow("Any", []))
    world = World(records)
    for name, *given_ in steps:
        step: Callable[..., None] = getattr(world, name)
        step(*given_)
    lines = of_flow(shared, _LATEST, records.flow_id, days=20)
    came_late = any(name == "count" for name, *_ in steps)  # which the check finds out
    assert came_late or all(one.adds_up for one in lines)
    assert check(shared, _LATEST, days=20, everything=True) == []
    assert all(one.adds_up for one in of_flow(shared, _LATEST, records.flow_id, days=20))
