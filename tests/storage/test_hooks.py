"""Addresses: found by their token, kept without it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from app.storage.database.db import Database
from app.storage.database.secrets import Vault
from app.storage.flows import flows, hooks
from tests.fakes.clock import FakeClock
from tests.storage.test_flows import definition, new_flow

pytestmark = pytest.mark.postgres


VAULT = Vault(b"k" * 32)


def make(database: Database, clock: FakeClock, flow_id: str) -> str:
    return database.write(lambda db: hooks.create_hook(db, VAULT, flow_id, now=clock.now()))


def test_a_token_is_long_and_never_twice_the_same(database: Database, clock: FakeClock) -> None:
    flow_id = new_flow(database, clock)
    tokens = {make(database, clock, flow_id) for _ in range(20)}
    assert len(tokens) == 20
    assert min(len(token) for token in tokens) >= 32


def test_the_token_itself_is_nowhere_in_the_database(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    token = make(database, clock, new_flow(database, clock))
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert token.encode() not in kept


def test_a_hook_says_what_accepting_needs(database: Database, clock: FakeClock) -> None:
    flow_id = new_flow(database, clock)
    token = make(database, clock, flow_id)
    with database.read() as db:
        facts = hooks.find_hook(db, hooks.digest(token))
    assert facts is not None
    assert (facts.flow_id, facts.version_id, facts.is_on) == (flow_id, None, False)
    assert facts.trigger["kind"] == "webhook"


def test_the_live_trigger_counts_not_that_of_the_draft(database: Database, clock: FakeClock) -> None:
    flow_id = new_flow(database, clock)
    token = make(database, clock, flow_id)
    live = database.write(
        lambda db: flows.add_version(db, flow_id, definition(methods=["PUT"]), by=None, now=clock.now())
    )
    with database.read() as db:
        facts = hooks.find_hook(db, hooks.digest(token))
    assert facts is not None
    assert facts.version_id == live.id
    assert facts.trigger["methods"] == ["PUT"]


def test_after_a_rotation_the_newest_address_is_shown(database: Database, clock: FakeClock) -> None:
    flow_id = new_flow(database, clock)
    old = make(database, clock, flow_id)
    end = clock.now() + timedelta(hours=24)
    database.write(lambda db: hooks.retire_hooks(db, flow_id, at=end))
    new = make(database, clock, flow_id)
    with database.read() as db:
        assert hooks.current_token(db, VAULT, flow_id) == new
        facts = hooks.find_hook(db, hooks.digest(old))
    assert facts is not None
    assert facts.retires_at == end


def test_an_unknown_token_finds_nothing(database: Database) -> None:
    with database.read() as db:
        assert hooks.find_hook(db, hooks.digest("\udcff' OR 1=1")) is None
        assert hooks.current_token(db, VAULT, "flow_none") is None
