"""Drafts, versions and what keeps a flow from being deleted."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, insert, select

from app.errors import FlowInvalid, NotFound, Stale
from app.flows.model import FlowDefinition
from app.storage.database.db import Database
from app.storage.database.secrets import Vault
from app.storage.flows import flows, hooks
from app.storage.tables.models import FlowVersion, Hook, Run
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.postgres


def definition(name: str = "Welcome", **trigger: Any) -> FlowDefinition:
    return FlowDefinition.model_validate(
        {
            "name": name,
            "trigger": {"kind": "webhook", **trigger},
            "steps": [{"id": "s1", "kind": "stop", "message": "Bye {{$.name}}"}],
        }
    )


def new_flow(database: Database, clock: FakeClock, name: str = "Welcome") -> str:
    return database.write(
        lambda db: flows.create_flow(
            db, name=name, definition=definition(), owner_id="usr_1", now=clock.now()
        )
    )


def test_a_new_flow_is_a_draft_that_is_off(database: Database, clock: FakeClock) -> None:
    flow_id = new_flow(database, clock)
    with database.read() as db:
        flow = flows.get_flow(db, flow_id)
        assert flows.live_definition(db, flow_id) is None
    assert (flow.name, flow.is_on, flow.live_number, flow.trigger_kind) == ("Welcome", False, None, "webhook")
    assert flow.draft == definition()
    assert flow.created_at == clock.now()


def test_of_two_people_who_edit_the_second_is_told(database: Database, clock: FakeClock) -> None:
    flow_id = new_flow(database, clock)
    save = lambda name, revision: database.write(  # noqa: E731
        lambda db: flows.save_draft(db, flow_id, definition(name), revision=revision, now=clock.now())
    )
    assert save("Mine", 1) == 2
    with pytest.raises(Stale, match="Somebody else"):
        save("Yours", 1)
    with database.read() as db:
        assert flows.get_flow(db, flow_id).name == "Mine"


def test_renaming_is_an_edit(database: Database, clock: FakeClock) -> None:
    flow_id = new_flow(database, clock)
    database.write(lambda db: flows.rename(db, flow_id, "Farewell", now=clock.now()))
    with database.read() as db:
        flow = flows.get_flow(db, flow_id)
    assert (flow.name, flow.draft.name, flow.draft_revision) == ("Farewell", "Farewell", 2)


def test_versions_are_numbered_and_never_change(database: Database, clock: FakeClock) -> None:
    flow_id = new_flow(database, clock)
    for name in ("One", "Two"):
        database.write(
            lambda db, name=name: flows.add_version(
                db, flow_id, definition(name), by="usr_1", now=clock.now()
            )
        )
    with database.read() as db:
        versions = flows.list_versions(db, flow_id)
        live = flows.live_definition(db, flow_id)
        assert flows.get_flow(db, flow_id).live_number == 2
        assert flows.get_version(db, versions[1].id).definition.name == "One"
    assert [version.number for version in versions] == [2, 1]
    assert live is not None
    assert live.name == "Two"


def test_flows_are_listed_by_name_whatever_the_letters(database: Database, clock: FakeClock) -> None:
    for name in ("beta", "Alpha", "gamma"):
        new_flow(database, clock, name)
    with database.read() as db:
        assert [flow.name for flow in flows.list_flows(db)] == ["Alpha", "beta", "gamma"]


def test_a_sample_is_what_the_last_test_sent(database: Database, clock: FakeClock) -> None:
    flow_id = new_flow(database, clock)
    with database.read() as db:
        assert flows.get_sample(db, flow_id) is None
    database.write(lambda db: flows.set_sample(db, flow_id, {"email": "a@b.c"}))
    with database.read() as db:
        assert flows.get_sample(db, flow_id) == {"email": "a@b.c"}


def test_a_flow_that_is_on_is_not_deleted(database: Database, clock: FakeClock) -> None:
    flow_id = new_flow(database, clock)
    database.write(lambda db: flows.set_on(db, flow_id, True, now=clock.now()))
    with pytest.raises(FlowInvalid, match="switched on"):
        database.write(lambda db: flows.delete_flow(db, flow_id, now=clock.now()))


def test_a_flow_with_open_runs_is_not_deleted(database: Database, clock: FakeClock) -> None:
    flow_id = new_flow(database, clock)
    row = {"id": "run_1", "flow_id": flow_id, "version_id": "ver_1", "event_id": "evt_1", "state": "waiting"}
    more = {"label": "", "source": "webhook", "created_at": clock.now()}
    database.write(lambda db: db.execute(insert(Run), row | more))
    with pytest.raises(FlowInvalid, match="1 run of “Welcome” have not ended"):
        database.write(lambda db: flows.delete_flow(db, flow_id, now=clock.now()))


def test_a_deleted_flow_is_gone_but_its_history_still_names_it(database: Database, clock: FakeClock) -> None:
    flow_id = new_flow(database, clock)
    database.write(lambda db: flows.add_version(db, flow_id, definition(), by=None, now=clock.now()))
    database.write(lambda db: hooks.create_hook(db, Vault(b"k" * 32), flow_id, now=clock.now()))
    database.write(lambda db: flows.delete_flow(db, flow_id, now=clock.now()))
    with database.read() as db:
        assert flows.list_flows(db) == []
        assert flows.flow_names(db, [flow_id]) == {flow_id: "Welcome"}
        assert db.scalar(select(func.count()).select_from(Hook)) == 0
        assert db.scalar(select(func.count()).select_from(FlowVersion)) == 1
        with pytest.raises(NotFound):
            flows.get_flow(db, flow_id)
    with pytest.raises(NotFound):
        database.write(lambda db: flows.save_draft(db, flow_id, definition(), revision=1, now=clock.now()))


def test_a_flow_nobody_made_is_not_found(database: Database) -> None:
    with database.read() as db, pytest.raises(NotFound):
        flows.get_flow(db, "flow_none' OR 1=1 --")
    with database.read() as db, pytest.raises(NotFound):
        flows.get_version(db, "ver_none")
