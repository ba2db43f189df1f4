"""A backup while everything runs, and the way back, where nothing is sent until a person says so."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from app.engine.dispatch.tickets import RunTicket
from app.engine.holds import release_flow
from app.parts import Parts, open_parts
from app.server.lifetime import Lifetime
from app.settings import Settings
from app.storage.flows import flows
from app.storage.flows.standstill import get_standstill, stands_still
from app.storage.tables.models import Flow, Run
from tests.cli.conftest import CommandLine
from tests.engine.world import World, http
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService


def open_world(cli: CommandLine) -> World:
    service, clock = FakeService().answers("*", "*", {"ok": True}), FakeClock()
    settings = Settings(data_dir=cli.folder / "data", min_free_mb=10)
    return World(open_parts(settings, clock=clock, transport=service.transport), service, clock)


@pytest.fixture
def world(cli: CommandLine) -> Iterator[World]:
    world = open_world(cli)
    yield world
    world.parts.database.close()


def _rows(parts: Parts, table: Any) -> list[Any]:
    with parts.database.read() as db:
        return list(db.execute(select(table.__table__)))


def test_a_backup_is_made_beside_a_server_and_says_what_is_in_it(cli: CommandLine, world: World) -> None:
    world.event(world.live(http("s1", "/a")), {"email": "ada@example.com"})
    said = cli("backup", str(cli.folder / "copy.db"))
    assert "1 flows, 0 connections, 1 runs, 1 events, 0 calls" in said
    assert "The key is not in it" in said
    assert (cli.folder / "copy.db").stat().st_mode & 0o777 == 0o600
    assert not list(cli.folder.glob("copy.db?*"))
    copy = sqlite3.connect(cli.folder / "copy.db")
    assert copy.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    copy.close()


def test_the_key_goes_beside_it_only_when_asked_for(cli: CommandLine, world: World) -> None:
    cli("backup", str(cli.folder / "copy.db"), "--with-key")
    beside = cli.folder / "copy.db.key"
    assert beside.stat().st_mode & 0o777 == 0o600
    assert beside.read_text() == (cli.folder / "data" / "secret.key").read_text()


def test_a_backup_never_writes_over_another_file(cli: CommandLine, world: World) -> None:
    (cli.folder / "copy.db").write_text("mine")
    cli("backup", str(cli.folder / "copy.db"), expect=2)
    assert "exists already" in cli.said
    assert (cli.folder / "copy.db").read_text() == "mine"
    cli("backup", str(cli.folder / "nowhere" / "copy.db"), expect=2)
    assert "is not a folder" in cli.said


def test_on_postgres_it_says_which_tool_makes_the_copy(cli: CommandLine) -> None:
    url = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    cli("backup", str(cli.folder / "copy.db"), expect=2, database_url=url)
    assert "pg_dump" in cli.said
    cli("restore", str(cli.folder / "copy.db"), expect=2, database_url=url)
    assert "hold-all" in cli.said


# ------------------------------------------------------------------------------------- restore


def _back_up_and_go_on(cli: CommandLine) -> tuple[str, RunTicket]:
    """A backup with a run under way, which was performed afterwards."""
    world = open_world(cli)
    flow = world.live(http("s1", "/a"))
    ticket = world.event(flow, {"email": "ada@example.com"})
    cli("backup", str(cli.folder / "copy.db"), "--with-key")
    world.parts.database.write(lambda db: db.execute(update(Run).values(state="succeeded")))
    world.parts.database.close()
    return flow[0], ticket


def test_after_a_restore_nothing_goes_on_until_it_is_released(cli: CommandLine) -> None:
    flow_id, ticket = _back_up_and_go_on(cli)
    said = cli("restore", str(cli.folder / "copy.db"))
    assert "Everything is held, with 1 open runs" in said
    (aside,) = (cli.folder / "data").glob("replaced-*")
    assert (aside / "plumbline.db").exists()
    assert not (cli.folder / "data" / "restoring.db").exists()
    world = open_world(cli)
    try:
        _check_held(world, flow_id, ticket)
        world.parts.engine.start()
        release_flow(world.parts, flow_id)
        world.again(ticket)
        assert world.state(ticket).state == "succeeded"
        with world.parts.database.read() as db:
            assert get_standstill(db) is None
    finally:
        world.parts.engine.stop(2)
        world.parts.database.close()


def _check_held(world: World, flow_id: str, ticket: RunTicket) -> None:
    (run,) = _rows(world.parts, Run)
    assert (run.state, run.reason) == ("waiting", "held_flow")
    assert "when the backup of" in run.sentence
    assert _rows(world.parts, Flow)[0].is_held
    with world.parts.database.read() as db:
        standstill = get_standstill(db)
        assert stands_still(db) == {flow_id}
    assert standstill is not None
    assert standstill.waiting == 1
    assert standstill.backup_of is not None


def test_a_flow_that_a_person_held_stays_held_by_that_person(cli: CommandLine, world: World) -> None:
    mine, _ = world.live(http("s1", "/a"))
    other, _ = world.live(http("s1", "/b"))
    world.parts.database.write(lambda db: flows.set_held(db, mine, True, now=world.clock.now()))
    cli("hold-all", "--yes")
    with world.parts.database.read() as db:
        assert stands_still(db) == {other}


def test_a_restore_is_refused_over_a_running_server(cli: CommandLine) -> None:
    _back_up_and_go_on(cli)
    world = open_world(cli)
    lifetime = Lifetime(world.parts)
    lifetime.start()
    try:
        cli("restore", str(cli.folder / "copy.db"), expect=2)
        assert "already serves this data folder" in cli.said
    finally:
        lifetime.stop(2)


def test_the_key_beside_the_backup_comes_with_it_and_the_old_one_is_kept(cli: CommandLine) -> None:
    _back_up_and_go_on(cli)
    here = cli.folder / "data" / "secret.key"
    right = here.read_text()
    here.write_text("ab" * 32 + "\n")
    cli("restore", str(cli.folder / "copy.db"))
    assert here.read_text() == right
    (aside,) = (cli.folder / "data").glob("replaced-*")
    assert (aside / "secret.key").read_text() == "ab" * 32 + "\n"
    open_world(cli).parts.database.close()


def test_a_backup_of_another_key_is_refused_and_nothing_is_replaced(cli: CommandLine) -> None:
    _back_up_and_go_on(cli)
    (cli.folder / "copy.db.key").unlink()
    (cli.folder / "data" / "secret.key").write_text("ab" * 32 + "\n")
    before = (cli.folder / "data" / "plumbline.db").read_bytes()
    cli("restore", str(cli.folder / "copy.db"), expect=2)
    assert "cannot be opened with this key" in cli.said
    assert (cli.folder / "data" / "plumbline.db").read_bytes() == before
    assert not list((cli.folder / "data").glob("re*"))


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to look like one" * 99])
def test_what_is_no_backup_is_refused(cli: CommandLine, content: bytes) -> None:
    _back_up_and_go_on(cli)
    (cli.folder / "other.db").write_bytes(content)
    cli("restore", str(cli.folder / "other.db"), expect=2)
    assert "other.db" in cli.said
    cli("restore", str(cli.folder / "missing.db"), expect=2)
    assert "is not there" in cli.said


def test_a_damaged_backup_is_found_out_before_anything_is_replaced(cli: CommandLine) -> None:
    _back_up_and_go_on(cli)
    _damage(cli.folder / "copy.db")
    cli("restore", str(cli.folder / "copy.db"), expect=2)
    assert not list((cli.folder / "data").glob("replaced-*"))


def _damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for page in range(2, 30):
        data[page * 4096 : page * 4096 + 600] = b"\xff" * 600
    path.write_bytes(bytes(data))
