"""Data that the tests of flows look into, and strategies for any data at all."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

ORDER: dict[str, Any] = {
    "id": 820982911946154508,
    "email": "ada@example.com",
    "created_at": "2026-11-18T09:30:00-05:00",
    "currency": "EUR",
    "total_price": "128.70",
    "paid": True,
    "note": None,
    "coupon": "",
    "tags": ["VIP", "newsletter"],
    "customer": {"first_name": "Ada", "last_name": "Lovelace", "mobile": "0151 23456789"},
    "line_items": [
        {"title": "Tea", "price": "3.50", "quantity": 2},
        {"title": "Cup", "price": 12, "quantity": 1, "sku": "C-1"},
    ],
    "refunds": [],
}
SCOPE: dict[str, Any] = {
    "trigger": ORDER,
    "s1": {"contact": {"id": 7, "is_new": False}},
    "run": {
        "id": "run_1",
        "flow": "Orders",
        "started_at": "2026-11-18T14:30:00+00:00",
        "time_zone": "Europe/Berlin",
    },
}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
documents = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
