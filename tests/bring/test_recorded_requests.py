"""A pasted cURL command, a Postman collection, a HAR file: the same model, and no secret in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.errors import ConnectorInvalid
from app.imports.apis.draft import Draft
from app.imports.apis.folder import write_connector
from app.imports.apis.given import Given, draft_from

TOKEN = "made_up_4eC39HqLyjWDarjtT1zdp7dc"  # made up

BASH = f"""curl --location -X POST 'https://api.shop.example/v1/orders/84213/notes?notify=true&utm_source=' \\
  -H 'Authorization: Bearer {TOKEN}' \\
  -H 'Content-Type: application/json' -H "Accept: */*" -b 'session=abc' --compressed \\
  --data-raw $'{{"text":"It\\'s done","stars":4,"author":{{"name":"Ana"}}}}'
"""
CMD = f"""curl ^"https://api.shop.example/v1/orders/84213/notes?notify=true^" ^
  -X POST -H ^"Authorization: Bearer {TOKEN}^" ^
  -H ^"Content-Type: application/json^" ^
  -d ^"{{^\\^"text^\\^":^\\^"ok^\\^",^\\^"stars^\\^":4,^\\^"author^\\^":{{^\\^"name^\\^":^\\^"A^\\^"}}}}^"
"""
POWERSHELL = f"""curl.exe "https://api.shop.example/v1/orders/84213/notes?notify=true" `
  -H "Authorization: Bearer {TOKEN}" -H "Content-Type: application/json" `
  -d '{{"text":"done","stars":4,"author":{{"name":"Ana"}}}}'
"""


def draft_of(given: Any, name: str = "the text") -> Draft:
    content = given if isinstance(given, str) else json.dumps(given)
    return draft_from(Given(content.encode(), name, "2026-11-21"))


def files_of(draft: Draft, folder: Path) -> str:
    made = write_connector(draft, folder).folder
    assert made is not None
    return "\n".join(file.read_text() for file in made.rglob("*") if file.is_file())


@pytest.mark.parametrize("text", [BASH, CMD, POWERSHELL], ids=["bash", "cmd", "powershell"])
def test_a_curl_command_of_any_shell_becomes_an_action_and_its_token_a_field(
    text: str, tmp_path: Path
) -> None:
    draft = draft_of(text)
    (one,) = draft.usable
    assert one.title == "POST /v1/orders/{order_id}/notes"
    keys = {field["key"] for field in one.action["input"]}
    assert keys == {"order_id", "notify", "text", "stars", "author_name"}
    assert draft.head["api"]["base_url"] == "https://api.shop.example"
    assert draft.head["auth"][0]["type"] == "bearer"
    assert draft.secrets == {"token": TOKEN}
    written = files_of(draft, tmp_path)
    assert TOKEN not in written
    assert "session=abc" not in written


def test_basic_keys_in_the_query_and_forms_are_understood() -> None:
    draft = draft_of("curl https://x.example/send -u key:pass-word -d to=+436641234 -d 'text=Hi there'")
    assert draft.head["auth"][0]["type"] == "basic"
    assert draft.public == {"username": "key"}
    assert draft.secrets == {"password": "pass-word"}
    assert draft.usable[0].action["requests"][0]["body_kind"] == "form"
    draft = draft_of("curl 'https://x.example/now?q=Wien&appid=0123456789abcdef0123456789abcdef'")
    assert draft.head["auth"][0]["name"] == "appid"
    assert [field["key"] for field in draft.usable[0].action["input"]] == ["q_field"]
    draft = draft_of("curl -F 'file=@a.csv' -F name=June -H 'X-Api-Key: 1234567890' https://x.example/up")
    assert draft.usable[0].action["requests"][0]["body_kind"] == "multipart"
    assert draft.secrets == {"x_api_key": "1234567890"}


@pytest.mark.parametrize(
    "command",
    [
        "curl https://api.chat.example/bot123456789:AAmade-up_SECRETabcdefghijk12/sendMessage -d chat=1",
        "curl https://hooks.chat.example/services/T0AB1CD2E/B0AB1CD2E/SECRETmadeup1234567890ab -d text=hi",
        "curl 'https://x.example/a?k=SECRETmadeup1234567890ab' -H 'X-Shop: SECRETmadeup1234567890ab'",
        """curl https://x.example/a -d '{"q": {"code": "SECRETmadeup1234567890ab", "password": "SECRET"}}'""",
    ],
    ids=["path", "webhook", "other names", "body"],
)
def test_what_looks_like_a_key_stands_in_no_file_wherever_it_was(command: str, tmp_path: Path) -> None:
    assert "SECRET" not in files_of(draft_of(command), tmp_path)


