"""The file of the database really becomes smaller when history goes."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlalchemy import delete, insert

from app.storage.database import shrink
from app.storage.database.db import Database
from app.storage.database.migrate import migrate
from app.storage.database.shrink import compact, file_facts, give_back
from app.storage.tables.models import Event
from tests.fakes.clock import FakeClock


def _fill(database: Database, clock: FakeClock, number: int = 600) -> None:
    row = {"flow_id": "f", "source": "webhook", "label": "", "received_at": clock.now()}
    rows = [{"id": f"evt_{index}", "payload": os.urandom(20_000), **row} for index in range(number)]
    database.write(lambda db: db.execute(insert(Event), rows))


def _empty(database: Database) -> None:
    database.write(lambda db: db.execute(delete(Event)))


def _size(folder: Path) -> int:
    return (folder / "plumbline.db").stat().st_size


def _open(folder: Path) -> Database:
    database = Database(f"sqlite:///{folder / 'plumbline.db'}")
    database.start()
    migrate(database)
    return database


def test_the_room_of_what_is_gone_goes_back_to_the_disk_while_others_write(
    tmp_path: Path, clock: FakeClock
) -> None:
    database = _open(tmp_path)
    _fill(database, clock)
    _empty(database)
    batches: list[float] = []

    def wait(seconds: float) -> bool:
        batches.append(seconds)
        database.write(lambda db: db.execute(insert(Event), _one(clock, len(batches))))
        return False

    assert give_back(database, wait) > 1500
    assert len(batches) > 5
    with database.read() as db:
        assert file_facts(db).free_pages <= shrink._KEPT_PAGES
    database.close()
    assert _size(tmp_path) < 6_000_000


def _one(clock: FakeClock, number: int) -> dict[str, object]:
    row = {"flow_id": "f", "source": "webhook", "label": "", "received_at": clock.now()}
    return {"id": f"evt_new{number}", "payload": b"{}", **row}


def test_a_file_of_an_earlier_release_shrinks_once_it_was_compacted(tmp_path: Path, clock: FakeClock) -> None:
    old = sqlite3.connect(tmp_path / "plumbline.db")
    old.execute("CREATE TABLE before_plumbline (x)")  # so the file exists without the facility
    old.close()
    database = _open(tmp_path)
    _fill(database, clock)
    _empty(database)
    with database.read() as db:
        assert not file_facts(db).shrinks
    assert give_back(database) == 0
    database.close()
    big = _size(tmp_path)
    before, after = compact(tmp_path / "plumbline.db")
    assert before == big
    assert after < big / 10
    again = _open(tmp_path)
    with again.read() as db:
        assert file_facts(db).shrinks
    _fill(again, clock)
    _empty(again)
    assert give_back(again) > 1500
    again.close()
    assert _size(tmp_path) < 6_000_000
