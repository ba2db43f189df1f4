"""The documents say what is true: every setting, command, error kind and file they name is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from app.cli import commands
from app.errors import ERROR_KINDS
from app.flows.mapping.functions.menu import FUNCTIONS
from app.flows.model import ActionStep, ConnectorTrigger, walk
from app.flows.portable.files import from_text
from app.flows.review.flow import review
from app.settings import PREFIX, Settings
from tests import functions_page
from tests.connectors.player import REGISTRY

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"])
FOREIGN = re.compile(
    r"\b(zap|scenario|scenarios|node|nodes|credential|plugin|execution|executions)\b", re.IGNORECASE
)


OF_OTHER_TOOLS = {"concepts.md", "bring-your-flows.md"}  # they set the words of other tools beside ours
HEADINGS = {"Question", "Choice", "Weighed", "Measured", "Given up", "Reconsider"}
RECIPES = sorted((ROOT / "docs" / "recipes").glob("*.yaml"))
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("0*.md"))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _leaves(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _leaves(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def test_every_setting_is_in_the_documents_as_it_is_in_the_code() -> None:
    text = read("docs/settings.md")
    for setting in fields(Settings):
        default = str(int(setting.default) if isinstance(setting.default, bool) else setting.default or "")
        shown = f"`{default}`" if default else ""
        row = f"| `{PREFIX}{setting.name.upper()}` | {shown} | {setting.metadata['sentence']} |"
        assert row in text, f"docs/settings.md needs the row: {row}"


def test_no_document_names_a_setting_that_is_not_there() -> None:
    of_tests = {"PLUMBLINE_CHROMIUM", "PLUMBLINE_LONG"}
    known = {PREFIX + setting.name.upper() for setting in fields(Settings)} | of_tests
    for page in PAGES:
        named = set(re.findall(r"PLUMBLINE_[A-Z_]*[A-Z]", page.read_text(encoding="utf-8")))
        assert {name.removesuffix("_FILE") for name in named} <= known, page.name


def test_every_command_and_option_is_in_the_documents() -> None:
    rows = [line for line in read("docs/command-line.md").splitlines() if line.startswith("| `plumbline")]
    for path, command in _leaves(commands, "plumbline"):
        (row,) = [line for line in rows if line.startswith(f"| `{path}` |")] or [""]
        assert row, f"docs/command-line.md says nothing of {path}"
        options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
        for option in options:
            assert f"`{option.opts[0]}`" in row, f"{path}: {option.opts[0]}"
    assert len(rows) == len(list(_leaves(commands, "plumbline")))


def test_every_kind_of_error_is_explained() -> None:
    text = read("docs/errors.md")
    for kind in ERROR_KINDS:
        assert f"| `{kind}` |" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_document_links_to_is_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_the_files_that_contributors_are_sent_to_are_there() -> None:
    for name in re.findall(r"`((?:app|connectors|tests)/[\w./]+)`", read("CONTRIBUTING.md")):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_documents_use_our_words(page: Path) -> None:
    text = re.sub(r"`[^`]*`|```.*?```|https?://\S+", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    if page.name not in OF_OTHER_TOOLS:
        assert FOREIGN.findall(text.replace("New record (nodes)", "")) == []  # a trigger of GraphQL


@pytest.mark.parametrize("record", DECISIONS, ids=lambda record: record.name[:4])
def test_a_decision_has_a_status_a_date_and_the_usual_headings(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    assert re.match(rf"# {int(record.name[:4])}\. ", text)
    assert re.search(r"^Status: (accepted|replaced)[^·\n]* · Date: \d{4}-\d\d-\d\d$", text, re.MULTILINE)
    used = re.findall(r"^\*\*([^*]+?)\.?\*\*", text, re.MULTILINE)
    assert set(used) <= HEADINGS
    assert {"Question", "Choice"} <= set(used)


def test_decisions_are_numbered_without_gaps_or_the_index_says_why() -> None:
    index = read("docs/decisions/README.md")
    numbers = {int(record.name[:4]) for record in DECISIONS}
    for number in range(1, max(numbers) + 1):
        assert number in numbers or re.search(rf"^{number}: \w", index, re.MULTILINE), number
    for record in DECISIONS:
        assert f"({record.name})" in index, f"docs/decisions/README.md does not list {record.name}"


def test_the_page_of_functions_is_what_the_functions_say() -> None:
    assert functions_page.PAGE.read_text(encoding="utf-8") == functions_page.page(), (
        "run: python -m tests.functions_page"
    )


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_a_recipe_can_be_imported_and_needs_only_choices_of_the_account(file: Path) -> None:
    """What is left to do after importing is choosing connections and the account's own lists."""
    (flow,) = from_text(file.read_text(encoding="utf-8"), file.name)
    connections = {key: connection.connector for key, connection in flow.connections.items()}
    parts = {step.id: step for step in walk(flow.definition.steps)} | {"trigger": flow.definition.trigger}
    for problem in review(flow.definition, REGISTRY, connections):
        if problem.blocking:
            field = re.fullmatch(r"input\.(\w+)", problem.field)
            assert field, problem.sentence
            assert offered_by_the_account(parts[problem.step_id], field[1]), problem.sentence
    assert f"]({file.name})" in file.with_suffix(".md").read_text(encoding="utf-8")
    assert f"]({file.stem}.md)" in read("docs/recipes/README.md")


def offered_by_the_account(part: object, key: str) -> bool:
    """Is this a field whose choices are read from the account, such as its audiences?"""
    if isinstance(part, ActionStep):
        inputs = REGISTRY.get(part.connector).actions[part.action].input
    else:
        assert isinstance(part, ConnectorTrigger)
        inputs = REGISTRY.get(part.connector).triggers[part.trigger].input
    return next(one for one in inputs if one.key == key).lookup is not None


def test_every_recipe_has_a_file() -> None:
    pages = {page.stem for page in (ROOT / "docs" / "recipes").glob("*.md")} - {"README"}
    assert pages == {file.stem for file in RECIPES}


def test_the_number_of_functions_is_about_what_the_readme_says() -> None:
    assert 35 <= len(FUNCTIONS) <= 45


def test_the_number_of_services_is_about_what_the_readme_says() -> None:
    said = re.search(r"\| (\d+) with (\d+) triggers and actions", read("README.md"))
    assert said is not None
    folders = {path.parent for path in (ROOT / "connectors").glob("*/connector.yaml")}
    operations = [*ROOT.glob("connectors/*/actions/*.yaml"), *ROOT.glob("connectors/*/triggers/*.yaml")]
    assert int(said[1]) == len(folders)
    assert abs(int(said[2]) - len(operations)) <= 10


def test_every_dependency_is_explained() -> None:
    named = re.findall(r"^([a-z0-9-]+)", read("requirements.in"), re.MULTILINE)
    text = read("docs/inside.md").lower()
    assert [name for name in named if name not in text] == []
