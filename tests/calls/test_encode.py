"""How bodies are written."""

from __future__ import annotations

import email
import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.calls.message.encode import as_text, encode_body, form_body, json_body, multipart_body, set_at_path
from app.errors import MappingFailed


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("email", {"email": 1}),
        ("contact.email", {"contact": {"email": 1}}),
        ("tags[]", {"tags": [1]}),
        ("lines[1].sku", {"lines": [None, {"sku": 1}]}),
        ("a[0][1]", {"a": [[None, 1]]}),
        (r"odata\.type", {"odata.type": 1}),
        ("first name", {"first name": 1}),
        ("$set.x", {"$set": {"x": 1}}),
        ("Grüße.ß", {"Grüße": {"ß": 1}}),
    ],
)
def test_a_dotted_name_puts_a_value_in_its_place(name: str, document: dict[str, Any]) -> None:
    built: dict[str, Any] = {}
    set_at_path(built, name, 1)
    assert built == document


def test_names_that_share_a_place_are_joined() -> None:
    built: dict[str, Any] = {}
    for name, value in [("a.b", 1), ("a.c", 2), ("l[]", 3), ("l[]", 4), ("p[0].x", 5), ("p[0].y", 6)]:
        set_at_path(built, name, value)
    assert built == {"a": {"b": 1, "c": 2}, "l": [3, 4], "p": [{"x": 5, "y": 6}]}


@pytest.mark.parametrize("names", [("a", "a.b"), ("a.b", "a[0]"), ("a[0]", "a.b")])
def test_names_that_contradict_each_other_are_told(names: tuple[str, str]) -> None:
    built: dict[str, Any] = {}
    set_at_path(built, names[0], 1)
    with pytest.raises(MappingFailed) as failed:
        set_at_path(built, names[1], 2)
    assert names[1] in failed.value.sentence


@pytest.mark.parametrize("name", ["", ".", "[0]", "[]", "a[99999]", ".".join("x" * 40)])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(MappingFailed):
        set_at_path({}, name, 1)


@given(st.text(max_size=40))
def test_no_name_breaks_the_reading_of_names(name: str) -> None:
    document: dict[str, Any] = {}
    try:
        set_at_path(document, name, 1)
    except MappingFailed:
        return
    assert json.loads(json_body(document)) == json.loads(json.dumps(document))


def test_large_numbers_and_odd_texts_are_written_as_json() -> None:
    assert json_body({"id": 2**70}) == b'{"id":1180591620717411303424}'
    assert json_body({"half": "a\ud800b"}) == b'{"half":"a?b"}'
    assert json_body({1: "one", "nan": float("nan")}) == b'{"1":"one","nan":null}'
    assert json.loads(json_body({"ü": ["☺"]})) == {"ü": ["☺"]}


def test_what_json_cannot_hold_is_told() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    for value in ({"x": object()}, deep):
        with pytest.raises(MappingFailed):
            json_body(value)


def test_a_form_has_brackets_for_what_is_nested() -> None:
    value = {"a": {"b": 1}, "tags": ["x", "y"], "lines": [{"sku": 7}], "yes": True, "none": None, "t": "ü &="}
    assert parse_qsl(form_body(value).decode(), keep_blank_values=True) == [
        ("a[b]", "1"),
        ("tags[]", "x"),
        ("tags[]", "y"),
        ("lines[0][sku]", "7"),
        ("yes", "true"),
        ("none", ""),
        ("t", "ü &="),
    ]


def test_rows_with_the_same_name_all_stay() -> None:
    assert form_body([("a", "1"), ("a", "2")]) == b"a=1&a=2"


def test_a_multipart_body_can_be_read_back() -> None:
    file = {"filename": 'li"st\r\n.csv', "content": b"a;b\r\n", "content_type": "text/csv"}
    body, kind = multipart_body([("name", "Ada ü"), ('x"\r\nX-Evil: 1', "1"), ("file", file)])
    message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    parts = message.get_payload()
    assert isinstance(parts, list)
    names = [part.get_param("name", header="content-disposition") for part in parts]
    assert names == ["name", "x%22%0D%0AX-Evil: 1", "file"]
    assert parts[0].get_payload(decode=True) == "Ada ü".encode()
    assert parts[2].get_filename() == "li%22st%0D%0A.csv"
    assert parts[2].get_payload(decode=True) == b"a;b\r\n"


@pytest.mark.parametrize(
    ("kind", "value", "body", "content_type"),
    [
        ("none", {"a": 1}, None, ""),
        ("json", {"a": 1}, b'{"a":1}', "application/json"),
        ("json", None, b"null", "application/json"),
        ("form", {"a": 1}, b"a=1", "application/x-www-form-urlencoded"),
        ("form", None, None, ""),
        ("raw", "ü", "ü".encode(), "text/plain; charset=utf-8"),
        ("raw", b"\x00", b"\x00", "text/plain; charset=utf-8"),
        ("raw", {"a": 1}, b'{"a":1}', "text/plain; charset=utf-8"),
    ],
)
def test_each_kind_of_body_has_its_content_type(
    kind: str, value: Any, body: bytes | None, content_type: str
) -> None:
    assert encode_body(kind, value) == (body, content_type)


def test_values_in_forms_and_headers_read_as_json_writes_them() -> None:
    assert [as_text(v) for v in (True, None, 1.5, [1], "x")] == ["true", "", "1.5", "[1]", "x"]
