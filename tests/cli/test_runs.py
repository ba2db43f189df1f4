"""The history, from the command line."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from app.intake.manual import start_run
from app.parts import Parts, open_parts
from app.server.lifetime import Lifetime
from app.settings import Settings
from app.storage.history.detail import get_run
from app.storage.tables.models import FINAL_STATES
from tests.cli.conftest import CommandLine

FLOW = """
name: Sort orders
trigger: {kind: manual}
steps:
  - kind: filter
    id: s1
    conditions: {groups: [[{left: "{{trigger:$['total']}}", operator: greater, right: "10"}]]}
  - kind: set
    id: s2
    values: [{name: size, mapping: big}]
"""


@pytest.fixture
def parts(cli: CommandLine) -> Iterator[Parts]:
    """A server over the same data folder, running."""
    parts = open_parts(Settings(data_dir=cli.folder / "data", min_free_mb=10))
    lifetime = Lifetime(parts)
    lifetime.start()
    yield parts
    lifetime.stop(5)


@pytest.fixture
def run_ids(cli: CommandLine, parts: Parts) -> list[str]:
    """Two runs that have ended, made while commands and the server share one database."""
    (flow,) = cli.json("flows", "import", cli.file("flow.yaml", FLOW), "--on")
    made = [start_run(parts, flow["id"], {"total": total, "email": "a@example.com"}) for total in (5, 50)]
    _wait_for_the_end(parts, made)
    return made


def _wait_for_the_end(parts: Parts, run_ids: list[str]) -> None:
    pause, until = threading.Event(), time.monotonic() + 90
    while time.monotonic() < until:
        with parts.database.read() as db:
            if all(get_run(db, run_id).run.state in FINAL_STATES for run_id in run_ids):
                return
        pause.wait(0.02)
    raise AssertionError("the runs do not end")


def test_runs_are_listed_newest_first_with_state_and_sentence(cli: CommandLine, run_ids: list[str]) -> None:
    small, big = run_ids
    listed = cli.json("runs", "list")
    assert [row["id"] for row in listed["runs"]] == [big, small]
    assert [row["state"] for row in listed["runs"]] == ["succeeded", "filtered"]
    lines = cli("runs", "list").splitlines()
    assert big in lines[0]
    assert "succeeded" in lines[0]


def test_runs_are_found_by_state_flow_time_and_text(cli: CommandLine, run_ids: list[str]) -> None:
    small, big = run_ids
    flow_id = cli.json("flows", "list")[0]["id"]

    def found(*words: str) -> list[str]:
        return [row["id"] for row in cli.json("runs", "list", *words)["runs"]]

    assert found("--state", "filtered") == [small]
    assert found("--state", "filtered", "--state", "succeeded") == [big, small]
    assert found("--flow", flow_id) == [big, small]
    assert found("--flow", "flow_other") == []
    assert found("--since", "2h") == [big, small]
    assert found("--until", "2020-01-01") == []
    assert found("--text", big) == [big]
    assert found("--text", "no such text") == []
    assert found("--limit", "1") == [big]


def test_the_next_page_begins_where_the_last_ended(cli: CommandLine, run_ids: list[str]) -> None:
    first = cli.json("runs", "list", "--limit", "1")
    second = cli.json("runs", "list", "--limit", "1", "--before", first["next_before"])
    assert [row["id"] for row in second["runs"]] == [run_ids[0]]


def test_a_run_shows_its_event_and_every_step(cli: CommandLine, run_ids: list[str]) -> None:
    shown = cli.json("runs", "show", run_ids[1])
    assert shown["event"]["payload"] == {"total": 50, "email": "a@example.com"}
    assert [(step["step_key"], step["state"]) for step in shown["steps"]] == [
        ("s1", "succeeded"),
        ("s2", "succeeded"),
    ]
    assert shown["steps"][1]["output"] == {"size": "big"}
    text = cli("runs", "show", run_ids[1])
    assert "s2" in text
    assert "succeeded" in text


def test_a_run_that_is_not_there_is_a_sentence(cli: CommandLine) -> None:
    cli("runs", "show", "run_nothing", expect=2)
    assert cli.said.startswith("Error: ")


@pytest.mark.parametrize("words", [("--since", "yesterday"), ("--state", "lost"), ("--limit", "0")])
def test_a_filter_that_makes_no_sense_is_refused(cli: CommandLine, words: tuple[str, str]) -> None:
    cli("runs", "list", *words, expect=2)
    assert words[1] in cli.said or words[0] in cli.said
