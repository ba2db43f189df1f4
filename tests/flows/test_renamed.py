"""What a value is called now that records no longer have under the name they had."""

from __future__ import annotations

from typing import Any

import pytest

from app.flows.mapping.jsonpath import parse_path
from app.flows.model import FlowDefinition
from app.flows.renamed import Place, before, new_path_of, read_place, taken_over, uses

LEAD = {
    "email": "ada@example.com",
    "first_name": "Ada",
    "company": "Engines",
    "phone": "+351 912 345 678",
    "total": 12.5,
    "customer": {"email": "ada@example.com", "city": "Porto"},
    "items": [{"sku": "A-1", "price": 3}],
    "tags": ["new"],
}


def new_name(path: str, gone: str, came: dict[str, Any], lead: dict[str, Any] | None = None) -> str | None:
    """`gone`: what the record has no more; `came`: what it has instead."""
    lead = lead or LEAD
    record = {name: value for name, value in lead.items() if name != gone} | came
    known = before(parse_path(path), [lead])
    assert known is not None
    return new_path_of(parse_path(path), record, known)


@pytest.mark.parametrize(
    ("path", "gone", "came", "found"),
    [
        ("$.email", "email", {"email_address": "bo@example.com"}, "$['email_address']"),
        ("$.email", "email", {"Email": "bo@example.com"}, "$['Email']"),
        ("$.email", "email", {"contact": "bo@example.com", "note": "hi"}, "$['contact']"),
        ("$.email", "email", {"email_opt_in": True, "mail": "bo@example.com"}, "$['mail']"),
        ("$.phone", "phone", {"mobile": "+351 911 111 111", "shoe": 41}, "$['mobile']"),
        ("$.phone", "phone", {"phone_number": "351911111111", "mail": "x@y.example"}, "$['phone_number']"),
        ("$.first_name", "first_name", {"given": "Bo"}, "$['given']"),
        ("$.first_name", "first_name", {"firstName": "Bo", "note": "hi"}, "$['firstName']"),
        ("$.total", "total", {"total_price": 4, "weight": 7}, "$['total_price']"),
        ("$.tags", "tags", {"tag_list": ["old"]}, "$['tag_list']"),
        ("$.customer.email", "customer", {"buyer": {"email": "b@x.example"}}, "$['buyer']['email']"),
        (
            "$.customer.city",
            "customer",
            {"customer": {"email": "b@x.example", "town": "Faro"}},
            "$['customer']['town']",
        ),
        ("$.items[*].sku", "items", {"items": [{"article": "B-2", "price": 3}]}, "$['items'][*]['article']"),
        (
            "$.items[0].sku",
            "items",
            {"items": [{"sku_code": "B-2", "price": 3}]},
            "$['items'][0]['sku_code']",
        ),
        ("$.items[0].sku", "items", {"lines": [{"sku": "B-2", "price": 3}]}, "$['lines'][0]['sku']"),
    ],
)
def test_a_new_name_is_found_by_name_and_kind(path: str, gone: str, came: dict[str, Any], found: str) -> None:
    assert new_name(path, gone, came) == found


@pytest.mark.parametrize(
    ("path", "gone", "came"),
    [
        ("$.email", "email", {}),
        ("$.email", "email", {"newsletter": True}),
        ("$.email", "email", {"email_count": 4}),  # another kind of value
        ("$.company", "company", {"comment": "hello", "note": "hi"}),
        ("$.first_name", "first_name", {"question_1": "yes", "question_2": "no"}),
        ("$.items[*].sku", "items", {"sku": "B-2", "colour": "red"}),  # one value in place of a list
        ("$.email", "email", {"someone": ""}),
    ],
)
def test_what_merely_came_along_is_not_taken_for_it(path: str, gone: str, came: dict[str, Any]) -> None:
    assert new_name(path, gone, came) is None


def test_what_was_there_before_is_not_the_new_name() -> None:
    lead = LEAD | {"email_address": "work@example.com"}
    assert new_name("$.email", "email", {}, lead) is None


def test_a_value_that_was_of_several_kinds_is_known_by_its_name() -> None:
    path = parse_path("$.email")
    known = before(path, [LEAD, LEAD | {"email": "none"}])
    assert known is not None
    assert new_path_of(path, {"email_address": "b@x.example"}, known) == "$['email_address']"
    assert new_path_of(path, {"someone": "b@x.example"}, known) is None


def test_nothing_is_known_of_a_value_that_no_record_had() -> None:
    assert before(parse_path("$.vat"), [LEAD, {}, None]) is None


def test_of_a_record_without_end_nothing_is_guessed() -> None:
    assert (
        new_name(
            "$.email", "email", {"email_address": "b@x.example"}, LEAD | {f"n{i}": i for i in range(2000)}
        )
        is None
    )


# -------------------------------------------------------------------------------- who looks where


def flow(*values: str, **more: Any) -> FlowDefinition:
    rows = [{"name": f"v{number}", "mapping": value} for number, value in enumerate(values)]
    steps = [{"id": "s1", "kind": "set", "values": rows}, *more.pop("steps", [])]
    return FlowDefinition.model_validate(
        {"name": "F", "trigger": {"kind": "webhook", **more}, "steps": steps}
    )


def test_the_same_place_is_found_however_it_is_written() -> None:
    definition = flow("{{$.email}}", "{{ order:$['email'] | lower }} and {{s9:$.email}}", id="order")
    assert uses(definition) == {
        Place("trigger", "$['email']"): ["s1"],
        Place("s9", "$['email']"): ["s1"],
    }


def test_steps_in_paths_and_loops_speak_for_themselves() -> None:
    inner = {"id": "s3", "kind": "stop", "message": "{{$.email}}"}
    loop = {"id": "s2", "kind": "for_each", "items": "{{$.items}}", "steps": [inner]}
    found = uses(flow("no reference", steps=[loop]))
    assert found == {Place("trigger", "$['items']"): ["s2"], Place("trigger", "$['email']"): ["s3"]}


def test_every_use_is_taken_over_with_its_functions_and_nothing_else_is() -> None:
    definition = flow(
        "{{ $.email | lower }}, {{$.email2}}", r"\{{$.email}} {{trigger:$['email']}}!", "{{s1:$.email}}"
    )
    changed = taken_over(definition, read_place("trigger:$['email']"), "$['mail']['it\\\\s']")
    assert [row.mapping.value for row in changed.steps[0].values] == [  # type: ignore[union-attr]
        "{{$['mail']['it\\\\s'] | lower}}, {{$.email2}}",
        r"\{{$.email}} {{trigger:$['mail']['it\\s']}}!",
        "{{s1:$.email}}",
    ]


@pytest.mark.parametrize(
    "name", ["a}}b", "it's", 'q"q', "{{x}}", "a|b", "é ñ", "0", "a\\b", "$", "a\nb", "]['", "\x00"]
)
def test_names_of_any_kind_can_be_taken_over(name: str) -> None:
    document = {name: "b@x.example"}
    known = before(parse_path("$.email"), [LEAD])
    assert known is not None
    new_path = new_path_of(parse_path("$.email"), document, known)
    assert new_path is not None
    changed = taken_over(flow("Mail: {{$.email | lower}}"), Place("trigger", "$['email']"), new_path)
    assert uses(changed) == {Place("trigger", new_path): ["s1"]}
    assert parse_path(new_path).value(document) == "b@x.example"
