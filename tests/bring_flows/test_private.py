"""Keys and passwords that somebody wrote into a setting stay behind."""

from __future__ import annotations

from typing import Any

import pytest

from app.flows.portable.files import to_text
from app.imports.flows.private import is_private
from tests.bring_flows.exports import bring, export, node
from tests.bring_flows.test_n8n_steps import HOOK, assignments

KEY = "abcd1234efgh5678"


def rows(**values: str) -> dict[str, Any]:
    return {"parameters": [{"name": name, "value": value} for name, value in values.items()]}


@pytest.mark.parametrize(
    "parameters",
    [
        {"sendHeaders": True, "headerParameters": rows(**{"x-rapidapi-key": KEY})},
        {"sendHeaders": True, "headerParameters": rows(Authorization=f"Bearer {KEY}")},
        {"sendQuery": True, "queryParameters": rows(api_key=KEY)},
        {"url": f"https://x.example.com/a?appid={KEY}&q=1"},
        {"method": "POST", "sendBody": True, "bodyParameters": rows(password=KEY)},
        {
            "method": "POST",
            "sendBody": True,
            "specifyBody": "json",
            "jsonBody": f'{{"a": {{"token": "{KEY}"}}}}',
        },
    ],
)
def test_a_key_in_a_request_is_not_brought_along_but_named(parameters: dict[str, Any]) -> None:
    given = {"url": "https://x.example.com", "options": {}, **parameters}
    brought = bring(export(HOOK, node("Ask", "httpRequest", 4.2, parameters=given)))
    (draft,) = brought.drafts
    assert KEY not in to_text(draft.file.definition)
    (line,) = brought.report.lines
    assert line.reason.startswith("It may be a key or a password")
    assert KEY not in repr(line)


def test_a_key_in_a_value_or_in_code_is_not_brought_along() -> None:
    code = node("Code", "code", 2, parameters={"jsCode": f"fetch(x, {{Authorization: 'Bearer {KEY}'}})"})
    data = export(HOOK, node("Set", "set", 3.4, parameters=assignments(api_token=KEY, name="Ana")), code)
    text = to_text(bring(data).drafts[0].file.definition)
    assert KEY not in text
    assert "Ana" in text


@pytest.mark.parametrize(
    ("name", "value", "private"),
    [
        ("x-api-key", "abc", True),
        ("access_token", "abc", True),
        ("Password", "abc", True),
        ("token", "{{trigger:$['token']}}", False),
        ("Author", "Ana", False),
        ("keyword", "shoes", False),
        ("monkey", "x", False),
        ("api_key", "", False),
    ],
)
def test_what_counts_as_private(name: str, value: str, private: bool) -> None:
    assert is_private(name, value) is private
