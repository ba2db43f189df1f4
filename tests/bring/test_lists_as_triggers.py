"""Lists that become triggers: what tells a record apart, since when, and the ways to the next page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.imports.apis.given import Given, draft_from

RECORD = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "created_at": {"type": "string", "format": "date-time"}},
}
LIST = {"type": "array", "items": RECORD}
TEXT, NUMBER = {"type": "string"}, {"type": "integer"}


def trigger(answer: Any, **query: Any) -> dict[str, Any]:
    parameters = [{"in": "query", "name": name, "schema": schema} for name, schema in query.items()]
    media = {"application/json": {"schema": answer}}
    get = {"parameters": parameters, "responses": {"200": {"description": "ok", "content": media}}}
    root = {
        "openapi": "3.0.3",
        "info": {"title": "Lists"},
        "servers": [{"url": "https://x.example"}],
        "paths": {"/orders": {"get": get}},
    }
    (one,) = draft_from(Given(json.dumps(root).encode(), "x", "2026-11-21")).usable
    return one.trigger


def table(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("answer", "query", "paginate"),
    [
        (table(data=LIST, next_cursor=TEXT), {"cursor": TEXT}, {"type": "cursor", "next": "$.next_cursor"}),
        (
            table(items=LIST, nextPageToken=TEXT),
            {"pageToken": TEXT},
            {"type": "cursor", "next": "$.nextPageToken"},
        ),
        (
            table(data=LIST, has_more={"type": "boolean"}),
            {"starting_after": TEXT},
            {"type": "cursor", "next": "$.data[-1].id", "more": "$.has_more"},
        ),
        (LIST, {"page": NUMBER, "per_page": NUMBER}, {"type": "page", "start": 1, "size": 50}),
        (
            table(data=LIST, offset=NUMBER),
            {"offset": NUMBER, "limit": {"type": "integer", "maximum": 20}},
            {"type": "offset", "start": 0, "size": 20},
        ),
        (
            table(data=LIST, links=table(next={"type": "string", "format": "uri"})),
            {"limit": NUMBER},
            {"type": "link", "next": "$.links.next"},
        ),
        (LIST, {"page": NUMBER}, {"type": "link", "next": "header:Link"}),
        (LIST, {}, None),
    ],
    ids=["cursor", "token", "last id", "page", "offset", "link", "header", "one page"],
)
def test_the_way_to_the_next_page_is_recognised(answer: Any, query: Any, paginate: Any) -> None:
    found = trigger(answer, **query)
    assert found.get("paginate") == paginate
    assert found["dedupe"] == "$.id"


@pytest.mark.parametrize(
    ("name", "schema", "sent"),
    [
        ("since", TEXT, {"since": "${cursor | iso8601}"}),
        ("created_at_min", {"type": "string", "format": "date"}, {"created_at_min": "${cursor | date}"}),
        ("createdAfter", NUMBER, {"createdAfter": "${cursor | epoch_s}"}),
        (
            "created",
            {"anyOf": [table(gte=NUMBER, lt=NUMBER), NUMBER]},
            {"created[gte]": "${cursor | epoch_s}"},
        ),
    ],
)
def test_a_parameter_that_asks_for_what_came_after_takes_the_cursor(
    name: str, schema: Any, sent: Any
) -> None:
    found = trigger(LIST, **{name: schema, "created_before": TEXT})
    assert sent.items() <= found["request"]["query"].items()
    assert name not in {field["key"] for field in found["input"]}
    assert found["cursor"]["path"] == "$.created_at"


def test_what_is_no_list_of_records_in_time_is_no_trigger() -> None:
    assert trigger({"type": "array", "items": table(id=TEXT)}) == {}
    assert trigger(table(id=TEXT, labels=LIST)) == {}
    assert trigger({"type": "array", "items": TEXT}) == {}
