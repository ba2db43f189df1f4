"""A field that has another name now is told of at the first record, once, until it is seen to."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app.flows.portable.files import load
from app.flows.renamed import gone_sentence
from app.storage.flows import flows
from app.storage.flows.renamed_fields import leave_alone, note_renamed
from app.storage.letters.dead_letters import cause_of
from app.storage.tables.models import RenamedField
from tests.watch.conftest import House

pytestmark = pytest.mark.postgres
PLACE, NEW = "trigger:$['email']", "$['email_address']"
OLD_RECORD, NEW_RECORD = {"email": "a@x.example"}, {"email_address": "b@x.example"}


def definition(path: str = "$.email") -> object:
    step = {
        "id": "s1",
        "kind": "set",
        "name": "To the CRM",
        "values": [{"name": "e", "mapping": "{{" + path + "}}"}],
    }
    return load({"name": "Leads", "trigger": {"kind": "webhook"}, "steps": [step]})


def publish(house: House, flow_id: str, path: str = "$.email") -> None:
    now = house.clock.now()
    version = house.database.write(
        lambda db: flows.add_version(db, flow_id, definition(path), by=None, now=now)  # type: ignore[arg-type]
    )
    house.history.versions[flow_id] = version.id


def leads(house: House) -> str:
    """A flow that got a record without the field."""
    now = house.clock.now()
    flow_id = house.database.write(
        lambda db: flows.create_flow(db, name="Leads", definition=definition(), owner_id=None, now=now)  # type: ignore[arg-type]
    )
    publish(house, flow_id)
    run = house.history.run(flow_id, payload=NEW_RECORD)
    house.database.write(lambda db: note_renamed(db, flow_id, [(PLACE, NEW)], run_id=run, now=now))
    return flow_id


def test_the_first_record_without_a_field_is_an_alert_with_a_button(house: House) -> None:
    flow_id = leads(house)
    [alert] = house.look()
    assert alert.sentence == (
        "“Leads” no longer gets the field “email”, which step 2 “To the CRM” uses. It looks like it is "
        "called “email_address” now. Runs go on without it: it is left out, and nothing is written over."
    )
    assert (alert.remedy, alert.remedy_url) == ("Use “email_address” instead", f"/flows/{flow_id}/renamed")
    house.history.run(flow_id, payload=NEW_RECORD)
    assert [one.id for one in house.look(seconds=30)] == [alert.id]


def test_what_stopped_on_it_is_told_with_it_and_not_twice(house: House) -> None:
    flow_id = leads(house)
    sentence = gone_sentence("Email", "$['email']", NEW)
    cause = cause_of(flow_id, "s1", "invalid_payload", "field Email")
    facts = {"cause": cause, "position": "s1", "error_kind": "invalid_payload", "sentence": sentence}
    for _ in range(2):
        house.history.run(flow_id, "dead", payload=NEW_RECORD, **facts)
    [alert] = house.look()
    assert (alert.kind, alert.count) == ("renamed", 2)
    assert alert.sentence.endswith("2 runs have stopped and can be sent again.")
    publish(house, flow_id, "$.email_address")
    [left] = house.look(seconds=30)
    assert left.kind == "dead_letters"  # until they are sent again


def test_it_ends_when_the_flow_looks_elsewhere(house: House) -> None:
    flow_id = leads(house)
    assert len(house.look()) == 1
    publish(house, flow_id, "$.email_address")
    assert house.look(seconds=30) == []


def test_it_ends_when_the_field_is_back_for_good(house: House) -> None:
    flow_id = leads(house)
    for number in range(3):
        assert len(house.look(seconds=30)) == 1, number
        house.history.run(flow_id, payload=OLD_RECORD)
    assert house.look(seconds=30) == []


def test_what_somebody_called_something_else_is_told_no_more(house: House) -> None:
    flow_id = leads(house)
    assert len(house.look()) == 1
    house.database.write(lambda db: leave_alone(db, flow_id, PLACE, now=house.clock.now()))
    house.database.write(
        lambda db: note_renamed(db, flow_id, [(PLACE, NEW)], run_id="run_9", now=house.clock.now())
    )
    assert house.look(seconds=30) == []


def test_a_deleted_flow_needs_no_field(house: House) -> None:
    flow_id = leads(house)
    house.database.write(lambda db: flows.delete_flow(db, flow_id, now=house.clock.now()))
    assert house.look() == []


def test_what_was_mended_long_ago_is_forgotten_and_what_was_not_stays(house: House) -> None:
    fixed, open_still = leads(house), leads(house)
    publish(house, fixed, "$.email_address")
    house.clock.advance(timedelta(days=31).total_seconds())
    house.rounds().check_ledger()
    with house.database.read() as db:
        assert db.scalar(select(func.count()).select_from(RenamedField)) == 1
        assert db.scalar(select(RenamedField.flow_id)) == open_still
