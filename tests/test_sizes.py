"""A function is one idea, a file one noun, a folder a handful of files: limits to what one look takes in."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("app", "connectors", "seed_data")
LONGEST, LONGEST_FILE, MOST_MODULES, MOST_PARAMETERS = 80, 700, 25, 7
# Private functions that are used once: a reader has to jump for each.  This may only become less.
USED_ONCE = 0.28
# With more parameters than MOST_PARAMETERS.  This may only become less.
MANY_PARAMETERS = 17
BANNED = {"utils", "util", "common", "misc", "helpers", "manager", "handler", "service"}


def _files() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def _functions() -> list[tuple[int, str]]:
    """Lines of code, without the docstring: its length is nobody's burden."""
    found = []
    for file in _files():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append((_lines(node), f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"))
    return sorted(found)


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def test_no_function_is_too_long_to_be_one_idea() -> None:
    assert [name for lines, name in _functions() if lines > LONGEST] == []


def test_few_functions_are_there_for_one_call_alone() -> None:
    """Those that stay hide a detail, end a nesting or name something; the others are in the way."""
    once = total = 0
    for file in _files():
        if not file.is_relative_to(ROOT / "app"):
            continue
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        used = Counter(node.id for node in nodes if isinstance(node, ast.Name))
        used += Counter(node.attr for node in nodes if isinstance(node, ast.Attribute))
        names = [node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        total += len(names)
        once += sum(name.startswith("_") and not name.endswith("__") and used[name] == 1 for name in names)
    assert once / total <= USED_ONCE


def test_no_folder_holds_more_modules_than_one_can_oversee() -> None:
    beside = Counter(file.parent.relative_to(ROOT) for file in _files() if file.name != "__init__.py")
    assert {str(folder): count for folder, count in beside.items() if count > MOST_MODULES} == {}


def test_few_functions_take_many_parameters() -> None:
    many = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
        for file in _files()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and len(
            [one for one in (*node.args.args, *node.args.kwonlyargs) if one.arg not in ("self", "cls", "db")]
        )
        > MOST_PARAMETERS
    ]
    assert len(many) <= MANY_PARAMETERS, many


@pytest.mark.parametrize("folder", FOLDERS)
def test_files_are_short(folder: str) -> None:
    long = {
        str(file.relative_to(ROOT)): count
        for file in _files()
        if file.is_relative_to(ROOT / folder)
        and (count := len(file.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
    }
    assert long == {}


def test_every_module_says_what_is_in_it() -> None:
    silent = [
        str(file.relative_to(ROOT))
        for file in _files()
        if file.stat().st_size and ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) is None
    ]
    assert silent == []


def test_no_name_that_says_nothing() -> None:
    parts = {(part, file) for file in _files() for part in (*file.relative_to(ROOT).parts[:-1], file.stem)}
    assert sorted(str(file) for part, file in parts if set(part.split("_")) & BANNED) == []


def test_nothing_is_left_for_later() -> None:
    marks = ("TODO", "FIXME", "XXX", "NotImplementedError")
    unfinished = [
        f"{file.relative_to(ROOT)}: {mark}"
        for file in _files()
        for mark in marks
        if mark in file.read_text(encoding="utf-8")
    ]
    assert unfinished == []
