"""Rows and columns of services that keep tables."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.catalog.format.definition import Lookup
from app.catalog.lookups import read_fields
from app.catalog.sheets import cells, letters, place_of, records_of


@given(st.integers(min_value=0, max_value=900))
def test_a_column_has_one_name(place: int) -> None:
    assert place_of(letters(place)) == place


def test_mapped_columns_become_a_row_and_leave_the_others_alone() -> None:
    assert cells({"A": "Ana", "D": 7, "email": "no column"}) == ["Ana", None, None, 7]
    assert cells({}) == []
    assert cells({"A": ["x", "y"]}) == ["x, y"]
    assert cells({"ZZZ": 1}) == []


def test_rows_become_records_with_the_names_of_the_heading() -> None:
    rows: list[Any] = [
        ["Email", "", "Email"],
        ["ana@example.com", "x"],
        [],
        ["", ""],
        ["b@c.de", "", "z", "more"],
    ]
    assert records_of(rows) == [
        {"row": 2, "cells": {"Email": "ana@example.com", "B": "x"}},
        {"row": 5, "cells": {"Email": "b@c.de", "C": "z", "D": "more"}},
    ]
    assert records_of([]) == []
    assert records_of([["Email"]]) == []


def test_a_lookup_offers_the_columns_of_a_heading() -> None:
    lookup = Lookup.model_validate(
        {
            "key": "columns",
            "label": "Columns",
            "request": {"method": "GET", "path": "/"},
            "items": "$.values[0][*]",
            "table": True,
            "fields": {"key": "$.letter", "label": "$.name"},
        }
    )
    found = read_fields(lookup, {"values": [["Email", "", "Plan"]]})
    assert [(one.key, one.label) for one in found] == [("A", "Email"), ("B", "B"), ("C", "Plan")]
    assert read_fields(lookup, {}) == []
