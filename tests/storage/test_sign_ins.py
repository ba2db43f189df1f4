"""Sign-ins under way and registered apps: remembered for a while, taken once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.storage.connections.sign_ins import (
    LASTS,
    AppRow,
    Taken,
    begin_sign_in,
    delete_app,
    get_app,
    id_of,
    put_app,
    take_sign_in,
)
from app.storage.database.db import Database
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.postgres

NOW = FakeClock().now()
STATE = id_of("state-of-a-sign-in")


def begin(database: Database) -> None:
    database.write(lambda db: begin_sign_in(db, STATE, user_id="usr_1", sealed=b"sealed", now=NOW))


def take(database: Database, user_id: str = "usr_1", minutes: int = 1) -> Taken:
    now = NOW + timedelta(minutes=minutes)
    return database.write(lambda db: take_sign_in(db, STATE, user_id=user_id, now=now))


def test_a_sign_in_is_taken_once(database: Database) -> None:
    begin(database)
    assert take(database) == Taken(b"sealed")
    assert take(database) == Taken(reason="used")


def test_one_of_many_at_once_gets_it(database: Database) -> None:
    begin(database)
    barrier = threading.Barrier(8)

    def one(_: int) -> Taken:
        barrier.wait(60)
        return take(database)

    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(one, range(8)))
    assert sorted(one.reason for one in taken) == ["", *["used"] * 7]


def test_nobody_takes_that_of_another_person_or_one_that_never_was(database: Database) -> None:
    assert take(database) == Taken(reason="unknown")
    begin(database)
    assert take(database, "usr_2") == Taken(reason="unknown")
    assert take(database) == Taken(b"sealed")


def test_one_that_is_too_old_says_so_and_is_forgotten_after_a_day(database: Database) -> None:
    begin(database)
    assert take(database, minutes=int(LASTS.total_seconds() // 60) + 1).reason == "late"
    later = NOW + timedelta(days=1, minutes=1)
    other = id_of("another")
    database.write(lambda db: begin_sign_in(db, other, user_id="usr_1", sealed=b"x", now=later))
    assert take(database).reason == "unknown"


def test_an_app_is_replaced_and_deleted(database: Database) -> None:
    first = AppRow("club", "oauth", "one", b"sealed", "https://id.example/token", NOW)
    second = AppRow("club", "oauth", "two", None, "https://id.example/token", NOW)
    for row in (first, second):
        database.write(lambda db, row=row: put_app(db, row))  # type: ignore[misc]
    with database.read() as db:
        assert get_app(db, "club", "oauth") == second
        assert get_app(db, "club", "other") is None
    database.write(lambda db: delete_app(db, "club", "oauth"))
    with database.read() as db:
        assert get_app(db, "club", "oauth") is None
