"""Several processes on one PostgreSQL count together how much of the calls to a host are retries."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import orjson
import pytest

from app.calls.limits.keeping import outlive
from app.calls.limits.limits import Host, Limits
from app.calls.limits.shared import LEASE_S, ROW, SharedBook, SharedRetries
from app.storage.database.db import Database
from tests.calls.calling import call
from tests.fakes.clock import FakeClock

API = "api.example.com"


class Row:
    """What stands in the database, for two or more books of one test; `away`: nobody reaches it."""

    def __init__(self, clock: FakeClock, kept: Any = None) -> None:
        self.clock = clock
        self.kept = kept
        self.changes = 0
        self.away = False

    def change(self, name: str, work: Any) -> Any:
        assert name == ROW
        if self.away:
            raise OSError("no database")
        self.changes += 1
        kept, result = work(self.kept, self.clock.now().timestamp())
        self.kept = orjson.loads(orjson.dumps(kept))
        return result


@contextmanager
def processes(row: Row, number: int = 2) -> Iterator[list[tuple[Limits, SharedRetries]]]:
    with ThreadPoolExecutor(1) as thread:
        made = []
        for at in range(number):
            limits = Limits(row.clock)
            retries = SharedRetries(row.clock, row, thread, f"book_{at}")  # type: ignore[arg-type]
            retries.hosts = limits.hosts
            made.append((limits, retries))
        yield made


def go(limits: Limits, number: int, attempt: int = 1) -> int:
    """How many of so many calls went out."""
    return sum(limits.take(call(), attempt=attempt) is None for _ in range(number))


def storm(limits: Limits, clock: FakeClock) -> None:
    """More than the share of retries: begun before the others were known."""
    go(limits, 100)
    for _ in range(60):
        limits.hosts()[API].add(clock.monotonic(), True)


def exchange(*all_of_them: SharedRetries) -> None:
    async def work() -> None:
        for _ in range(2):
            for one in all_of_them:
                await one.exchange()

    asyncio.run(work())


def test_retries_of_one_process_leave_no_room_for_those_of_the_other() -> None:
    row = Row(FakeClock())
    with processes(row) as ((one, a), (other, b)):
        storm(one, row.clock)
        go(other, 60)
        assert go(other, 6, attempt=2) == 6, "alone it has made too few calls to be held back"
        exchange(a, b)
        assert go(other, 50, attempt=2) == 0
        assert go(other, 50) == 50, "first attempts go on"


def test_first_calls_of_one_process_make_room_for_retries_of_the_other() -> None:
    row = Row(FakeClock())
    with processes(row) as ((one, a), (other, b)):
        go(one, 1000)
        go(other, 101)
        assert 10 <= go(other, 200, attempt=2) <= 12
        exchange(a, b)
        assert 100 <= go(other, 300, attempt=2) <= 125


def test_a_process_that_falls_silent_counts_for_nothing_after_a_while() -> None:
    row = Row(FakeClock())
    with processes(row) as ((one, a), (other, b)):
        storm(one, row.clock)
        go(other, 60)
        exchange(a, b)
        assert go(other, 1, attempt=2) == 0
        row.clock.advance(LEASE_S + 1)
        exchange(b)
        assert go(other, 1, attempt=2) == 1
        assert list(row.kept["processes"]) == ["book_1"]


def test_without_the_database_each_goes_by_what_it_knows() -> None:
    row = Row(FakeClock())
    with processes(row) as ((one, a), (other, b)):
        storm(one, row.clock)
        go(other, 60)
        exchange(a, b)
        row.away = True
        exchange(a, b)
        assert go(other, 1, attempt=2) == 0, "what was known holds for a moment"
        row.clock.advance(LEASE_S + 1)
        assert go(other, 1, attempt=2) == 1


def test_where_nothing_is_called_the_database_is_left_alone() -> None:
    row = Row(FakeClock())
    with processes(row, 1) as ((one, a),):
        exchange(a)
        go(one, 4)
        exchange(a)
        assert row.changes == 0
        go(one, 10)
        exchange(a)
        assert row.kept["processes"]["book_0"]["hosts"] == {API: [14, 0]}
        row.clock.advance(70)
        exchange(a)
        assert row.kept == {"processes": {}}
        before = row.changes
        exchange(a)
        assert row.changes == before


def test_thousands_of_hosts_do_not_fill_the_row() -> None:
    row = Row(FakeClock())
    with processes(row, 1) as ((one, a),):
        for number in range(600):
            for _ in range(6):
                one.take(call(path=f"https://{number}.example.com/"))
        go(one, 50)
        exchange(a)
        hosts = row.kept["processes"]["book_0"]["hosts"]
        assert len(hosts) == 200
        assert API in hosts


@pytest.mark.parametrize(
    "kept",
    [
        None,
        [],
        "nonsense",
        {"processes": []},
        {"processes": {"x": None, "y": {}, "z": {"at": "now", "hosts": {}}}},
        {"processes": {"x": {"at": 1e300, "hosts": {API: [10**6, 10**6]}}}},
        {"processes": {"x": {"at": float("nan"), "hosts": {API: [10**6, 10**6]}}}},
        {"processes": {"x": {"at": "NOW", "hosts": {API: [-5, -5]}}}},
        {"processes": {"x": {"at": "NOW", "hosts": {API: ["many", None]}}}},
        {"processes": {"x": {"at": "NOW", "hosts": {API: [10, 10**18, 1]}}}},
        {"processes": {"x": {"at": "NOW", "hosts": {API: 7}}}},
    ],
)
def test_a_row_that_makes_no_sense_holds_nobody_back(kept: Any) -> None:
    clock = FakeClock()
    if isinstance(kept, dict) and isinstance(kept["processes"], dict):
        for one in kept["processes"].values():
            if one and one.get("at") == "NOW":
                one["at"] = clock.now().timestamp()
    row = Row(clock, kept)
    with processes(row, 1) as ((limits, a),):
        go(limits, 90)
        exchange(a)
        assert go(limits, 5, attempt=2) == 5
        assert "book_0" in row.kept["processes"]


def test_a_host_knows_nothing_of_the_others_until_it_is_told() -> None:
    host = Host()
    for _ in range(150):
        host.add(1000.0, False)
    assert not host.has_too_many_retries(1000.0)
    host.see((0, 50), 1010.0)
    assert host.has_too_many_retries(1009.0)
    assert not host.has_too_many_retries(1010.0)


@pytest.mark.postgres
def test_two_processes_share_the_budget_through_the_database_and_leave_nothing_behind(
    postgres_url: str,
) -> None:
    database = Database(postgres_url)
    database.start()

    async def work() -> None:
        clock = FakeClock()
        made = [Limits(clock) for _ in range(2)]
        books: list[SharedBook] = []
        for limits in made:
            outlive(limits, database, clock)
            await limits.start()
            assert isinstance(limits.book, SharedBook)
            books.append(limits.book)
        storm(made[0], clock)
        go(made[1], 60)
        for book in books:
            await book.retries.exchange()
        assert go(made[1], 1, attempt=2) == 0
        for limits in made:
            await limits.close()

    try:
        asyncio.run(work())
        with database.read() as db:
            left = db.exec_driver_sql(f"SELECT windows FROM budgets WHERE connection_id = '{ROW}'").scalar()
        assert left == '{"processes":{}}'
    finally:
        database.close()
