"""What the documentation says of the bundled services is true."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from app.catalog.workbench.check import check_one
from tests import services_page
from tests.connectors.player import FOLDER
from tests.connectors.player import REGISTRY as ALL

ROOT = Path(__file__).parents[2]
KEYS = sorted(folder.parent.name for folder in FOLDER.glob("*/connector.yaml"))


def test_the_list_of_services_names_each_with_its_level_and_its_document() -> None:
    page = (ROOT / "docs" / "services.md").read_text()
    listed = dict(
        re.findall(r"^\| \[[^]]+\]\(\.\./connectors/(\w+)/README\.md\) (\|.*)$", page, re.MULTILINE)
    )
    assert sorted(listed) == KEYS
    for key, row in listed.items():
        connector = ALL.get(key)
        assert row.endswith(f"| {connector.api.contract or 'written from documentation'} |"), key
        assert f"| {check_one(FOLDER / key, connector.api.checked).level} |" in row, key


def test_the_list_of_services_is_what_the_connectors_say() -> None:
    text = services_page.PAGE.read_text(encoding="utf-8")
    assert text == services_page.page(text), "run: python -m tests.services_page"


def test_the_readme_counts_the_services_right() -> None:
    stated = re.search(
        r"\*\*Services\*\* \| (\d+) with (\d+) triggers and actions", (ROOT / "README.md").read_text()
    )
    assert stated is not None
    operations = sum(len(ALL.get(key).actions) + len(ALL.get(key).triggers) for key in KEYS)
    assert int(stated[1]) == len(KEYS)
    assert int(stated[2]) <= operations


def test_there_are_as_many_services_and_operations_as_were_promised() -> None:
    today = date(2026, 11, 21)
    levels = {key: check_one(FOLDER / key, today).level for key in KEYS}
    assert len(KEYS) >= 45
    assert sum(len(ALL.get(key).actions) + len(ALL.get(key).triggers) for key in KEYS) >= 250
    assert "draft" not in levels.values()
