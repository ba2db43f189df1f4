"""How the body of an answer becomes a document."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.calls.message.call import Answer
from app.errors import CallFailed


def answer(body: bytes, content_type: str = "application/json") -> Answer:
    return Answer(200, [("Content-Type", content_type)], body, host="api.example.com")


@pytest.mark.parametrize(
    ("body", "content_type", "document"),
    [
        (b'{"a": 1}', "application/json", {"a": 1}),
        (b'{"a": 1}', "application/vnd.api+json; charset=utf-8", {"a": 1}),
        (b"\xef\xbb\xbf[1]", "application/json", [1]),
        (b'{"id": 9007199254740993}', "application/json", {"id": 9007199254740993}),
        (b'{"half": "\\ud83d"}', "application/json", {"half": "\ufffd"}),
        (b'{"half": "\\ude00x"}', "application/json", {"half": "\ufffdx"}),
        (b'{"whole": "\\ud83d\\ude00"}', "application/json", {"whole": "😀"}),
        ('{"a": "ü"}'.encode("latin-1"), "application/json; charset=iso-8859-1", {"a": "ü"}),
        (b"OK", "application/json", "OK"),
        (b" [1] ", "text/plain", [1]),
        (b"[not json", "text/plain", "[not json"),
        (b"<p>[1]</p>", "text/html", "<p>[1]</p>"),
        (b"[1]", "text/html", "[1]"),
        (b"<a><b>1</b><b>2</b></a>", "application/xml", {"a": {"b": ["1", "2"]}}),
        (b"<not xml", "text/xml", "<not xml"),
        (b"a=1&b=%C3%BC&c=", "application/x-www-form-urlencoded", {"a": "1", "b": "ü", "c": ""}),
        (b"", "application/json", None),
        (b"  \n", "text/plain", None),
        (b"\xff\xfe", "text/plain; charset=nonsense", "\ufffd\ufffd"),
    ],
)
def test_the_body_is_read_by_its_type(body: bytes, content_type: str, document: Any) -> None:
    assert answer(body, content_type).document() == document


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!DOCTYPE html><html>", "a web page (HTML) instead of JSON"),
        (b"NaN", "instead of JSON"),
        (b'{"a": 1', "line 1, column"),
        (b"[" * 500 + b"]" * 500, "instead of JSON"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "instead of JSON"),
    ],
)
def test_demanded_json_that_is_none_is_a_failure_that_says_what_came(body: bytes, words: str) -> None:
    with pytest.raises(CallFailed) as failed:
        answer(body).document("json")
    assert words in failed.value.sentence
    assert failed.value.sentence.startswith("api.example.com answered 200, but with ")
    assert failed.value.ambiguous


def test_entities_in_xml_are_not_expanded() -> None:
    laughs = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>'
    with pytest.raises(CallFailed):
        answer(laughs, "application/xml").document("xml")
    with pytest.raises(CallFailed):
        answer(b"<a>" * 3000 + b"</a>" * 3000, "application/xml").document("xml")


def test_text_is_text_whatever_the_type_says() -> None:
    assert answer(b'{"a": 1}').document("text") == '{"a": 1}'


@given(
    st.binary(max_size=300),
    st.sampled_from(["application/json", "text/xml", "", "text/html", "x-www-form-urlencoded"]),
)
def test_no_bytes_make_the_reading_fail(body: bytes, content_type: str) -> None:
    answer(body, content_type).document("auto")
    for parse in ("json", "xml"):
        with suppress(CallFailed):
            answer(body, content_type).document(parse)


def test_a_header_is_found_in_any_spelling() -> None:
    found = Answer(200, [("X-Total", "7")], b"")
    assert (found.header("x-total"), found.header("none", "-")) == ("7", "-")
