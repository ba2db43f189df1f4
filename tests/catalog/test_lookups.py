"""Dropdowns and own fields, read from what a service answers."""

from __future__ import annotations

from typing import Any

import pytest

from app.catalog.format.definition import Lookup
from app.catalog.load import load_connector
from app.catalog.lookups import FoundField, Option, read_fields, read_options
from tests.catalog.files import write_shop


@pytest.fixture(scope="module")
def lookups(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return dict(load_connector(write_shop(tmp_path_factory.mktemp("connectors"))).lookups)


def test_options_have_a_value_and_a_label(lookups: dict[str, Any]) -> None:
    found = read_options(lookups["groups"], [{"id": 7, "name": "VIP"}, {"id": 8}, {"name": "nothing"}])
    assert found == [Option("7", "VIP"), Option("8", "8")]


def test_own_fields_have_a_type_of_ours_and_their_choices(lookups: dict[str, Any]) -> None:
    document = [
        {
            "key": "size",
            "label": "Size",
            "kind": "enum",
            "read_only": False,
            "values": [{"v": "s", "l": "Small"}],
        },
        {"key": "age", "label": "Age", "kind": "int", "read_only": False},
        {"key": "odd", "kind": "blob", "read_only": False},
        {"key": "empty", "label": "Empty", "kind": "enum", "read_only": False, "values": []},
        {"key": "id", "label": "ID", "kind": "int", "read_only": True},
        {"label": "nameless", "kind": "int", "read_only": False},
    ]
    assert read_fields(lookups["own_fields"], document) == [
        FoundField("size", "Size", "choice", choices=(("s", "Small"),)),
        FoundField("age", "Age", "integer"),
        FoundField("odd", "odd", "string"),
        FoundField("empty", "Empty", "string"),
    ]


def test_the_fields_of_the_table_somebody_chose_are_offered() -> None:
    lookup = Lookup.model_validate(
        {
            "key": "columns",
            "label": "Columns",
            "needs": ["table"],
            "request": {"method": "GET", "path": "/tables"},
            "items": "$.tables[*]",
            "where": {"$.id": "${input.table}"},
            "inner": "$.fields[*]",
            "options": {"value": "$.id", "label": "$.name"},
        }
    )
    tables = [{"id": "t1", "fields": [{"id": "f1", "name": "Email"}]}, {"id": "t2", "fields": [{"id": "f2"}]}]
    assert read_options(lookup, {"tables": tables}, {"table": "t1"}) == [Option("f1", "Email")]
    assert read_options(lookup, {"tables": tables}, {"table": "t9"}) == []


@pytest.mark.parametrize("document", [None, {}, [], "text", 7, [None], [[]], {"a": [1]}])
def test_an_odd_answer_gives_nothing_and_breaks_nothing(lookups: dict[str, Any], document: Any) -> None:
    assert read_options(lookups["groups"], document) == []
    assert read_fields(lookups["own_fields"], document) == []
