"""Flows from other tools, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bring_flows.exports import export, node
from tests.cli.conftest import CommandLine

HOOK = node("Hook", "webhook", 2, parameters={"path": "lead", "httpMethod": "POST"})
SEND = node(
    "Send",
    "httpRequest",
    4.2,
    parameters={"url": "=https://x.example.com/{{ $json.body.id }}", "options": {}},
)
CODE = node("Code", "code", 2, parameters={"jsCode": "return []"})


def _file(cli: CommandLine, data: object) -> str:
    return cli.file("leads.json", json.dumps(data))


def test_an_export_of_n8n_comes_in_as_a_draft_with_a_report(cli: CommandLine) -> None:
    told = cli.json("import", "n8n", _file(cli, export(HOOK, SEND, CODE)))
    (made,) = told.pop("flows")
    assert made["name"] == "Leads"
    assert told == {
        "nodes": 3,
        "carried": 2,
        "expressions": 1,
        "carried_expressions": 1,
        "left_out": [
            {
                "what": "Code (code)",
                "where": "Code",
                "reason": "It is a program. Set what it worked out, for example with functions of fields.",
            }
        ],
    }
    (row,) = cli.json("flows", "list")
    assert (row["id"], row["live_version"]) == (made["id"], None)
    assert "{{trigger:$['id']}}" in cli("flows", "export", made["id"])


def test_a_dry_run_only_reports(cli: CommandLine) -> None:
    told = cli.json("import", "n8n", "--dry-run", _file(cli, export(HOOK, SEND)))
    assert told["flows"] == [{"id": "", "name": "Leads"}]
    assert cli.json("flows", "list") == []


def test_a_flow_with_gaps_is_not_published_and_the_sentence_says_why(cli: CommandLine) -> None:
    (made,) = cli.json("import", "n8n", _file(cli, export(HOOK, CODE)))["flows"]
    text = cli("flows", "export", made["id"])
    cli("flows", "import", cli.file("again.yaml", text), "--publish", expect=2)
    assert "Not brought along: Code (code)." in cli.said


def test_two_of_one_name_are_told_apart(cli: CommandLine) -> None:
    file = _file(cli, export(HOOK, SEND))
    names = [cli.json("import", "n8n", file)["flows"][0]["name"] for _ in range(2)]
    assert names == ["Leads", "Leads 2"]


def test_what_is_no_export_is_refused_with_file_and_reason(cli: CommandLine, tmp_path: Path) -> None:
    cli("import", "n8n", cli.file("leads.json", '{"nodes": "many", "connections": {}}'), expect=2)
    assert "leads.json" in cli.said
    cli("import", "n8n", cli.file("leads.json", '{"nodes": ['), expect=2)
    assert "leads.json, line 1: this is not JSON" in cli.said
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    cli("import", "n8n", str(tmp_path / "binary.json"), expect=2)
    assert "not a text file" in cli.said
    assert cli.json("flows", "list") == []
