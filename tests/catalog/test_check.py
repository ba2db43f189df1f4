"""What `connectors check` says, and what a new connector begins with."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from app.catalog.workbench.cassettes import read_cassette
from app.catalog.workbench.check import check_all
from app.catalog.workbench.quality import LEVELS
from app.catalog.workbench.scaffold import AUTH_KINDS, AuthKind, new_connector
from app.catalog.workbench.schema import schemas
from app.catalog.yaml_text import read_yaml
from app.errors import ConnectorInvalid
from tests.catalog.files import ACTION, write_shop

BUNDLED = Path(__file__).parents[2] / "connectors"
TODAY = date(2026, 11, 21)
TAPE = {
    "about": "x",
    "operation": "actions/add",
    "exchange": [{"request": {"method": "POST", "path": "/x"}, "response": {"status": 200}}],
    "expect": {"output": None},
}


WRITTEN_FROM_DOCUMENTATION = {
    "gtm_server",
    "graphql",
    "meta_conversions",
    "imap",
    "meta_lead_ads",
    "moz",
    "rss",
}


def test_every_bundled_connector_is_at_least_proven_or_has_no_document_to_be_compared_with() -> None:
    report = check_all([BUNDLED], today=TODAY)
    assert report.ok
    levels = {one.key: one.level for one in report.connectors}
    assert set(levels) == {
        folder.name for folder in BUNDLED.iterdir() if (folder / "connector.yaml").exists()
    }
    lower = {key for key, level in levels.items() if level and LEVELS.index(level) < LEVELS.index("proven")}
    assert lower == WRITTEN_FROM_DOCUMENTATION
    assert {levels[key] for key in lower} == {"tested"}


def test_a_connector_nobody_compared_for_half_a_year_falls_back_to_draft() -> None:
    report = check_all([BUNDLED / "hubspot"], today=date(2027, 7, 1))
    assert report.connectors[0].level == "draft"
    assert "compare it again" in report.connectors[0].missing[0]


def test_the_report_counts_and_names_what_is_missing(tmp_path: Path) -> None:
    write_shop(tmp_path)
    report = check_all([tmp_path], today=TODAY)
    assert report.ok
    shown = report.as_json()["connectors"][0]
    counts = {"key": "shop", "level": "draft", "actions": 1, "triggers": 2, "lookups": 2, "contract": ""}
    assert {key: shown[key] for key in counts} == counts
    assert "The trigger paid has no cassette of a forged delivery." in shown["missing"]
    assert "shop: draft, 1 actions, 2 triggers, 2 lookups" in report.as_text()


def test_a_broken_connector_is_reported_and_the_others_too(tmp_path: Path) -> None:
    write_shop(tmp_path)
    write_shop(tmp_path, key="broken", actions__add=ACTION.replace("idempotent", "idempotnt"))
    report = check_all([tmp_path], today=TODAY)
    assert not report.ok
    assert [(one.key, one.level) for one in report.connectors] == [("broken", None), ("shop", "draft")]
    assert "'idempotnt' is not known here. There is 'idempotent'" in report.as_text()


def test_no_connector_at_all_is_not_in_order(tmp_path: Path) -> None:
    report = check_all([tmp_path, tmp_path / "nowhere"], today=TODAY)
    assert not report.ok
    assert "No connector was found" in report.as_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON that can be read"),
        ("[" * 100_000, "not JSON that can be read"),
        (json.dumps({**TAPE, "operation": "actions/nothing"}), "the connector has no actions/nothing"),
        (json.dumps({**TAPE, "tape": 1}), "'tape' is not known here"),
        (json.dumps({**TAPE, "exchange": []}), "either an exchange or a delivery"),
        (json.dumps({**TAPE, "about": "xoxb-123456789012-abcdefghijkl"}), "looks like a real secret"),
        (json.dumps({**TAPE, "about": "shpat_0123456789abcdef0123"}), "looks like a real secret"),
        (json.dumps({**TAPE, "about": f"{'0a' * 16}-us21"}), "looks like a real secret"),
    ],
)
def test_a_cassette_that_cannot_be_used_is_named(tmp_path: Path, text: str, words: str) -> None:
    folder = write_shop(tmp_path)
    (folder / "cassettes").mkdir()
    (folder / "cassettes" / "one.json").write_text(text)
    report = check_all([folder], today=TODAY)
    assert not report.ok
    assert words in report.connectors[0].problems[0]


# ------------------------------------------------------------------------------------ scaffold


@pytest.mark.parametrize("auth", AUTH_KINDS)
def test_a_new_connector_is_in_order_from_the_start(tmp_path: Path, auth: AuthKind) -> None:
    name, base_url = "Ana's Shop: 1", "https://api.example.com/v1/"
    folder = new_connector(tmp_path, "my_shop", base_url=base_url, name=name, auth=auth)
    report = check_all([folder], today=TODAY)
    assert report.ok
    assert (report.connectors[0].level, report.connectors[0].actions) == ("draft", 1)
    assert 'name: "Ana\'s Shop: 1"' in (folder / "connector.yaml").read_text()


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"key": "My Shop"}, "small letters"),
        ({"key": "../evil"}, "small letters"),
        ({"key": "shop", "base_url": "api.example.com"}, "is not an address"),
        ({"key": "shop", "base_url": "https://a.example/\nowner: x"}, "is not an address"),
        ({"key": "shop", "name": 'x"\nowner: evil'}, "cannot hold quotes"),
        ({"key": "shop", "auth": "magic"}, "none of bearer"),
    ],
)
def test_a_new_connector_with_a_wrong_value_is_not_written(
    tmp_path: Path, facts: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConnectorInvalid, match=words):
        new_connector(tmp_path, **facts)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    new_connector(tmp_path, "shop")
    with pytest.raises(ConnectorInvalid, match="already"):
        new_connector(tmp_path, "shop")


# -------------------------------------------------------------------------------------- schema


def test_the_schema_for_editors_takes_every_bundled_file() -> None:
    validators = {kind: OAS31Validator(schema) for kind, schema in schemas().items()}
    kinds = {"actions": "action", "triggers": "trigger", "lookups": "lookup", "cassettes": "cassette"}
    wrong = {}
    for file in [*BUNDLED.rglob("*.yaml"), *BUNDLED.rglob("*.json")]:
        kind = kinds.get(file.parent.name, "connector")
        text = file.read_text()
        data = json.loads(text) if file.suffix == ".json" else read_yaml(text, file.name)
        if errors := [error.message for error in validators[kind].iter_errors(data)]:
            wrong[str(file.relative_to(BUNDLED))] = errors
    assert wrong == {}


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    validator = OAS31Validator(schemas()["action"])
    assert not validator.is_valid({"key": "a", "retires": 3})


def test_bundled_cassettes_say_in_a_sentence_what_they_show() -> None:
    for file in BUNDLED.glob("*/cassettes/*.json"):
        assert read_cassette(file, file.name).about.endswith("."), file.name


def test_bundled_connectors_bring_no_code() -> None:
    extra = {file.suffix for file in BUNDLED.rglob("*") if file.is_file() and "__pycache__" not in file.parts}
    assert extra <= {".yaml", ".json", ".svg", ".md", ".py"}
    assert [file.name for file in BUNDLED.rglob("*.py")] == ["__init__.py"]


def test_a_copied_connector_can_be_changed_and_checked(tmp_path: Path) -> None:
    shutil.copytree(BUNDLED / "slack", tmp_path / "slack")
    file = tmp_path / "slack/actions/post_message.yaml"
    file.write_text(file.read_text().replace("limits: [messages]", "limits: [mesages]"))
    report = check_all([tmp_path], today=TODAY)
    assert report.connectors[0].problems[0] == (
        "slack/actions/post_message.yaml: requests.request.limits: there is no limit 'mesages'. "
        "There is 'messages'."
    )
