"""The tree of a sample: names for people, references that find what they show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings

from app.flows.mapping.jsonpath import MISSING, parse_path
from app.flows.mapping.picker import LIMIT_NODES, PickerNode, humanise, tree
from app.flows.mapping.template import compile_template
from tests.flows.documents import ORDER, documents


def nodes(node: PickerNode) -> Iterator[PickerNode]:
    yield node
    for child in node.children:
        yield from nodes(child)


def by_label(document: Any, label: str) -> PickerNode:
    return next(node for node in nodes(tree(document, "trigger")) if node.label == label)


def test_a_field_is_shown_with_its_name_and_sample_and_picked_by_its_reference() -> None:
    node = by_label(ORDER, "First name")
    assert node.reference == "trigger:$['customer']['first_name']"
    assert (node.kind, node.sample) == ("text", "Ada")


def test_lists_offer_each_and_the_first_item() -> None:
    node = by_label(ORDER, "Line items")
    assert (node.kind, node.sample) == ("list", "2 items")
    assert [child.label for child in node.children] == [
        "Title (each)", "Price (each)", "Quantity (each)", "SKU (each)", "First item",
    ]  # fmt: skip
    assert node.children[0].reference == "trigger:$['line_items'][*]['title']"
    assert node.children[-1].children[0].reference == "trigger:$['line_items'][0]['title']"


@pytest.mark.parametrize(
    ("key", "label"),
    [
        ("first_name", "First name"),
        ("firstName", "First name"),
        ("customerID", "Customer ID"),
        ("order-id", "Order ID"),
        ("utm_source", "UTM source"),
        ("HTMLBody", "HTML body"),
        ("FNAME", "Fname"),
        ("@type", "Type"),
        ("línea", "Línea"),
        ("", "(no name)"),
        ("__", "__"),
    ],
)
def test_keys_become_names(key: str, label: str) -> None:
    assert humanise(key) == label


def test_huge_and_deep_samples_are_bounded() -> None:
    wide = {f"key_{number}": {"a": [1] * 1000} for number in range(5000)}
    assert len(list(nodes(tree(wide, "s1")))) <= LIMIT_NODES + 1
    deep: Any = 1
    for _ in range(5000):
        deep = {"a": deep}
    assert len(list(nodes(tree(deep, "s1")))) <= 13
    assert len(by_label({"text": "x" * 10_000_000}, "Text").sample) <= 80


@given(documents)
@settings(max_examples=200, deadline=None)
def test_every_reference_finds_its_value(document: Any) -> None:
    for node in nodes(tree(document, "s1")):
        template = compile_template("{{" + node.reference + "}}")
        assert template.single
        assert parse_path(node.path).value(document) is not MISSING
