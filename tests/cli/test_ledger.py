"""`plumbline ledger`: figures for people and programs, and an exit code for timers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.ids import made_at_ms
from app.storage.database.db import Database
from app.storage.history.received import day_of
from app.storage.tables.models import Run
from app.storage.tables.types import from_ms
from tests.cli.conftest import CommandLine
from tests.fakes.history import History
from tests.fakes.ledger import Records


@pytest.fixture
def records(cli: CommandLine) -> Records:
    cli("users", "list")
    database = Database(f"sqlite:///{Path(cli.folder)}/data/plumbline.db")
    database.start()
    records = Records(database, History(database).flow("New order", []))
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for _ in range(3):
        records.delivery(yesterday, repeated=1)
    return records


def day(records: Records) -> str:
    return day_of(from_ms(made_at_ms(records.runs[0][0])))


def test_a_ledger_that_adds_up_says_so(cli: CommandLine, records: Records) -> None:
    said = cli("ledger")
    assert said.endswith("It adds up.\n")
    assert said.splitlines()[1].split()[:3] == [day(records), "6", "3"]
    assert "New order" in said


def test_a_record_without_a_run_is_said_and_is_an_error(cli: CommandLine, records: Records) -> None:
    records.delete(Run, records.runs[0][0])
    said = cli("ledger", "--days", "3", expect=1)
    assert said.endswith("It does not add up.\n")
    assert "New order: 1 record came in, and there is no run for it." in cli.said


def test_programs_get_the_figures_as_data(cli: CommandLine, records: Records) -> None:
    found = cli.json("ledger", "--flow", records.flow_id, "--days", "4")
    assert found["adds_up"] is True
    days = {one["day"]: one for one in found["days"]}
    yesterday = days.pop(day(records))
    assert [one["received"] for one in days.values()] == [0, 0, 0]
    assert (yesterday["received"], yesterday["duplicates"], yesterday["by"]["webhook"]) == (6, 3, 3)
    assert yesterday["name"] == "New order"


def test_another_flow_has_nothing_to_do_with_it(cli: CommandLine, records: Records) -> None:
    other = Records(records.database, History(records.database).flow("Other", []), 100)
    records.delete(Run, records.runs[0][0])
    assert cli.json("ledger", "--flow", other.flow_id)["adds_up"] is True


def test_a_flow_that_is_not_there_is_said(cli: CommandLine) -> None:
    cli("ledger", "--flow", "flow_x", expect=2)
    assert "There is no such flow." in cli.said
