"""docs/connectors.md, followed step by step."""

from __future__ import annotations

import re
import textwrap
from datetime import date
from pathlib import Path

import pytest

from app.catalog.load import load_connector
from app.catalog.templates import PIPES
from app.catalog.workbench.check import check_all
from app.catalog.workbench.scaffold import new_connector

DOC = (Path(__file__).parents[2] / "docs" / "connectors.md").read_text()
TODAY = date(2026, 11, 21)


def blocks(kind: str) -> list[str]:
    found = re.findall(rf"^( *)```{kind}\n(.*?)^ *```$", DOC, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(text) for _, text in found]


@pytest.fixture
def loyalty(tmp_path: Path) -> Path:
    folder = new_connector(tmp_path, "loyalty", base_url="https://api.loyalty.example/v1", auth="api_key")
    assert check_all([folder], today=TODAY).ok
    (folder / "actions/create_contact.yaml").unlink()
    (folder / "triggers/new_contact.yaml").unlink()
    for text in blocks("yaml"):
        name = text.split("\n", 1)[0].removeprefix("# loyalty/")
        (folder / name).write_text(text)
    return folder


def test_the_connector_of_the_guide_is_in_order(loyalty: Path) -> None:
    report = check_all([loyalty], today=TODAY)
    assert report.ok
    assert (report.connectors[0].actions, report.connectors[0].triggers) == (1, 1)
    connector = load_connector(loyalty)
    assert connector.actions["add_member"].identity == ("email",)


def test_the_cassette_of_the_guide_counts(loyalty: Path) -> None:
    wanted = "The action add_member has no cassette of a failure."
    assert wanted in check_all([loyalty], today=TODAY).connectors[0].missing
    (loyalty / "cassettes/add_member.refused.json").write_text(blocks("json")[0])
    report = check_all([loyalty], today=TODAY)
    assert report.ok
    assert wanted not in report.connectors[0].missing


def test_the_guide_names_every_pipe() -> None:
    listed = re.search(r"Pipes: `([^`]+)`", DOC)
    assert listed is not None
    assert sorted(listed[1].split()) == sorted(PIPES)
