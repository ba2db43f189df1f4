"""Rows and columns: what services that keep tables send as lists of cells, as records with names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from app.flows.mapping.values import as_text

_LETTERS = re.compile(r"[A-Z]{1,3}")
_MOST_COLUMNS = 1_000


def letters(place: int) -> str:
    """0 -> A, 25 -> Z, 26 -> AA."""
    found = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        found = chr(65 + rest) + found
    return found


def place_of(column: str) -> int | None:
    """A -> 0; None for what names no column."""
    if not _LETTERS.fullmatch(column):
        return None
    place = 0
    for letter in column:
        place = place * 26 + ord(letter) - 64
    return place - 1 if place <= _MOST_COLUMNS else None


def cells(value: Any) -> list[Any]:
    """A table by column letters as a row; a cell nobody mapped is null, which services leave alone."""
    named = value.items() if isinstance(value, dict) else ()
    found = {place: cell for name, cell in named if (place := place_of(str(name))) is not None}
    return [_cell(found.get(place)) for place in range(max(found, default=-1) + 1)]


def _cell(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else as_text(value)


def records_of(rows: Sequence[Any]) -> list[dict[str, Any]]:
    """The first row is the heading; each other one becomes its number and its cells by their names.
    Rows without anything are passed over."""
    if not rows:
        return []
    names = column_names(rows[0])
    found = []
    for number, row in enumerate(rows[1:], start=2):
        values = row if isinstance(row, list) else [row]
        named = {_name(names, place): cell for place, cell in enumerate(values) if cell not in ("", None)}
        if named:
            found.append({"row": number, "cells": named})
    return found


def column_names(heading: Any) -> list[str]:
    """As they stand there; one that is empty, or there a second time, is called by its letter."""
    names: list[str] = []
    for place, cell in enumerate(heading if isinstance(heading, list) else []):
        text = as_text(cell).strip()
        names.append(text if text and text not in names else letters(place))
    return names


def _name(names: list[str], place: int) -> str:
    return names[place] if place < len(names) else letters(place)


def columns_of(heading: Sequence[Any]) -> list[dict[str, str]]:
    """A heading as the columns it names."""
    return [
        {"letter": letters(place), "name": name} for place, name in enumerate(column_names(list(heading)))
    ]
