"""What people recognise an event by."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.intake.labels import label_of


@pytest.mark.parametrize(
    ("document", "label"),
    [
        ({"email": "lena.moreau@example.com", "order_number": 1042}, "lena.moreau@example.com · #1042"),
        ({"customer": {"email": "a@b.c"}, "name": "#1042"}, "a@b.c"),
        ({"order": {"number": "A-7", "customer": {"name": "Lena Moreau"}}}, "Lena Moreau · A-7"),
        ({"data": {"attributes": {"email": "a@b.c"}, "type": "profile"}}, "a@b.c · profile"),
        ({"title": "New post", "link": "https://example.com/1"}, "New post"),
        ({"id": 17}, "17"),
        ({"nothing": {"of": "use"}}, ""),
        ([{"email": "first@b.c"}, {"email": "second@b.c"}], "first@b.c"),
        ("just text", "just text"),
        ({"email": None, "name": True, "title": {"a": 1}}, ""),
        ({"email": "a\nb\x00\x1b[31m@c.d"}, "a b [31m@c.d"),
        (None, ""),
        ([], ""),
    ],
)
def test_a_label_says_who_and_what(document: Any, label: str) -> None:
    assert label_of(document) == label


def test_a_label_stays_short() -> None:
    assert len(label_of({"email": "x" * 10**6, "title": "y" * 10**6})) <= 123


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["email", "data", "id", "x"]), inner),
    )
)
def test_any_document_has_a_label_that_can_be_shown(document: Any) -> None:
    label = label_of(document)
    assert label == "" or label.isprintable()
