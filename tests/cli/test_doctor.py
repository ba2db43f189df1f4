"""`plumbline doctor`: sentences for people, JSON for programs, and an exit code for timers."""

from __future__ import annotations

import os
import sqlite3

import pytest

from app.watch import checkup
from tests.cli.conftest import CommandLine


@pytest.fixture(autouse=True)
def _enough_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of whoever runs the tests is not what is tested."""
    monkeypatch.setattr(checkup, "_FEW_FILES", 0)


def test_a_healthy_installation_is_well(cli: CommandLine) -> None:
    cli("users", "list")
    said = cli("doctor")
    assert said.endswith("All is well.\n")
    assert "ok    Database file: The database file is whole." in said


def test_a_key_that_others_can_read_is_said_with_its_cure(cli: CommandLine) -> None:
    cli("users", "list")
    (cli.folder / "data" / "secret.key").chmod(0o644)
    said = cli("doctor", expect=1)
    assert "BAD   Key: Other users of this machine can read" in said
    assert "chmod 600" in said
    assert "1 thing is wrong." in said


def test_another_key_or_none_is_found_without_a_traceback(cli: CommandLine) -> None:
    cli("users", "list")
    os.unlink(cli.folder / "data" / "secret.key")
    assert "secret.key is missing" in cli("doctor", expect=1)
    assert "cannot be opened with this key" in cli("doctor", expect=1, secret_key="ab" * 32)


def test_a_folder_without_a_database_is_not_made_into_one(cli: CommandLine) -> None:
    assert "There is no database" in cli("doctor", expect=1)
    assert not (cli.folder / "data" / "plumbline.db").exists()


def test_programs_get_the_findings_as_data(cli: CommandLine) -> None:
    cli("users", "list")
    found = cli.json("doctor")
    assert found["well"] is True
    assert {one["name"] for one in found["findings"]} >= {
        "Database file",
        "Tables",
        "Disk",
        "Clock",
        "Key fits",
    }


def test_a_file_that_does_not_shrink_is_compacted_on_request(cli: CommandLine) -> None:
    (cli.folder / "data").mkdir()
    old = sqlite3.connect(cli.folder / "data" / "plumbline.db")
    old.execute("CREATE TABLE before_plumbline (x)")
    old.close()
    cli("users", "list")
    assert "doctor --compact" in cli("doctor")
    assert "From now on it becomes smaller by itself" in cli("doctor", "--compact")
    assert "It gives room back" in cli("doctor")
