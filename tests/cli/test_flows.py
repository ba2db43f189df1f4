"""Flows as files, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import FLOW, CommandLine


def test_an_imported_flow_can_be_called_at_the_address_that_is_printed(
    cli: CommandLine, flow_file: str
) -> None:
    (made,) = cli.json("flows", "import", flow_file, "--set", "target_port=9", "--publish", "--on")
    assert made["name"] == "Leads to the CRM"
    assert made["hook_url"].startswith("http://127.0.0.1:8000/hooks/")
    (row,) = cli.json("flows", "list")
    assert row == {
        "id": made["id"],
        "name": "Leads to the CRM",
        "on": True,
        "held": False,
        "live_version": 1,
    }


def test_what_is_exported_can_be_imported_again_unchanged(cli: CommandLine, flow_file: str) -> None:
    (first,) = cli.json("flows", "import", flow_file, "--set", "target_port=9")
    text = cli("flows", "export", first["id"])
    (second,) = cli.json("flows", "import", cli.file("again.yaml", text))
    assert second["id"] != first["id"]
    renamed = text.replace("name: Leads to the CRM\n", "name: Leads to the CRM 2\n", 1)  # the first is taken
    assert cli("flows", "export", second["id"]) == renamed
    assert "9/contacts" in text


def test_an_export_goes_to_a_file_when_asked(cli: CommandLine, flow_file: str, tmp_path: Path) -> None:
    (made,) = cli.json("flows", "import", flow_file)
    assert cli("flows", "export", made["id"], "--to", str(tmp_path / "out.yaml")) == ""
    assert "Leads to the CRM" in (tmp_path / "out.yaml").read_text()


def test_several_flows_in_one_file_are_all_imported(cli: CommandLine) -> None:
    two = "".join(f"- {{name: Flow {n}, trigger: {{kind: manual}}, steps: []}}\n" for n in (1, 2))
    made = cli.json("flows", "import", cli.file("two.yaml", two))
    assert [one["name"] for one in made] == ["Flow 1", "Flow 2"]
    assert [one["hook_url"] for one in made] == ["", ""]


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        (FLOW.replace("kind: http", "kind: htttp"), "steps", "htttp"),
        (FLOW.replace("method: POST", "method: SEND"), "s1", "SEND"),
        (FLOW.replace("trigger: {kind: webhook}", "trigger: {}"), "trigger", "kind"),
        (FLOW.replace("format: 1", "format: 9"), "leads.yaml", "newer release"),
        (FLOW + "\nname: Twice\n", "leads.yaml", "twice"),
        (FLOW + "\nsecret: [\n", "leads.yaml", ""),
        ("", "leads.yaml", ""),
        ("[]", "leads.yaml", "no flow"),
        ("just words", "leads.yaml", "not a flow"),
        ("a: &x 1\nb: *x", "leads.yaml", "anchors"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_the_place_and_the_reason(
    cli: CommandLine, text: str, place: str, reason: str
) -> None:
    cli("flows", "import", cli.file("leads.yaml", text), expect=2)
    assert "leads.yaml" in cli.said
    assert place in cli.said
    assert reason in cli.said
    assert cli.json("flows", "list") == []


def test_bytes_that_are_no_text_are_refused(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "leads.yaml").write_bytes(b"\xff\xfe\x00name")
    cli("flows", "import", str(tmp_path / "leads.yaml"), expect=2)
    assert "not a text file" in cli.said


def test_a_flow_that_cannot_go_live_is_kept_as_a_draft_and_named(cli: CommandLine) -> None:
    file = cli.file("empty.yaml", "name: Nothing to do\ntrigger: {kind: manual}\nsteps: []\n")
    cli("flows", "import", file, "--publish", expect=2)
    assert "no steps" in cli.said
    (row,) = cli.json("flows", "list")
    assert (row["on"], row["live_version"]) == (False, None)


def test_an_unknown_flow_or_file_is_a_sentence(cli: CommandLine) -> None:
    cli("flows", "export", "flow_nothing", expect=2)
    assert "Error:" in cli.said
    cli("flows", "import", "/no/such/file.yaml", expect=2)
    assert "does not exist" in cli.said


def test_a_setting_that_is_misspelt_names_the_right_one(cli: CommandLine) -> None:
    cli("flows", "list", expect=2, prot="8001")
    assert "PLUMBLINE_PROT is not a setting" in cli.said
    assert "PLUMBLINE_PORT" in cli.said


def test_a_malformed_set_is_refused(cli: CommandLine, flow_file: str) -> None:
    cli("flows", "import", flow_file, "--set", "target_port", expect=2)
    assert "--set name=value" in cli.said


def test_the_list_for_people_says_what_is_on(cli: CommandLine, flow_file: str) -> None:
    cli("flows", "import", flow_file, "--set", "target_port=9", "--on")
    cli("flows", "import", cli.file("b.yaml", FLOW.replace("Leads to the CRM", "Other")))
    lines = cli("flows", "list").splitlines()
    assert any("on " in line and "v1" in line and "Leads" in line for line in lines)
    assert any("off" in line and "draft" in line and "Other" in line for line in lines)
