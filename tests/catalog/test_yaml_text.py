"""Connector files are read as they look: nothing changes its type behind one's back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.yaml_text import MOST_BYTES, read_yaml
from app.errors import ConnectorInvalid


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-07-15", "2026-07-15"),
        ("2026-10", "2026-10"),
        ("on", "on"),
        ("no", "no"),
        ("Yes", "Yes"),
        ("010", "010"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("1e3", "1e3"),
        (".5", ".5"),
        ("12345678901234567890", "12345678901234567890"),
        ("'7'", "7"),
        ("7", 7),
        ("-7", -7),
        ("1.5", 1.5),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_a_value_is_what_it_looks_like(text: str, value: Any) -> None:
    assert read_yaml(f"a: {text}", "f.yaml") == {"a": value}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: 'a' is given twice"),
        ("a: &x 1\nb: 2", "line 1: anchors"),
        ("a: 1\nb: *x", "line 2: anchors"),
        ("a: !!python/object:os.system ls", "line 1: the tag"),
        ("a: !!binary aGk=", "line 1: the tag"),
        ("? [a]\n: b", "line 1: a name has to be a plain text"),
        ("a: 1\n---\nb: 2", "line 2: a second document"),
        ("a: [1, 2", "line 2"),
        ("\ta: 1", "line 1"),
        ("a: \x00", "cannot be read as YAML"),
    ],
)
def test_a_trap_is_refused_with_its_line(text: str, words: str) -> None:
    with pytest.raises(ConnectorInvalid) as caught:
        read_yaml(text, "shop/f.yaml")
    assert words in caught.value.sentence
    assert caught.value.file == "shop/f.yaml"


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 50_000, "- " * 100_000])
def test_endless_nesting_is_refused_and_kills_nothing(text: str) -> None:
    with pytest.raises(ConnectorInvalid, match="nested too deeply"):
        read_yaml(text, "f.yaml")


def test_a_huge_file_is_refused() -> None:
    with pytest.raises(ConnectorInvalid, match="larger than 256 KB"):
        read_yaml("a: " + "x" * MOST_BYTES, "f.yaml")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    said = "."
    try:
        read_yaml(text, "f.yaml")
    except ConnectorInvalid as reason:
        said = reason.sentence
    assert said.endswith(".")