def test_a_key_in_the_address_of_the_document_stands_in_no_file(tmp_path: Path) -> None:
    root = {"openapi": "3.0.0", "info": {"title": "A"}, "paths": {"/t": {"get": {}}}}
    address = "https://ana:SECRET@x.example/openapi.json?token=SECRET#x"
    draft = draft_from(Given(json.dumps(root).encode(), "x", "2026-11-21", home=address))
    assert draft.source == "https://x.example/openapi.json"
    assert "SECRET" not in files_of(draft, tmp_path)


def test_a_broken_command_is_refused_with_the_reason() -> None:
    with pytest.raises(ConnectorInvalid, match="never closed"):
        draft_of("curl 'https://x.example/send")
    with pytest.raises(ConnectorInvalid, match="no address"):
        draft_of("curl -X POST")


COLLECTION: dict[str, Any] = {
    "info": {
        "name": "Lemon Shop",
        "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
    },
    "auth": {
        "type": "apikey",
        "apikey": [{"key": "key", "value": "X-Key"}, {"key": "value", "value": "{{k}}"}],
    },
    "variable": [
        {"key": "base", "value": "https://api.lemon.example/v2"},
        {"key": "k", "value": "topsecret123"},
    ],
    "item": [
        {
            "name": "Orders",
            "item": [
                {
                    "name": "Add an order",
                    "request": {
                        "method": "POST",
                        "header": [{"key": "Content-Type", "value": "application/json"}],
                        "body": {"mode": "raw", "raw": '{"email": "ana@example.com", "count": {{n}}}'},
                        "url": {
                            "raw": "{{base}}/orders/:shop?dry=1",
                            "variable": [{"key": "shop", "value": "7"}],
                        },
                    },
                    "response": [{"code": 200, "body": '{"id": "o_1"}'}],
                }
            ],
        },
        {"name": "Ping", "request": {"method": "GET", "url": "{{base}}/ping", "auth": {"type": "noauth"}}},
        {"name": "Other", "request": "https://other.example/x"},
    ],
}


def test_a_postman_collection_keeps_folders_variables_and_the_inherited_sign_in(tmp_path: Path) -> None:
    draft = draft_of(COLLECTION, "lemon.postman_collection.json")
    titles = {one.title: one for one in draft.usable}
    assert set(titles) == {"POST /v2/orders/{shop}", "GET /v2/ping"}
    order = titles["POST /v2/orders/{shop}"]
    assert (order.label, order.tag) == ("Add an order", "Orders")
    assert {field["key"] for field in order.action["input"]} == {"shop", "dry", "email", "count"}
    assert order.action["output"]["fields"][0]["path"] == "$.id"
    assert draft.head["auth"][0]["name"] == "X-Key"
    assert draft.secrets == {"x_key": "topsecret123"}
    assert any("other.example" in note for note in draft.notes)
    assert "topsecret123" not in files_of(draft, tmp_path)


def test_a_collection_of_the_older_format_and_an_unknown_server_work_too() -> None:
    old = json.loads(json.dumps(COLLECTION))
    old["auth"] = {"type": "basic", "basic": {"username": "u", "password": "p"}}
    old["variable"] = []
    draft = draft_of(old)
    assert draft.head["auth"][0]["type"] == "basic"
    assert draft.head["api"]["base_url"] == "${connection.base}"
    assert draft.head["connection_fields"][0]["pattern"].startswith("https?://")


def call(method: str, url: str, answer: Any = None, **more: Any) -> dict[str, Any]:
    content = {"mimeType": "application/json", "text": json.dumps(answer)} if answer is not None else {}
    headers = [
        {"name": "Cookie", "value": "sid=very-secret-cookie"},
        {"name": "X-Api-Key", "value": "k-123456"},
    ]
    return {
        "request": {"method": method, "url": url, "headers": headers, **more},
        "response": {"status": 200, "content": content},
    }


def test_a_har_file_leaves_out_cookies_tracking_other_hosts_and_all_values(tmp_path: Path) -> None:
    post = {"mimeType": "application/json", "text": '{"email": "maria@private.example", "points": 3}'}
    har = {
        "log": {
            "entries": [
                call("GET", "https://app.example/style.css"),
                call(
                    "GET",
                    "https://api.app.example/members/12345?utm_source=x&page=1",
                    [{"id": 1, "name": "Maria"}],
                ),
                call("POST", "https://api.app.example/members", {"id": 2}, postData=post),
                call("GET", "https://www.google-analytics.com/collect?v=1", {}),
                call("GET", "https://cdn.example/data.json", {"a": 1}),
            ]
        }
    }
    draft = draft_of(har, "app.har")
    assert {one.title for one in draft.usable} == {"GET /members/{member_id}", "POST /members"}
    assert draft.secrets == {"x_api_key": "k-123456"}
    written = files_of(draft, tmp_path)
    for word in ("very-secret-cookie", "k-123456", "Maria", "maria@private", "utm_source", "12345"):
        assert word not in written, word
    assert any("cdn.example" in note for note in draft.notes)
