"""Events with their runs, and keys that are taken once."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app.storage.database.db import Database
from app.storage.history import events
from app.storage.tables.models import DedupeKey, Event, Run
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.postgres


def arrivals(*keys: str | None) -> list[events.Arrival]:
    return [events.arrival({"n": n}, b'{"n": %d}' % n, f"number {n}", key) for n, key in enumerate(keys)]


def rows(found: list[events.Arrival], clock: FakeClock, *, held: bool = False) -> events.Rows:
    return events.arrival_rows(
        found,
        flow_id="flow_1",
        version_id="ver_1",
        delivery_id=None,
        source="webhook",
        now=clock.now(),
        held=held,
    )


def test_an_event_and_its_run_are_written_together(database: Database, clock: FakeClock) -> None:
    new = arrivals(None)
    database.writer.write_rows(rows(new, clock))
    with database.read() as db:
        run = db.execute(select(Run.id, Run.event_id, Run.state, Run.label)).one()
        payload = events.event_document(db, new[0].event_id)
    assert tuple(run) == (new[0].run_id, new[0].event_id, "queued", "number 0")
    assert payload == b'{"n": 0}'


def test_the_run_of_a_held_flow_waits_for_it(database: Database, clock: FakeClock) -> None:
    database.writer.write_rows(rows(arrivals(None), clock, held=True))
    with database.read() as db:
        assert tuple(db.execute(select(Run.state, Run.reason)).one()) == ("waiting", "held_flow")


def test_a_key_is_taken_once_and_a_repetition_is_counted(database: Database, clock: FakeClock) -> None:
    first, second = arrivals("a"), arrivals("a")

    def take(found: list[events.Arrival]) -> tuple[list[events.Arrival], list[str]]:
        def work(connection: object) -> tuple[list[events.Arrival], list[str]]:
            taken = events.take_keys(connection, "flow_1", found, now=clock.now())  # type: ignore[arg-type]
            events.write_all(connection, rows(taken[0], clock))  # type: ignore[arg-type]
            return taken

        return database.write(work)

    assert take(first) == (first, [])
    assert take(second) == ([], [first[0].event_id])
    with database.read() as db:
        assert db.execute(select(Event.id, Event.duplicates)).all() == [(first[0].event_id, 1)]


def test_the_same_key_twice_in_one_delivery_is_one_event(database: Database, clock: FakeClock) -> None:
    found = arrivals("a", "a", "b", None, None)
    fresh, repeated = database.write(lambda db: events.take_keys(db, "flow_1", found, now=clock.now()))
    assert [new.payload for new in fresh] == [b'{"n": 0}', b'{"n": 2}', b'{"n": 3}', b'{"n": 4}']
    assert repeated == [found[0].event_id]


def test_flows_do_not_share_keys(database: Database, clock: FakeClock) -> None:
    for flow_id in ("flow_1", "flow_2"):
        fresh, _ = database.write(
            lambda db, flow_id=flow_id: events.take_keys(db, flow_id, arrivals("a"), now=clock.now())
        )
        assert len(fresh) == 1


def test_of_many_at_once_exactly_one_takes_the_key(database: Database, clock: FakeClock) -> None:
    taken: list[int] = []

    def take() -> None:
        fresh, _ = database.write(
            lambda db: events.take_keys(db, "flow_1", arrivals("same"), now=clock.now())
        )
        taken.append(len(fresh))

    threads = [threading.Thread(target=take) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [0] * 19 + [1]


def test_a_seed_is_remembered_without_an_event(database: Database, clock: FakeClock) -> None:
    assert database.write(lambda db: events.seed_keys(db, "flow_1", ["a", "b", "a"], now=clock.now())) == 2
    fresh = database.write(lambda db: events.take_new(db, "flow_1", arrivals("a", "c"), now=clock.now()))
    assert [new.dedupe_key for new in fresh] == ["c"]


def test_a_record_that_is_still_there_stays_remembered(database: Database, clock: FakeClock) -> None:
    database.write(lambda db: events.seed_keys(db, "flow_1", ["stays", "leaves"], now=clock.now()))
    for _ in range(40):
        clock.advance(timedelta(days=1).total_seconds())
        database.write(lambda db: events.tidy_keys(db, "flow_1", ["stays"], now=clock.now()))
    with database.read() as db:
        assert list(db.scalars(select(DedupeKey.key))) == ["stays"]


def test_thousands_of_keys_fit_into_one_look(database: Database, clock: FakeClock) -> None:
    keys = [f"key {number}" for number in range(3000)]
    assert database.write(lambda db: events.seed_keys(db, "flow_1", keys, now=clock.now())) == 3000
    clock.advance(2 * 86400)
    database.write(lambda db: events.tidy_keys(db, "flow_1", keys, now=clock.now()))
    with database.read() as db:
        moments = select(func.count()).where(DedupeKey.seen_at == clock.now())
        assert db.scalar(moments) == 3000


def test_what_mappings_see_of_a_delivery_has_one_form() -> None:
    seen = events.delivery_scope("POST", [("X-Shop", "a"), ("Accept", "*/*")], "a=1&a=2&b=")
    assert seen == {
        "method": "POST",
        "headers": {"x-shop": "a", "accept": "*/*"},
        "query": {"a": "1", "b": ""},
    }
