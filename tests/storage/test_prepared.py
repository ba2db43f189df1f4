"""Rows written together are the rows that one statement each would have written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    bindparam,
    insert,
    literal_column,
    select,
    update,
)

from app.storage.database.db import Database
from app.storage.database.prepared import Row, Statement
from app.storage.tables.types import Moment

THINGS = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", Text),
    Column("body", LargeBinary),
    Column("at", Moment),
    Column("state", Text, default="new"),
)
ADD = Statement(insert(THINGS), 0)
CHANGE = Statement(
    update(THINGS)
    .where(THINGS.c.id == bindparam("of_thing"), THINGS.c.state != literal_column("'kept'"))
    .values(name=bindparam("to_name"), state=bindparam("to_state")),
    1,
)


@pytest.fixture
def database(tmp_path: Path) -> Any:
    database = Database(f"sqlite:///{tmp_path}/things.db")
    database.start()
    yield database
    database.close()


def written(database: Database, rows: list[Row], changes: list[Row], *, at_once: int) -> list[Any]:
    def work(db: Connection) -> list[Any]:
        THINGS.drop(db, checkfirst=True)
        THINGS.create(db)
        for statement, given_rows in ((ADD, rows), (CHANGE, changes)):
            for start in range(0, len(given_rows), at_once):
                statement.execute(db, given_rows[start : start + at_once])
        return list(db.execute(select(THINGS).order_by(THINGS.c.id)))

    return database.write(work)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8) | st.none()
STATE = st.sampled_from(["new", "kept", "done", "what?"])


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data(), count=st.integers(0, 90))
def test_a_group_is_written_as_its_rows_one_by_one(
    database: Database, data: st.DataObject, count: int
) -> None:
    row = st.fixed_dictionaries(
        {
            "name": TEXT,
            "body": st.binary(max_size=8) | st.none(),
            "at": st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
            | st.none(),
            "state": STATE,
        }
    )
    rows = [{"id": number, **data.draw(row)} for number in range(count)]
    change = st.fixed_dictionaries({"of_thing": st.integers(0, 95), "to_name": TEXT, "to_state": STATE})
    changes = data.draw(st.lists(change, max_size=90))
    together = written(database, rows, changes, at_once=1000)
    assert together == written(database, rows, changes, at_once=1)


def test_of_two_changes_to_one_row_the_last_stands(database: Database) -> None:
    rows = [{"id": number, "name": "", "body": None, "at": None} for number in range(20)]
    changes = [{"of_thing": number % 10, "to_name": str(number), "to_state": "done"} for number in range(20)]
    found = written(database, rows, changes, at_once=1000)
    assert [row.name for row in found[:10]] == [str(number + 10) for number in range(10)]
    assert [row.state for row in found] == ["done"] * 10 + ["new"] * 10
