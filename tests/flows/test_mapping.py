"""Templates and filling: what a field becomes, and what is said where nothing was found."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import MappingFailed
from app.flows.mapping.jsonpath import quoted_path
from app.flows.mapping.template import (
    MISSING,
    Finding,
    compile_template,
    fill,
    fill_rows,
    fill_text,
    literal,
    resolve,
)
from app.flows.model import Mapping, NamedMapping
from tests.flows.documents import ORDER, SCOPE, documents, texts


def filled(text: str, *, required: bool = False, scope: dict[str, Any] = SCOPE, **rule: Any) -> Any:
    return fill("Field", Mapping(value=text, **rule), scope, [], required=required)


def findings_of(text: str, **rule: Any) -> list[Finding]:
    findings: list[Finding] = []
    fill("Phone", Mapping(value=text, **rule), SCOPE, findings)
    return findings


# ------------------------------------------------------------------------------- the template


def test_a_field_that_is_one_reference_keeps_its_type() -> None:
    assert filled("{{trigger:$['id']}}") == 820982911946154508
    assert filled("{{$.paid}}") is True
    assert filled("{{$.tags}}") == ["VIP", "newsletter"]
    assert filled("{{$.customer}}") == ORDER["customer"]
    assert filled("{{s1}}") == SCOPE["s1"]


def test_with_other_text_it_becomes_text_as_json_writes_it() -> None:
    assert filled("No. {{$.id}}, {{$.paid}}, {{$.tags}}") == "No. 820982911946154508, true, VIP, newsletter"
    assert filled("{{s1:$.contact}}!") == '{"id": 7, "is_new": false}!'
    assert filled("{{$.x}} ", scope={"trigger": {"x": 1.0}}) == "1.0 "


def test_typed_and_picked_paths_and_roots_mean_the_same() -> None:
    for text in (
        "{{$.customer.first_name}}",
        "{{ trigger:$['customer'][\"first_name\"] }}",
        "{{trigger : $.customer.first_name}}",
    ):
        assert filled(text) == "Ada"


def test_functions_are_applied_from_left_to_right() -> None:
    assert filled('{{$.line_items[*].title | join:" + " | upper}}') == "TEA + CUP"
    assert filled("{{$.line_items[*].price|sum|round:1}}") == 15.5
    assert (
        filled("{{$.customer.last_name | replace:'love','hate' | replace:\"Love\":\"Hate\"}}") == "Hatelace"
    )


def test_braces_and_bars_inside_quotes_belong_to_the_text() -> None:
    assert filled('{{$.nothing | default:"a | b }} c"}}') == "a | b }} c"
    scope = {"trigger": {"a}}b|c": 1, "it's": 2}}
    assert filled("{{$['a}}b|c']}}", scope=scope) == 1
    assert filled('{{$["it\'s"]}}', scope=scope) == 2


def test_escaped_braces_are_text() -> None:
    assert filled("\\{{FNAME}} {{$.customer.first_name}}") == "{{FNAME}} Ada"
    assert filled("C:\\dir\\\\{{$.paid}}") == "C:\\dir\\true"
    assert filled('{"a":{"b":1}}') == '{"a":{"b":1}}'


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Hello {{$.email", "{{$.email"),
        ("Hello {{$.email} and more", "{{$.email} and more"),
        ("{{}}", "{{}}"),
        ("{{ | upper}}", "{{ | upper}}"),
        ("{{$.a {{$.b}}", "{{$.a {{$.b}}"),
        ("{{$['a}}", "{{$['a}}"),
        ("{{$.a | uper}}", "uper"),
        ("{{$.a | }}", "{{$.a | }}"),
        ('{{$.a | join:", " rest}}', "rest"),
        ("{{$.a | join:}}", "{{$.a | join:}}"),
        ('{{$.a | upper:"x"}}', "upper"),
        ("{{$.a | replace}}", "Find"),
        ('{{$.a | date:"%d","Mars/Base"}}', "Mars/Base"),
        ('{{$.a | round:"two"}}', "two"),
        ("{{customer.email}}", "$.customer.email"),
        ("{{$.my key}}", "my key"),
        ("{{Trigger:$.a}}", "Trigger:$.a"),
    ],
)
def test_a_template_that_cannot_be_read_names_the_part(text: str, named: str) -> None:
    with pytest.raises(MappingFailed) as failed:
        compile_template(text)
    assert named in failed.value.sentence + failed.value.remedy


def test_a_wrong_function_name_is_answered_with_the_right_one() -> None:
    with pytest.raises(MappingFailed, match="There is 'upper'"):
        compile_template("{{$.a | uper}}")


def test_a_template_tells_its_references() -> None:
    template = compile_template('{{$.a | join:"-"}} {{s2:$["b"]}}')
    assert [(one.root, one.path) for one in template.references] == [("trigger", "$.a"), ("s2", '$["b"]')]
    assert [(use.name, use.args) for use in template.references[0].functions] == [("join", ("-",))]
    assert not template.single
    assert compile_template("{{$.a}}").single
    assert not compile_template(" {{$.a}}").single


# ---------------------------------------------------------------------- what is found nowhere


def test_a_missing_path_is_a_finding_not_an_error() -> None:
    found = findings_of("{{$.customer.mobil}}")
    assert found[0].sentence == (
        "Phone is empty: nothing was found at customer → mobil. The data has 'mobile'."
    )
    assert found[0].reference == "$.customer.mobil"
    assert found[0].as_json()["field"] == "Phone"


def test_without_a_near_name_the_finding_lists_what_is_there() -> None:
    sentence = findings_of("{{$.customer.zzz}}")[0].sentence
    assert "'first_name', 'last_name', 'mobile'" in sentence


def test_a_missing_parent_names_the_key_that_is_not_there() -> None:
    assert "The data has 'customer'" in findings_of("{{$.costumer.email}}")[0].sentence


def test_a_finding_looks_into_the_items_of_a_list() -> None:
    assert "The data has 'title'" in findings_of("{{$.line_items[*].titel}}")[0].sentence
    assert "The list there has 2 items" in findings_of("{{$.line_items[5]}}")[0].sentence


def test_a_step_that_gave_no_data_is_named() -> None:
    assert "step 's9' gave no data" in findings_of("{{s9:$.id}}")[0].sentence


def test_null_is_said_to_be_null() -> None:
    assert "note has no value (null)" in findings_of("{{$.note}}")[0].sentence


def test_an_optional_field_without_data_is_left_out() -> None:
    assert filled("{{$.customer.phone}}") is MISSING
    assert filled("{{$.note}}") is MISSING
    assert filled("") is MISSING


def test_an_optional_blank_text_is_a_value() -> None:
    assert filled("{{$.coupon}}") == ""


def test_a_required_field_without_data_stops() -> None:
    for text in ("{{$.customer.phone}}", "{{$.note}}", "{{$.coupon}}", "", "  "):
        with pytest.raises(MappingFailed) as failed:
            filled(text, required=True)
        assert failed.value.field == "Field"
        assert failed.value.sentence.startswith("Field is empty")
        assert failed.value.remedy


def test_zero_false_and_an_empty_list_are_values_even_where_required() -> None:
    scope = {"trigger": {"zero": 0, "no": False, "list": []}}
    assert filled("{{$.zero}}", required=True, scope=scope) == 0
    assert filled("{{$.no}}", required=True, scope=scope) is False
    assert filled("{{$.list}}", required=True, scope=scope) == []


def test_a_text_with_a_missing_piece_stops_where_required() -> None:
    with pytest.raises(MappingFailed, match="nick_name"):
        filled("Dear {{$.customer.nick_name}},", required=True)
    assert filled("Dear {{$.customer.nick_name}},") == "Dear ,"


def test_the_rule_of_a_field_goes_before_its_being_required() -> None:
    assert filled("{{$.coupon}}", required=True, when_empty="leave_out") is MISSING
    assert filled("{{$.note}}", required=True, when_empty="default", default="none") == "none"
    assert filled("{{$.note}}", when_empty="default", default="{{$.email}}") == "ada@example.com"
    with pytest.raises(MappingFailed):
        filled("{{$.note}}", when_empty="stop")
    with pytest.raises(MappingFailed):
        filled("{{$.note}}", required=True, when_empty="default", default="")


def test_a_default_takes_the_place_of_the_missing_piece() -> None:
    rule = {"when_empty": "default", "default": "friend"}
    assert filled("Hi {{$.customer.nick}}, no. {{$.id}}", **rule) == "Hi friend, no. 820982911946154508"


def test_a_default_function_leaves_no_finding() -> None:
    assert findings_of('{{$.customer.nick | default:"friend"}}') == []


def test_a_function_that_cannot_use_a_value_is_a_finding() -> None:
    found = findings_of("{{$.email | date}}")
    assert found[0].sentence == "Phone is empty: 'ada@example.com' is not a date."
    assert found[0].remedy


def test_rows_are_filled_in_order_and_missing_ones_left_out() -> None:
    rows = [
        NamedMapping(name="a", mapping=Mapping(value="{{$.email}}")),
        NamedMapping(name="b", mapping=Mapping(value="{{$.nothing}}")),
        NamedMapping(name="a", mapping=Mapping(value="2")),
    ]
    findings: list[Finding] = []
    assert fill_rows(rows, SCOPE, findings) == [("a", "ada@example.com"), ("a", "2")]
    assert [finding.field for finding in findings] == ["b"]


def test_fill_text_always_gives_text() -> None:
    assert fill_text("F", Mapping(value="{{$.tags}}"), SCOPE, []) == "VIP, newsletter"
    assert fill_text("F", Mapping(value="{{$.nothing}}"), SCOPE, []) == ""


def test_resolve_gives_missing_and_null_as_they_are() -> None:
    assert resolve(Mapping(value="{{$.note}}"), SCOPE, []) is None
    assert resolve(Mapping(value="{{$.nothing}}"), SCOPE, []) is MISSING
    assert resolve(Mapping(value="{{$.nothing}}", when_empty="default", default="x"), SCOPE, []) == "x"


def test_dates_are_written_in_the_time_zone_of_the_flow() -> None:
    assert filled('{{$.created_at | date:"%H:%M"}}') == "15:30"
    assert filled('{{$.created_at | date:"%H:%M","America/New_York"}}') == "09:30"


# ------------------------------------------------------------------------- hostile and many


def test_a_text_that_grows_too_long_stops() -> None:
    with pytest.raises(MappingFailed, match="too long"):
        filled("{{$.x}}" * 5, scope={"trigger": {"x": "y" * 900_000}})


def test_huge_templates_are_refused_at_once() -> None:
    began = time.process_time()
    for text in ("\\" * 200_000, "{{" * 100_000, "{{$.a | upper" + " | upper" * 30_000 + "}}", "x" * 400_000):
        try:
            compile_template(text)
        except MappingFailed as failed:
            assert len(failed.sentence) < 500  # noqa: PT017
    assert time.process_time() - began < 2


def test_deep_data_cannot_break_the_text_of_a_field() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(MappingFailed, match="deeply"):
        filled("Data: {{$.x}}", scope={"trigger": {"x": deep}})


def test_nine_fields_of_an_order_cost_less_than_a_tenth_of_a_millisecond() -> None:
    names = ("id", "email", "created_at", "currency", "total_price", "paid")
    mappings = [Mapping(value="{{trigger:" + quoted_path([name]) + "}}") for name in names]
    mappings += [
        Mapping(value=f"{{{{$.customer.{name}}}}}") for name in ("first_name", "last_name", "mobile")
    ]
    best = 1.0
    for _ in range(20):
        began = time.process_time()
        for _ in range(100):
            for mapping in mappings:
                fill("Field", mapping, SCOPE, [])
        best = min(best, (time.process_time() - began) / 100)
    assert best < 0.0001


@given(st.text(max_size=80) | st.text("\\{}ab ", max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_can_be_written_as_a_template_of_itself(text: str) -> None:
    template = compile_template(literal(text))
    assert not template.references
    assert "".join(str(part) for part in template.parts) == text


@given(st.lists(texts, min_size=1, max_size=3), st.text("ab{}\\ |'\"", max_size=10), documents)
@settings(max_examples=200, deadline=None)
def test_a_picked_reference_between_any_texts_is_read_back(keys: list[str], around: str, value: Any) -> None:
    path = quoted_path(keys)
    if len(path) > 256:
        return
    before = literal(around + " ")
    template = compile_template(before + "{{s1:" + path + "}}" + literal(" " + around))
    assert [(one.root, one.path) for one in template.references] == [("s1", path)]
    document = value
    for key in reversed(keys):
        document = {key: document}
    assert compile_template("{{s1:" + path + "}}").references[0].compiled.value(document) is value


@given(
    st.text(max_size=40)
    | st.sampled_from(
        ["{{$.a | date}}", "{{$.a | sum}}", "{{$.a | join}} x", "{{$.a[*].b}}", "{{$..a}}", "{{$}} x"]
    ),
    documents,
    st.sampled_from([None, "leave_out", "default", "stop"]),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_filling_raises_nothing_but_mapping_failed(
    text: str, document: Any, rule: Any, required: bool
) -> None:
    mapping = Mapping(value=text, when_empty=rule, default="x")
    try:
        fill("Field", mapping, {"trigger": document}, [], required=required)
    except MappingFailed as failed:
        assert failed.sentence  # noqa: PT017


def test_a_text_of_references_that_find_nothing_is_left_out_and_not_sent_as_blanks() -> None:
    scope = {"trigger": {"last_name": "", "city": " "}}
    assert filled("{{$.first}} {{$.last}}", scope=scope) is MISSING
    assert filled("{{$.first}} {{$.last_name}}", scope=scope) is MISSING
    assert filled("{{$.first}}, {{$.last_name}}", scope=scope) == ", "
    assert filled("{{$.city}}", scope=scope) == " "
