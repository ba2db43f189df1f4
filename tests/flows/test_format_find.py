"""Functions that find something inside a value."""

from __future__ import annotations

from typing import Any

import pytest

from app.flows.mapping.template import MISSING, Finding, fill
from app.flows.model import Mapping

SCOPE = {"trigger": {"text": "Your order #4711 is here", "raw": '{"a": {"b": [1, 2]}}'}}


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ('{{$.text | match:"#(\\\\d+)","1"}}', "4711"),
        ('{{$.text | match:"(?i)ORDER"}}', "order"),
        ('{{$.raw | from_json | inside:"a.b.1"}}', 2),
        ('{{$ | inside:"text"}}', "Your order #4711 is here"),
    ],
)
def test_something_inside_a_value_is_found(template: str, wanted: Any) -> None:
    assert fill("Number", Mapping(value=template), SCOPE, []) == wanted


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ('{{$.text | match:"x{3}"}}', "the pattern 'x{3}' is not found in 'Your order #4711 is here'."),
        ('{{$.text | match:"("}}', "'(' is not a pattern that can be used."),
        ('{{$.text | match:"o","1"}}', "the pattern 'o' has 0 groups, not 1."),
        ('{{$ | inside:"a.b"}}', "there is no 'a' in it."),
        ('{{$.raw | from_json | inside:"a.b.9"}}', "there is no '9' in it."),
    ],
)
def test_what_is_not_there_is_a_finding_that_says_why(template: str, reason: str) -> None:
    findings: list[Finding] = []
    assert fill("Number", Mapping(value=template), SCOPE, findings) is MISSING
    assert findings[0].sentence == f"Number is empty: {reason}"
