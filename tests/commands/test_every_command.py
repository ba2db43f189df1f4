"""Each command has a way to it, says who may give it, and leaves a row about what was done."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app"
# `checks` is the asking that commands on connections share, as is `check_now`.
NO_NOUNS = ("__init__", "who", "rights", "checks")
SHARED = {"connections.check_now"}
# Commands that write no audit row, and why nobody will ask for one.
UNAUDITED = {
    "flows.edit_draft": "a draft is saved with each field; the version it becomes has its row",
    "flows.close_gap": "a change of the draft",
    "flows.set_sample": "data to try mappings on",
    "trials.preview_step": "nothing is sent",
    "trials.test_step": "the test run is in the history, with its call",
    "trials.fetch_once": "reads, and keeps a sample",
    "trials.ask_choices": "reads, and keeps the answer for a while",
    "connections.test": "the connection says when it was tested, and how that went",
    "connecting.begin_connect": "nothing is connected yet; the end of it has its row",
    "connectors.reload": "reads files again",
    "people.make_setup_link": "nobody is there yet; the first account has its row",
    "people.sign_in": "the account says when its person last signed in",
    "people.sign_out": "ends one session of one's own",
    "settings.mark_seen": "the alert says who has seen it",
    "settings.mark_all_seen": "the alert says who has seen it",
    "settings.test_alerts": "changes nothing",
    "settings.check_ledger": "counts anew what is counted each hour",
    "backups.put_key_beside": "writes a file, into no database",
}
# The link, or the password, is the right.
FOR_STRANGERS = {"people.make_setup_link", "people.set_up", "people.sign_in", "people.sign_out"}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def modules() -> list[Path]:
    return sorted(path for path in (APP / "commands").glob("*.py") if path.stem not in NO_NOUNS)


def functions(noun: str) -> dict[str, ast.FunctionDef]:
    """By name, those of one module."""
    nodes = parsed(APP / "commands" / f"{noun}.py").body
    return {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}


def commands() -> dict[str, ast.FunctionDef]:
    """All but what only reads, for a command and for its page: that is asked with `db`."""
    return {
        f"{path.stem}.{name}": node
        for path in modules()
        for name, node in functions(path.stem).items()
        if not name.startswith("_") and [arg.arg for arg in node.args.args][:1] != ["db"]
        if f"{path.stem}.{name}" not in SHARED
    }


def adapters() -> list[Path]:
    folders = ("web", "cli", "api", "server")
    return [path for name in folders for path in sorted((APP / name).rglob("*.py"))]


def names_called(path: Path) -> set[str]:
    """`flows.publish` for each command that a module names, by whatever name it has there."""
    nouns: dict[str, str] = {}
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module == "app.commands":
            nouns |= {name.asname or name.name: name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("app.commands."):
            found |= {f"{(node.module or '').rpartition('.')[2]}.{name.name}" for name in node.names}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in nouns:
            found.add(f"{nouns[node.value.id]}.{node.attr}")
    return found


def within(name: str) -> set[str]:
    """The functions of `app/commands` that a command comes to, itself among them."""
    known = {f"{path.stem}.{own}": node for path in modules() for own, node in functions(path.stem).items()}
    borrowed = {path.stem: {one.rpartition(".")[2]: one for one in names_called(path)} for path in modules()}
    found: set[str] = set()
    new = {name}
    while new:
        found |= new
        called = {
            borrowed[noun].get(one.id, f"{noun}.{one.id}")
            for noun, each in ((one.partition(".")[0], known[one]) for one in new)
            for one in ast.walk(each)
            if isinstance(one, ast.Name)
        }
        new = (called & set(known)) - found
    return {ast.unparse(known[one]) for one in found}


@pytest.mark.parametrize("name", sorted(commands()))
def test_a_page_or_a_command_line_verb_gives_it(name: str) -> None:
    assert name in {called for path in adapters() for called in names_called(path)}


@pytest.mark.parametrize("name", sorted(commands()))
def test_it_asks_who_may_before_it_does_anything(name: str) -> None:
    first = [arg.arg for arg in commands()[name].args.args][:1]
    if name in FOR_STRANGERS:
        assert first == ["parts"]
        return
    assert first == ["who"]
    assert any("who.must(" in text for text in within(name))


@pytest.mark.parametrize("name", sorted(commands()))
def test_it_writes_down_who_did_it(name: str) -> None:
    is_audited = any("audit.record(" in text for text in within(name))
    assert is_audited != (name in UNAUDITED), UNAUDITED.get(name, "It changes something without a row.")


def test_no_exception_is_left_of_a_command_that_is_gone() -> None:
    assert set(UNAUDITED) | FOR_STRANGERS <= set(commands())


@pytest.mark.parametrize("name", sorted(commands()))
def test_its_docstring_says_what_it_does_and_what_it_raises(name: str) -> None:
    said = ast.get_docstring(commands()[name]) or ""
    assert re.match(r"[A-Z][a-z]+s\b", said), "It begins with a verb: Makes, Returns, Sets ..."
    assert "Raises" in said.split() or name in FOR_STRANGERS


@pytest.mark.parametrize("folder", ["web", "cli", "api"])
def test_nothing_is_written_but_by_commands(folder: str) -> None:
    writes = re.compile(r"\.a?write\(|audit\.record")
    found = [
        str(path.relative_to(APP))
        for path in sorted((APP / folder).rglob("*.py"))
        if writes.search(path.read_text())
    ]
    assert found == []
