"""A database that was filled under an older release comes to today's schema with every row it had."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, select

from app.storage.connections import connections
from app.storage.database import migrate as migrations
from app.storage.database.db import Database
from app.storage.database.migrate import migrate, schema_head
from app.storage.flows.flows import list_flows
from app.storage.history.runs import runs_page
from app.storage.letters import dead_letters
from app.storage.people import audit, users
from app.storage.tables.types import to_ms
from tests.fakes.history import HTTP, NEXT, NOON, History

OLDER = sorted(
    file.name.partition("_")[0]
    for file in (Path(migrations.__file__).parent / "migrations" / "versions").glob("0*.py")
)[:-1]
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture
def today(tmp_path: Path) -> Rows:
    """What the product writes into each table, as it stands in the file."""
    database = Database(f"sqlite:///{tmp_path / 'today.db'}")
    database.start()
    migrate(database)
    database.write(_fill_settings)
    _fill_history(History(database))
    with database.read() as db:
        rows = _rows(db)
    database.close()
    return rows


def _fill_settings(db: Connection) -> None:
    ana = users.create_user(
        db, email="ana@example.com", name="Ana", password_hash="$argon2id$x", role="admin", now=NOON
    )
    connections.create_connection(
        db,
        connection_id="con_1",
        connector="hubspot",
        name="Main account",
        auth="bearer",
        public={},
        sealed=b"sealed",
        owner_id=ana,
        now=NOON,
    )
    audit.record(db, now=NOON, user_id=ana, action="connected", noun="connection", noun_id="con_1")


def _fill_history(history: History) -> None:
    flow_id = history.flow("New order", [HTTP, NEXT])
    history.delivery(flow_id)
    run_id = history.run(flow_id, payload={"email": "bo@example.com"})
    history.steps(run_id, ["s1", "s2"])
    history.call(run_id)
    history.run(flow_id, "dead", payload=[1], cause="503 crm", sentence="The CRM does not answer.")
    history.run(flow_id, "waiting", payload=[2], reason="delay", wake_at=NOON)
    history.poll(flow_id)


def _rows(db: Connection) -> Rows:
    tables = MetaData()
    tables.reflect(db)
    found: Rows = {}
    for table in tables.sorted_tables:
        if table.name != "alembic_version" and not table.name.startswith("procrastinate_"):
            found[table.name] = [dict(row._mapping) for row in db.execute(select(table))]
    return found


def _as_it_was(database: Database, schema: str, rows: Rows) -> Rows:
    """Makes the tables of that release and puts in what they have columns for."""

    def work(db: Connection) -> Rows:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent / "migrations"))
        config.attributes["connection"] = db
        command.upgrade(config, schema)
        tables = MetaData()
        tables.reflect(db)
        kept: Rows = {}
        for table in tables.sorted_tables:
            columns = set(table.columns.keys())
            kept[table.name] = [
                {name: value for name, value in row.items() if name in columns}
                for row in rows.get(table.name, ())
            ]
            for row in kept[table.name]:
                db.execute(table.insert(), row)
        return {name: found for name, found in kept.items() if found}

    return database.write(work)


@pytest.fixture
def open_empty(
    tmp_path: Path, database_kind: str, request: pytest.FixtureRequest
) -> Callable[[contextlib.ExitStack], Database]:
    def open_(stack: contextlib.ExitStack) -> Database:
        url = f"sqlite:///{tmp_path / 'older.db'}"
        if database_kind == "postgresql":
            url = request.getfixturevalue("empty_postgres_url")
        database = Database(url)
        database.start()
        stack.callback(database.close)
        return database

    return open_


@pytest.mark.postgres
@pytest.mark.parametrize("schema", OLDER)
def test_no_row_of_an_older_release_is_lost_or_changed(
    schema: str, today: Rows, open_empty: Callable[[contextlib.ExitStack], Database]
) -> None:
    with contextlib.ExitStack() as stack:
        database = open_empty(stack)
        before = _as_it_was(database, schema, today)
        assert {"users", "connections", "flows", "flow_versions", "runs", "events", "steps", "calls"} <= set(
            before
        )

        assert migrate(database) is False

        with database.read() as db:
            assert migrations.schema_of(db) == schema_head()
            after = _rows(db)
            for table, rows in before.items():
                shared = [{name: row[name] for name in rows[0]} for row in after[table]]
                assert sorted(shared, key=repr) == sorted(rows, key=repr), table
            # and the product reads what it finds
            assert [flow.name for flow in list_flows(db)] == ["New order"]
            assert len(runs_page(db, limit=10).rows) == 3
            assert [group.count for group in dead_letters.groups(db, limit=5)] == [1]
            assert [row.name for row in connections.list_connections(db)] == ["Main account"]
            assert to_ms(audit.entries(db)[0].at) == to_ms(NOON)
