"""JSONPath: what a path finds, what is refused, and that nothing is slow."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import MappingFailed
from app.flows.mapping.jsonpath import MISSING, find, first, in_words, parse_path, quoted_path
from app.flows.mapping.jsonpath_reader import EACH
from tests.flows.documents import ORDER, documents, texts

AB = {"a": [{"b": 1, "c": "x"}, {"b": 2}, {"c": "y"}], "b": 7}


@pytest.mark.parametrize(
    ("path", "document", "found"),
    [
        ("$", [1], [[1]]),
        ("$.a", {"a": "A"}, ["A"]),
        ("$['a']", {"a": "A"}, ["A"]),
        ('$["a"]', {"a": "A"}, ["A"]),
        ("$['a']", ["first"], []),
        ("$.☺", {"☺": 1}, [1]),
        ("$.größe", {"größe": 1}, [1]),
        ("$.first-name", {"first-name": 1}, [1]),
        ("$.@type", {"@type": 1}, [1]),
        ("$.$x", {"$x": 1}, [1]),
        ("$.where", {"where": 1}, [1]),
        ("$.true", {"true": 1}, [1]),
        ("$['a.b']", {"a.b": 1, "a": {"b": 2}}, [1]),
        ("$['my key']", {"my key": 1}, [1]),
        ("$['']", {"": 1}, [1]),
        ("$['*']", {"*": 1, "b": 2}, [1]),
        ("$['0']", ["x"], []),
        ("$['\\'']", {"'": 1}, [1]),
        ('$["\\""]', {'"': 1}, [1]),
        ("$['\\\\']", {"\\": 1}, [1]),
        ("$['\\n\\t\\b\\f\\r\\/']", {"\n\t\b\f\r/": 1}, [1]),
        ("$['\\u263A']", {"☺": 1}, [1]),
        ("$['\\uD834\\uDD1E']", {"𝄞": 1}, [1]),
        ("$['\\uD83D\\uDE00']", {"😀": 1}, [1]),
        ("$ ['a'] [ 0 ]", {"a": ["x"]}, ["x"]),
        ("$[0]", ["x", "y"], ["x"]),
        ("$[-1]", ["x", "y"], ["y"]),
        ("$[2]", ["x", "y"], []),
        ("$[-3]", ["x", "y"], []),
        ("$[0]", {"0": "x"}, []),
        ("$[0]", "text", []),
        ("$[*]", [1, 2], [1, 2]),
        ("$.*", {"a": 1, "b": 2}, [1, 2]),
        ("$[*]", 3, []),
        ("$.a[*].b", AB, [1, 2]),
        ("$.a.*.b", AB, [1, 2]),
        ("$[*][*]", [[1, 2], [3]], [1, 2, 3]),
        ("$[1:3]", [0, 1, 2, 3], [1, 2]),
        ("$[::-1]", [0, 1, 2], [2, 1, 0]),
        ("$[-2:]", [0, 1, 2], [1, 2]),
        ("$[:2]", {"a": 1}, []),
        ("$[0,2]", [0, 1, 2], [0, 2]),
        ("$[1,1]", [0, 1, 2], [1, 1]),
        ("$['a','b']", {"a": 1, "b": 2}, [1, 2]),
        ("$..b", AB, [7, 1, 2]),
        ("$..[1]", {"o": [0, 1, [2, 3]]}, [1, 3]),
        ("$..*", [0, 1], [0, 1]),
        ("$..['a','d']", [{"a": "b", "d": "e"}], ["b", "e"]),
        ("$.a[?@.b > 1].b", AB, [2]),
        ("$.a[?@.b].b", AB, [1, 2]),
        ("$.a[?!@.b].c", AB, ["y"]),
        ("$.a[?@.c=='x' || @.c=='y'].c", AB, ["x", "y"]),
        ("$.a[?@.b == 1 && @.c == 'x'].b", AB, [1]),
        ("$.a[?(@.b==1 || @.b==2) && @['c']].b", AB, [1]),
        ("$.a[?1 < @.b].b", AB, [2]),
        ("$.a[?@.b == $.a[0].b].b", AB, [1]),
        ("$[?@ > 1]", [1, 2, 3], [2, 3]),
        ("$[?@.a == null]", [{"a": None}, {}, {"a": 0}], [{"a": None}]),
        ("$[?@.a == true]", [{"a": True}, {"a": 1}], [{"a": True}]),
        ("$[?@.a == 'it\\'s']", [{"a": "it's"}], [{"a": "it's"}]),
        ("$[?@.a > 1.5]", [{"a": 2}, {"a": 1}], [{"a": 2}]),
    ],
)
def test_a_path_finds_what_the_standard_says(path: str, document: Any, found: list[Any]) -> None:
    assert find(path, document) == found


def test_a_number_typed_after_a_dot_is_a_position_in_a_list_and_a_key_in_an_object() -> None:
    assert find("$.line_items.1.title", ORDER) == ["Cup"]
    assert find("$.1", {"1": "one"}) == ["one"]


@pytest.mark.parametrize(
    "path",
    [
        "", "a", "customer.email", "$a", "$.", "$..", "$[", "$[]", "$['a", '$["a]', "$[a]", "$['a'", "$[0 2]",
        "$[01]", "$[-0]", "$[1.5]", "$.a b", "$.&", "$. a", " $", "$ ",
        "$['\\x41']", "$['\\u12']", "$['\\uD800']",
        "$['\\uDC00\\uD800']", '$["\\\'"]', "$['\n']", "$['a\x00']", "$.a..b..c", "$[0,'a']", "$[*,0]",
        "$[1:2:0]", "$[?]", "$[?1]", "$[?1==1]", "$[?@.a=~'x']", "$[?@.a =~ '(a+)+$']", "$[?length(@.a)>1]",
        "$[?match(@.a,'x')]", "$[?@.a+1==2]", "$[?@..a]", "$[?@.*]", "$[?@[?@.a]]",
        "$[?(@.a]", "$[?@.a==[1]]",
        "$.x*2", "$.x * $.y", "$.x + 'a'", "'a' + $.x", "$.`sub(/a/, b)`", "$.a.`split(x, 0, 1)`", "$.`len`",
        "$.`parent`", "$.a where $.b", "$.a|$.b", "$.a & $.b", "$[/a]", "$[\\a]", "$.a[?@.b==1e5]",
        "$" + ".a" * 40, "$." + "a" * 300, "$" + "[0,0]" * 5, "$[?" + "(" * 20 + "@.a" + ")" * 20 + "]",
    ],
)  # fmt: skip
def test_what_is_no_path_or_could_be_slow_is_refused_when_it_is_read(path: str) -> None:
    with pytest.raises(MappingFailed) as refused:
        parse_path(path)
    assert refused.value.sentence


def test_a_refusal_says_what_is_wrong_and_how_to_write_it() -> None:
    with pytest.raises(MappingFailed) as refused:
        parse_path("$.my key")
    assert "my key" in refused.value.sentence
    assert "['my key']" in refused.value.remedy


def test_missing_is_not_null() -> None:
    assert parse_path("$.note").value(ORDER) is None
    assert parse_path("$.nothing").value(ORDER) is MISSING
    assert parse_path("$.note.deeper").value(ORDER) is MISSING


def test_each_gives_a_list_and_an_empty_list_is_found() -> None:
    assert parse_path("$.line_items[*].title").value(ORDER) == ["Tea", "Cup"]
    assert parse_path("$.line_items[*].sku").value(ORDER) == ["C-1"]
    assert parse_path("$.refunds[*].id").value(ORDER) == []
    assert parse_path("$.returns[*].id").value(ORDER) is MISSING
    assert parse_path("$.line_items[*].colour").value(ORDER) is MISSING


def test_first_gives_the_first_match_or_the_default() -> None:
    assert first("$.line_items[*].title", ORDER) == "Tea"
    assert first("$.returns", ORDER, "none") == "none"


def test_a_path_in_words() -> None:
    assert in_words(parse_path("$['customer'].phone")) == "customer → phone"
    assert in_words(parse_path("$.items[0].tags[*]")) == "items → no. 1 → tags → each"
    assert in_words(parse_path("$")) == "the whole data"


def test_more_results_than_a_field_can_take_are_refused_not_cut() -> None:
    with pytest.raises(MappingFailed, match="10,000"):
        find("$[*]", list(range(10_001)))
    assert len(find("$[*]", list(range(10_000)))) == 10_000


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("$..a", [[0] * 1000] * 1000),
        ("$[?@.a == 1]", [{"a": 1}] * 100_000),
        ("$['a','b']['a','b']['a','b']", {"a": {"a": {"a": 1}}}),
        ("$[*][*][*][*]", [[[[1] * 10] * 10] * 10] * 10),
        ("$..[?@.a]", {"a": [{"a": [{"a": 1}]}] * 400}),
    ],
)
def test_no_path_keeps_a_run_waiting(path: str, document: Any) -> None:
    began = time.process_time()
    try:
        find(path, document)
    except MappingFailed as refused:
        assert refused.sentence  # noqa: PT017
    assert time.process_time() - began < 1


def test_a_deep_document_is_searched_without_breaking() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = {"a": deep}
    assert len(find("$..a", deep)) == 5000


def _keys(document: Any) -> Any:
    """The keys to every value in a document."""
    if isinstance(document, dict | list):
        pairs = document.items() if isinstance(document, dict) else enumerate(document)
        for key, inner in pairs:
            yield [key], inner
            for keys, value in _keys(inner):
                yield [key, *keys], value


@given(documents)
@settings(max_examples=150, deadline=None)
def test_a_quoted_path_finds_every_value_of_any_document(document: Any) -> None:
    for keys, value in _keys(document):
        path = quoted_path(keys)
        if len(path) <= 256:
            assert find(path, document)[0] is value


@given(
    st.text(max_size=60) | st.from_regex(r"\$[.\[\]'\"a?@*:,0-9()=!&|<>~ -]{0,40}", fullmatch=True), documents
)
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_path_or_refused(text: str, document: Any) -> None:
    try:
        assert isinstance(find(text, document), list)
    except MappingFailed as refused:
        assert refused.sentence  # noqa: PT017


@given(texts)
def test_each_and_quoted_keys_mix(key: str) -> None:
    path = quoted_path(["rows", EACH, key])
    if len(path) <= 256:
        assert find(path, {"rows": [{key: 1}, {}]}) == [1]


ABSENT = object()


def _holds(left: Any, operator: str, right: Any) -> bool:
    """The comparisons of RFC 9535, 2.3.5.2.2, written down once more."""
    same = left is right if ABSENT in (left, right) else type(left) is type(right) and left == right
    both = {type(left), type(right)}
    numbers = both <= {int, float}
    if numbers:
        same = left == right
    less = left < right if numbers or both == {str} else False
    more = left > right if numbers or both == {str} else False
    return {"==": same, "!=": not same, "<": less, "<=": less or same, ">": more, ">=": more or same}[
        operator
    ]


_LITERALS = {
    "1": 1,
    "1.5": 1.5,
    "-2": -2,
    "'a'": "a",
    "'b'": "b",
    "''": "",
    "true": True,
    "false": False,
    "null": None,
}
_VALUES = [ABSENT, 0, 1, 1.0, 1.5, -2, 3, "a", "b", "c", "", "1", True, False, None, [], [1], {}, {"a": 1}]


@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">="])
def test_a_filter_compares_as_the_standard_says(operator: str) -> None:
    for text, literal in _LITERALS.items():
        for value in _VALUES:
            item = {} if value is ABSENT else {"k": value}
            assert bool(find(f"$[?@.k {operator} {text}]", [item])) == _holds(value, operator, literal), (
                value,
                text,
            )
            assert bool(find(f"$[?{text} {operator} @.k]", [item])) == _holds(literal, operator, value), (
                text,
                value,
            )


@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">="])
def test_a_filter_compares_two_values_of_the_data(operator: str) -> None:
    for left in _VALUES:
        for right in _VALUES:
            item = {key: value for key, value in (("l", left), ("r", right)) if value is not ABSENT}
            found = bool(find(f"$[?@.l {operator} @.r]", [item]))
            assert found == _holds(left, operator, right), (left, right)
