"""Connectors, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import CommandLine


def test_all_that_come_with_plumbline_are_in_order(cli: CommandLine) -> None:
    report = cli.json("connectors", "check")
    by_key = {one["key"]: one for one in report["connectors"]}
    assert {"hubspot", "shopify", "demo_shop", "demo_crm", "demo_mail", "demo_chat"} <= set(by_key)
    assert {key: one["problems"] for key, one in by_key.items() if one["problems"]} == {}


def test_a_new_connector_is_in_order_from_the_start(cli: CommandLine, tmp_path: Path) -> None:
    said = cli("connectors", "new", "my_tool", "--base-url", "https://api.my-tool.example.com")
    folder = tmp_path / "data" / "connectors" / "my_tool"
    assert str(folder) in said
    (one,) = cli.json("connectors", "check", str(folder))["connectors"]
    assert (one["key"], one["problems"]) == ("my_tool", [])


def test_a_broken_connector_is_named_with_file_and_reason(cli: CommandLine, tmp_path: Path) -> None:
    cli("connectors", "new", "my_tool", "--folder", str(tmp_path))
    action = next((tmp_path / "my_tool" / "actions").glob("*.yaml"))
    action.write_text(action.read_text().replace("method: ", "methode: "))
    said = cli("connectors", "check", str(tmp_path / "my_tool"), expect=1)
    assert action.name in said
    assert "methode" in said


def test_a_connector_that_is_there_is_not_overwritten(cli: CommandLine) -> None:
    cli("connectors", "new", "my_tool")
    cli("connectors", "new", "my_tool", expect=2)
    assert "Error:" in cli.said
    cli("connectors", "new", "../evil", expect=2)
    assert "my_shop" in cli.said


def test_editors_get_the_schema_of_each_kind_of_file(cli: CommandLine) -> None:
    for kind in ("connector", "action", "trigger", "lookup", "cassette"):
        shown = json.loads(cli("connectors", "schema", kind))
        assert shown["$schema"].startswith("https://json-schema.org/")
