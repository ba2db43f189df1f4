"""Functions and files stay small enough to be read at one look."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("app", "connectors", "seed_data")
MEDIAN, NINE_OF_TEN, LONGEST, LONGEST_FILE = 10, 35, 80, 500
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


def test_functions_are_short() -> None:
    found = _functions()
    assert found[len(found) // 2][0] <= MEDIAN
    assert found[len(found) * 9 // 10][0] <= NINE_OF_TEN
    assert [name for lines, name in found if lines > LONGEST] == []


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
