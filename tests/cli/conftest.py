"""`plumbline …` over an empty data folder, without a process of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli import commands


@dataclass
class CommandLine:
    folder: Path
    said: str = ""

    def __call__(self, *words: str, expect: int = 0, **settings: str) -> str:
        """What it prints; `said` holds what it says besides, on the error stream."""
        own = {"data_dir": str(self.folder / "data"), "min_free_mb": "10", **settings}
        env = {f"PLUMBLINE_{name.upper()}": value for name, value in own.items()}
        done = CliRunner().invoke(commands, list(words), env=env, prog_name="plumbline")
        self.said = done.stderr
        assert "Traceback" not in done.output, done.output
        assert done.exit_code == expect, f"exit {done.exit_code}\n{done.output}\n{done.exception!r}"
        return done.stdout

    def json(self, *words: str, **settings: str) -> Any:
        return json.loads(self(*words, "--json", **settings))

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


FLOW = """
format: 1
name: Leads to the CRM
trigger: {kind: webhook}
steps:
  - kind: http
    id: s1
    repeat: safe
    request:
      method: POST
      url: "http://127.0.0.1:${target_port}/contacts"
      body_kind: json
      body: [{name: email, mapping: "{{trigger:$['email']}}"}]
"""


@pytest.fixture
def flow_file(cli: CommandLine) -> str:
    return cli.file("leads.yaml", FLOW)
