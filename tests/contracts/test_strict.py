"""The checker that the connectors are held to, tried with requests that are wrong in one place."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.contracts import documents
from tests.contracts.documents import Document
from tests.contracts.strict import Sent, violations

CONTACT = {
    "type": "object",
    "required": ["email"],
    "properties": {"email": {"type": "string"}, "age": {"type": "integer"}, "tags": {"$ref": "#/x/tags"}},
}
PARAMETERS: list[dict[str, Any]] = [
    {"in": "path", "name": "id", "required": True, "schema": {"type": "integer"}},
    {"in": "query", "name": "dry", "schema": {"type": "boolean"}},
    {"in": "query", "name": "only", "schema": {"type": "array", "items": {"enum": ["a", "b"]}}},
    {"in": "header", "name": "X-Revision", "required": True, "schema": {"type": "string", "default": "1"}},
]


def openapi(version: str) -> dict[str, Any]:
    return {
        "openapi": version,
        "x": {"tags": {"type": "array", "items": {"type": "string"}}},
        "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}},
        "paths": {
            "/contacts/{id}": {
                "parameters": PARAMETERS,
                "post": {
                    "security": [{"key": []}],
                    "requestBody": {"required": True, "content": {"application/json": {"schema": CONTACT}}},
                },
            }
        },
    }


def swagger() -> dict[str, Any]:
    plain = [
        {"in": one["in"], "name": one["name"], "required": one.get("required", False), **one["schema"]}
        for one in PARAMETERS
    ]
    return {
        "swagger": "2.0",
        "x": {"tags": {"type": "array", "items": {"type": "string"}}},
        "consumes": ["application/json"],
        "securityDefinitions": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}},
        "paths": {
            "/contacts/{id}": {
                "parameters": [*plain, {"in": "body", "name": "body", "required": True, "schema": CONTACT}],
                "post": {"security": [{"key": []}]},
            }
        },
    }


KINDS = {"2.0": swagger(), "3.0": openapi("3.0.3"), "3.1": openapi("3.1.0")}
RIGHT = Sent(
    "POST",
    "https://api.example.com/v1/contacts/7?dry=true&only=a&only=b",
    [("X-Revision", "1"), ("X-Key", "k"), ("Content-Type", "application/json; charset=utf-8")],
    b'{"email": "a@b.de", "age": 7, "tags": ["x"]}',
)


@pytest.fixture(params=KINDS)
def document(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Document:
    (tmp_path / "one.json").write_text(json.dumps(KINDS[request.param]))
    monkeypatch.setattr(documents, "FOLDER", tmp_path)
    return documents.load.__wrapped__("one.json")


def test_a_right_request_has_no_violation(document: Document) -> None:
    assert violations(document, "/v1", RIGHT) == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"method": "PUT"}, "has no PUT /contacts/7"),
        ({"url": "https://api.example.com/v2/contacts/7"}, "does not begin with /v1"),
        ({"url": "https://api.example.com/v1/contact/7"}, "has no POST /contact/7"),
        ({"url": "https://api.example.com/v1/contacts/seven"}, "path/id"),
        ({"url": "https://api.example.com/v1/contacts/7?dry=maybe"}, "query/dry"),
        ({"url": "https://api.example.com/v1/contacts/7?only=a,c"}, "query/only"),
        ({"url": "https://api.example.com/v1/contacts/7?dyr=true"}, "query/dyr: the document has no such"),
        ({"headers": RIGHT.headers[1:]}, "header/X-Revision: it is required and missing"),
        ({"headers": [RIGHT.headers[0], RIGHT.headers[2]]}, "security: none of these is met: apiKey X-Key"),
        ({"headers": [*RIGHT.headers[:2], ("Content-Type", "text/plain")]}, "body: text/plain is none of"),
        ({"body": None}, "body: it is required and missing"),
        ({"body": b"{}"}, "'email' is a required property"),
        ({"body": b'{"email": 7}'}, "body/email: 7 is not of type 'string'"),
        ({"body": b'{"email": "a", "age": "7"}'}, "body/age: '7' is not of type 'integer'"),
        ({"body": b'{"email": "a", "tags": [1]}'}, "body/tags/0: 1 is not of type 'string'"),
        ({"body": b'{"email": "a", "emial": "b"}'}, "body/emial: the document has no such field"),
    ],
)
def test_each_violation_is_named_with_its_place(
    document: Document, facts: dict[str, Any], words: str
) -> None:
    found = violations(document, "/v1", replace(RIGHT, **facts))
    assert any(words in one for one in found), found


def test_a_waived_parameter_may_be_left_out(document: Document) -> None:
    sent = replace(RIGHT, headers=RIGHT.headers[1:])
    assert violations(document, "/v1", sent, waived=frozenset({"header:X-Revision"})) == []


FORM_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "amount": {"type": "integer"},
        "metadata": {"anyOf": [{"type": "object"}, {"enum": [""]}]},
        "items": {"type": "array", "items": {"type": "object", "properties": {"price": {"type": "string"}}}},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}
FORM_PATHS = {
    "/refunds": {
        "post": {
            "parameters": [
                {"in": "query", "name": "created", "schema": {"properties": {"gte": {"type": "integer"}}}}
            ],
            "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": FORM_SCHEMA}}},
        }
    }
}


@pytest.mark.parametrize(
    ("query", "body", "words"),
    [
        ("created[gte]=7", "amount=5&metadata[src]=x&items[0][price]=p_1&tags[]=a&tags[]=b", ""),
        ("", "tags=a", ""),
        ("created[gte]=x", "", "query/created/gte: 'x' is not of type 'integer'"),
        ("craeted[gte]=7", "", "query/craeted[gte]: the document has no such parameter"),
        ("", "amount=five", "body/amount: 'five' is not of type 'integer'"),
        ("", "amuont=5", "body: Additional properties are not allowed"),
    ],
)
def test_forms_with_brackets_are_read_as_tables(
    query: str, body: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "form.json").write_text(json.dumps({"openapi": "3.0.3", "paths": FORM_PATHS}))
    monkeypatch.setattr(documents, "FOLDER", tmp_path)
    document = documents.load.__wrapped__("form.json")
    headers = [("Content-Type", "application/x-www-form-urlencoded")]
    sent = Sent("POST", f"https://a.example.com/refunds?{query}", headers, body.encode())
    found = violations(document, "", sent)
    assert (found == []) if not words else any(words in one for one in found), found


def test_routes_of_wordpress_are_read_like_a_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = {
        "id": {"type": "integer"},
        "title": {"type": "string", "required": True},
        "meta": {"properties": []},
    }
    routes = {r"/wp/v2/posts/(?P<id>[\d]+)": {"endpoints": [{"methods": ["POST"], "args": args}]}}
    (tmp_path / "wp.json").write_text(json.dumps({"routes": routes}))
    monkeypatch.setattr(documents, "FOLDER", tmp_path)
    document = documents.load.__wrapped__("wp.json")
    json_type = [("Content-Type", "application/json")]
    right = Sent("POST", "https://b.example.com/wp-json/wp/v2/posts/7", json_type, b'{"title": "x"}')
    assert violations(document, "/wp-json", right) == []
    assert violations(document, "/wp-json", replace(right, body=b'{"titel": "x"}')) == [
        "body: 'title' is a required property",
        "body/titel: the document has no such field",
    ]
