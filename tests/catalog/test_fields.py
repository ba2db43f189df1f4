"""What an action's inputs have to be before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.fields import action_fields, check_input, ready_input
from app.catalog.format.definition import Action

REQUEST = {"method": "POST", "path": "/x", "body": "${fields}"}


def action(*fields: dict[str, Any], **facts: Any) -> Action:
    described = [{"label": field["key"].capitalize(), **field} for field in fields]
    return Action.model_validate(
        {
            "key": "do",
            "label": "Do",
            "description": "Does.",
            "docs": "https://example.com",
            "idempotent": False,
            "input": described,
            "requests": [REQUEST],
            **facts,
        }
    )


GOOD: dict[str, list[Any]] = {
    "email": ["ana@example.com", "a+b@sub.example.co.uk", "jörg@exämple.de", " ana@example.com "],
    "url": ["https://example.com/x?y=1", "http://localhost:8000"],
    "phone": ["+43 1 234567", "01/234-567", 43123456],
    "number": [1, 1.5, "12.50", "-3", "1e3"],
    "integer": [1, "12", 12.0],
    "bool": [True, False, "true", "no", 1, "0"],
    "date": ["2027-01-31", "31.01.2027", 1795248000],
    "datetime": ["2027-01-31T09:00:00Z", "2027-01-31 09:00"],
    "list": [["a"], "a, b", 7, []],
    "json": ['{"a": 1}', {"a": 1}, [1], 7],
    "string": ["x", 7, True, ["a", "b"]],
    "text": ["a\nb"],
}
BAD: dict[str, list[Any]] = {
    "email": [
        "ana",
        "ana@",
        "@example.com",
        "ana@example",
        "a b@example.com",
        "a@b@c.de",
        "a..b@c.de",
        7,
        ["a@b.de"],
    ],
    "url": [
        "example.com",
        "ftp://example.com",
        "javascript:alert(1)",
        "https://",
        "https://a b",
        "https://[",
        7,
    ],
    "phone": ["none", "+", "12", "1" * 40, ["1"], True],
    "number": ["seven", "1,5", "", "NaN", "inf", True, [1], {}],
    "integer": ["1.5", 1.5, "one", True],
    "bool": ["maybe", 2, "j"],
    "date": ["soon", "2027-13-01", 7, []],
    "datetime": ["soon", {}],
    "list": [{"a": 1}],
    "json": ["{a: 1}", "nope"],
    "string": [{"a": 1}],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, one) for kind, values in GOOD.items() for one in values])
def test_a_fitting_value_is_let_through(kind: str, value: Any) -> None:
    assert check_input(action({"key": "value", "type": kind, "required": True}), {"value": value}) == []


@pytest.mark.parametrize(("kind", "value"), [(kind, one) for kind, values in BAD.items() for one in values])
def test_another_value_is_refused_with_a_sentence_that_names_it(kind: str, value: Any) -> None:
    problems = check_input(action({"key": "value", "type": kind, "required": True}), {"value": value})
    assert [problem.field for problem in problems] == ["value"]
    assert problems[0].sentence.startswith("Value")
    assert problems[0].sentence.endswith((".", "/page.", "}."))


def test_a_required_field_has_to_hold_something() -> None:
    wanted = action({"key": "email", "type": "email", "required": True})
    for values in ({}, {"email": None}, {"email": ""}, {"email": "  "}):
        assert [one.sentence for one in check_input(wanted, values)] == ["Email is required and empty."]


def test_an_optional_field_may_be_empty_or_cleared() -> None:
    wanted = action({"key": "email", "type": "email"})
    for values in ({}, {"email": None}, {"email": ""}):
        assert check_input(wanted, values) == []


def test_choices_patterns_and_lengths_are_held() -> None:
    wanted = action(
        {"key": "status", "type": "choice", "choices": ["on", "off"]},
        {"key": "days", "type": "list", "choices": ["mo", "tu"]},
        {"key": "name", "pattern": "[a-z]+", "longest": 5, "help": "Small letters."},
    )
    values = {"status": "maybe", "days": "mo, we", "name": "abcdef"}
    assert [one.sentence for one in check_input(wanted, values)] == [
        "Status: “maybe” is none of on, off.",
        "Days: “we” is none of mo, tu.",
        "Name has 6 characters; at most 5 fit.",
    ]
    assert "Small letters." in check_input(wanted, {"name": "AB"})[0].sentence
    assert check_input(wanted, {"status": "on", "days": ["mo", "tu"], "name": "abc"}) == []


def test_a_change_without_anything_to_change_is_not_sent() -> None:
    wanted = action(
        {"key": "id", "required": True}, {"key": "note"}, {"key": "tags"}, one_of=["note", "tags"]
    )
    assert check_input(wanted, {"id": "1"})[0].sentence == (
        "Nothing is mapped that could be changed: fill in one of Note, Tags."
    )
    assert check_input(wanted, {"id": "1", "tags": None}) == []


def test_a_huge_value_is_refused_and_shown_short() -> None:
    wanted = action({"key": "note", "type": "text"}, {"key": "email", "type": "email"})
    problems = check_input(wanted, {"note": "x" * 2_000_000, "email": "y" * 5_000})
    assert problems[0].sentence == "Note is far too long: 2,000,000."
    assert len(problems[1].sentence) < 200


def test_values_are_sent_in_the_types_their_fields_have() -> None:
    wanted = action(
        {"key": "number", "type": "number"},
        {"key": "integer", "type": "integer"},
        {"key": "flag", "type": "bool"},
        {"key": "items", "type": "list"},
        {"key": "doc", "type": "json"},
        {"key": "day", "type": "date"},
        {"key": "email", "type": "email"},
        {"key": "words"},
    )
    ready = ready_input(
        wanted,
        {
            "number": "12.50",
            "integer": "7",
            "flag": "no",
            "items": "a, b\nc",
            "doc": '{"a": [1]}',
            "day": "2027-01-31T23:00:00Z",
            "email": " ana@example.com ",
            "words": 7,
        },
    )
    assert ready == {
        "number": 12.5,
        "integer": 7,
        "flag": False,
        "items": ["a", "b", "c"],
        "doc": {"a": [1]},
        "day": "2027-01-31",
        "email": "ana@example.com",
        "words": "7",
    }


def test_fields_are_all_that_was_mapped_and_not_kept_apart() -> None:
    wanted = action(
        {"key": "email"},
        {"key": "first", "sent_as": "FNAME"},
        {"key": "list", "apart": True},
        {"key": "more", "type": "fields"},
    )
    values = {"email": "a@b.de", "first": "Ana", "list": "7"}
    extra = {"COLOUR": "green", "FNAME": "Eve", "email": "eve@b.de", "": "x"}
    assert action_fields(wanted, values, extra) == {"COLOUR": "green", "email": "a@b.de", "FNAME": "Ana"}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(GOOD)), ANYTHING)
def test_whatever_is_mapped_leads_to_a_sentence_and_never_to_a_crash(kind: str, value: Any) -> None:
    wanted = action({"key": "value", "type": kind})
    problems = check_input(wanted, {"value": value})
    assert len(problems) <= 1
    if not problems:
        ready_input(wanted, {"value": value})
