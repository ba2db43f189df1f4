"""From SQLite to PostgreSQL with one command, counted on both sides."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from app.errors import SettingInvalid
from app.settings import Settings
from app.storage.database.db import Database
from app.storage.database.folder_lock import alone
from app.storage.database.migrate import migrate
from app.storage.database.moving import Moved, move
from app.storage.people.users import create_user
from tests.fakes.clock import FakeClock
from tests.faults.flows import STEPS, call, flow_file
from tests.faults.target import Target
from tests.product import Product
from tests.scaleout.installation import KEY, Installation, wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(1200)]

Install = Callable[..., Installation]


def _rows(file: Path, table: str) -> int:
    with sqlite3.connect(file) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.fixture
def small(install: Install, target: Target) -> Installation:
    """An installation on SQLite with some history and one run still to come, stopped."""
    one = install(allow_targets=f"127.0.0.1:{target.port}")
    one.web = Product(one.folder / "small", {"secret_key": KEY, "allow_targets": f"127.0.0.1:{target.port}"})
    one.web.start()
    one.web.add_user()
    wait = {"kind": "delay", "id": "pause", "mode": "for", "amount": "3", "unit": "seconds"}
    flow = flow_file("late", [wait, call(target.port, STEPS[0], name="one")])
    address = one.install(flow)
    assert (
        httpx.post(address, json={"order": 1, "check": "1"}, trust_env=False, timeout=60).status_code == 202
    )
    file = one.web.data_dir / "plumbline.db"
    wait_until(lambda: _rows(file, "steps") > 0, "the run waits", lambda: one.web.log)
    assert one.web.stop() == 0
    return one


def test_everything_is_there_and_what_waited_goes_on(small: Installation, target: Target) -> None:
    file = small.web.data_dir / "plumbline.db"
    kept = {table: _rows(file, table) for table in ("runs", "steps", "events", "users", "flows")}
    printed = small.web.command("move", small.url)
    assert "counted on both sides" in printed
    for table, rows in kept.items():
        assert small.ask(f"SELECT count(*) FROM {table}") == [(rows,)]
        assert _rows(file, table) == rows
    small.web = Installation(small.folder / "grown", small.url, allow_targets=f"127.0.0.1:{target.port}").web
    small.web.words = ("serve", "--embedded")
    small.web.start()
    small.wait_for_the_end(1)
    assert [place for place, times in target.got.items() if times != 1] == []


# ------------------------------------------------------------------- what goes wrong, in one process


@pytest.fixture
def grown(shared_url: str) -> Iterator[Database]:
    database = Database(shared_url)
    database.start()
    yield database
    database.close()


@pytest.fixture
def source(settings: Settings) -> Iterator[Database]:
    database = Database(settings.database)
    database.start()
    migrate(database)
    yield database
    database.close()


def _add_person(database: Database) -> None:
    facts = {"email": "ada@example.com", "name": "Ada", "password_hash": "…", "role": "admin"}
    database.write(lambda db: create_user(db, **facts, now=FakeClock().now()))


def _people(database: Database) -> int:
    with database.read() as db:
        return db.execute(text("SELECT count(*) FROM users")).scalar_one()


def test_a_target_that_is_not_empty_is_refused_and_left_as_it_was(source: Database, grown: Database) -> None:
    _add_person(source)
    migrate(grown)
    _add_person(grown)
    with pytest.raises(SettingInvalid, match=r"not empty: users \(1\)") as refused:
        move(source, grown, say=lambda _: None)
    assert "empty database" in refused.value.remedy
    assert _people(grown) == 1


def test_a_move_that_broke_off_is_begun_anew(source: Database, grown: Database) -> None:
    _add_person(source)

    def break_off(moved: Moved) -> None:
        if moved.table == "users":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(source, grown, say=break_off)
    assert _people(grown) == 1
    done = move(source, grown, say=lambda _: None)
    assert _people(grown) == 1
    assert ("users", 1) in [(one.table, one.rows) for one in done]
    with pytest.raises(SettingInvalid, match="not empty"):
        move(source, grown, say=lambda _: None)


def test_beside_a_running_server_nothing_is_moved(source: Database, settings: Settings) -> None:
    with (
        alone(settings),
        pytest.raises(SettingInvalid, match="already serves this data folder"),
        alone(settings),
    ):
        raise AssertionError("two at once")
