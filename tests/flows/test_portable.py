# ruff: noqa: E501 - one example per line reads better than a folded one
"""Flow files: written readably, read back the same, refused in sentences."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import FlowInvalid
from app.flows.edit import add_step, duplicate_step, move_step, new_step, remove_step, replace_step
from app.flows.model import FlowDefinition, HttpStep, Mapping, SetStep, WebhookTrigger
from app.flows.portable.files import (
    FileConnection,
    connection_ids,
    diff,
    dump,
    from_text,
    load,
    to_text,
    with_connections,
)

EVERY_KIND: dict[str, Any] = {
    "format": 1,
    "name": "Orders to the CRM",
    "description": "Line one\nLine two",
    "time_zone": "Europe/Berlin",
    "trigger": {"kind": "webhook", "signature": {"connection_id": "con_b", "header": "X-Sig"}},
    "steps": [
        {
            "kind": "http",
            "id": "s1",
            "request": {
                "method": "POST",
                "url": "https://example.com/{{$.id}}",
                "headers": [{"name": "X-Yes", "mapping": "yes"}, {"name": "X-Date", "mapping": "2026-01-01"}],
                "body_kind": "json_text",
                "body_text": '{"a": "{{$.a}}"}\n',
                "connection_id": "con_b",
                "timeout_s": 12.5,
            },
            "success": {"groups": [[{"left": "{{answer:$.status}}", "operator": "less", "right": "300"}]]},
            "default_output": {"status": None, "list": [1, 2.5, True, "no"]},
        },
        {
            "kind": "paths",
            "id": "s2",
            "paths": [
                {
                    "id": "p1",
                    "name": "Big",
                    "conditions": {
                        "groups": [
                            [{"left": "{{$.total}}", "operator": "between", "right": "1", "right_to": "2"}]
                        ]
                    },
                    "steps": [
                        {
                            "kind": "action",
                            "id": "s3",
                            "connector": "hubspot",
                            "action": "upsert",
                            "connection_id": "con_a",
                            "input": {
                                "email": {"value": "{{$.email}}", "when_empty": "default", "default": "x"}
                            },
                        }
                    ],
                },
                {"id": "p2", "name": "Everyone else"},
            ],
        },
        {"kind": "for_each", "id": "s4", "items": "{{$.items}}", "steps": [{"kind": "delay", "id": "s5"}]},
        {
            "kind": "set",
            "id": "s6",
            "values": [{"name": "ü", "mapping": "007"}, {"name": "n", "mapping": "null"}],
        },
        {"kind": "email", "id": "s7", "to": "a@b.c", "subject": "Hi", "text": "  # not a comment: {x}"},
        {"kind": "stop", "id": "s8", "outcome": "failed", "message": "~"},
    ],
}
CONNECTIONS = {
    "con_a": FileConnection("hubspot", "Main CRM"),
    "con_b": FileConnection("http", "main crm"),
    "con_c": FileConnection("slack", "Unused"),
}


def flow() -> FlowDefinition:
    return load(EVERY_KIND)


def test_a_flow_comes_back_from_its_data_and_from_its_file() -> None:
    definition = flow()
    assert load(dump(definition)) == definition
    (read,) = from_text(to_text(definition, CONNECTIONS), "orders.yaml")
    assert with_connections(read.definition, {"main_crm": "con_b", "main_crm_2": "con_a"}) == definition
    assert read.connections == {
        "main_crm": FileConnection("http", "main crm"),
        "main_crm_2": FileConnection("hubspot", "Main CRM"),
    }


def test_a_file_says_only_what_does_not_go_without_saying() -> None:
    small = FlowDefinition(name="Small", trigger=WebhookTrigger(), steps=[HttpStep(id="s1")])
    assert dump(small) == {
        "format": 1,
        "name": "Small",
        "trigger": {"id": "trigger", "kind": "webhook"},
        "steps": [{"id": "s1", "kind": "http"}],
    }


def test_a_file_holds_texts_as_lines_not_as_escapes() -> None:
    text = to_text(flow(), CONNECTIONS)
    assert '        {"a": "{{$.a}}"}\n' in text
    assert "name: ü" in text
    assert "con_a" not in text


def test_several_flows_and_json_are_read_too() -> None:
    texts = "- name: A\n  trigger: {kind: manual}\n- name: B\n  trigger: {kind: manual}\n"
    assert [read.definition.name for read in from_text(texts, "two.yaml")] == ["A", "B"]
    (read,) = from_text('{"name": "A", "trigger": {"kind": "manual"}}', "one.json")
    assert read.definition.name == "A"


def test_connections_are_listed_once_and_unknown_ones_become_empty() -> None:
    assert connection_ids(flow()) == ["con_b", "con_a"]
    assert connection_ids(with_connections(flow(), {"con_a": "con_z"})) == ["con_z"]


@pytest.mark.parametrize(
    ("change", "place", "reason"),
    [
        ({"name": None}, "name", "'nothing' is not a text"),
        ({"name": ""}, "name", "it is empty"),
        ({"stepz": []}, "stepz", "There is 'steps'"),
        ({"format": 9}, "", "not known here"),
        ({"trigger": {"kind": "hook"}}, "trigger", "'hook' is not one of 'webhook', 'poll'"),
        ({"trigger": {}}, "trigger", "'kind' is missing"),
        ({"trigger": {"kind": "schedule"}}, "trigger.when", "'when' is missing"),
        ({"trigger": {"kind": "poll", "request": {"timeout_s": 900}}}, "trigger.request.timeout_s", "at most 300"),
        ({"steps": [{"kind": "http", "id": "S 1"}]}, "steps.S 1.id", "is no id"),
        ({"steps": [{"kind": "http"}]}, "steps.1.id", "'id' is missing"),
        ({"steps": [{"kind": "http", "id": "s1", "request": {"methd": "GET"}}]}, "steps.s1.request.methd", "'method'"),
        ({"steps": [{"kind": "http", "id": "s1", "request": {"method": "FETCH"}}]}, "request.method", "'FETCH' is not one of 'GET'"),
        ({"steps": [{"kind": "filter", "id": "s1", "conditions": {"groups": []}}]}, "groups", "it is empty"),
        ({"steps": [{"kind": "set", "id": "s1", "values": [{"name": "x", "mapping": []}]}]}, "steps.s1.values.1.mapping", "a list is not a table"),
        ({"steps": "none"}, "steps", "'none' is not a list"),
        ({"steps": [3]}, "steps.1", "'3'"),
    ],
)  # fmt: skip
def test_a_wrong_flow_is_refused_with_file_place_and_reason(
    change: dict[str, Any], place: str, reason: str
) -> None:
    with pytest.raises(FlowInvalid) as refused:
        load({"name": "A", "trigger": {"kind": "manual"}, **change}, where="a.yaml")
    assert refused.value.where.startswith("a.yaml")
    assert place in refused.value.where
    assert reason in refused.value.reason
    assert "pydantic" not in str(refused.value)
    assert "validat" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("# nothing\n", "not a flow"),
        ("[]", "holds no flow"),
        ("just a text", "not a flow"),
        ("a: 1\na: 2\n", "bad.yaml, line 2: this cannot be read: 'a' is there twice"),
        ("x: &a [1]\ny: *a\n", "line 1: this cannot be read: anchors"),
        ("<<: {name: x}\n", "'<<' is not known here"),
        ("x: !!python/object/apply:os.system [ls]\n", "line 1"),
        ("x: !foo 1\n", "line 1"),
        ("\tname: x\n", "line 1"),
        ("{", "line 1"),
        ('{"a": NaN}', "NaN"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ("? [a]\n: 1\n", "a name has to be a text"),
        ("- " * 3000, "nested too deeply"),
        ("[" * 5000, "nested too deeply"),
        ('{"a":' * 5000, "nested too deeply"),
        ("name: \x01", "cannot be read"),
        ("x" * 1_000_001, "larger than 1,000 kB"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(FlowInvalid) as refused:
        from_text(text, "bad.yaml")
    assert "bad.yaml" in str(refused.value)
    assert said in str(refused.value)


def test_bombs_of_aliases_and_depth_cost_nothing() -> None:
    began = time.process_time()
    bomb = "a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(100))
    deep: Any = {"kind": "delay", "id": "s1"}
    for number in range(5000):
        deep = {"kind": "for_each", "id": f"x{number}", "items": "", "steps": [deep]}
    for attempt in (
        lambda: from_text(bomb, "bomb.yaml"),
        lambda: load({"name": "A", "trigger": {"kind": "manual"}, "steps": [deep]}),
    ):
        with pytest.raises(FlowInvalid):
            attempt()
    assert time.process_time() - began < 1


def test_yes_dates_and_numbers_in_quotes_or_not_stay_texts_where_texts_are_meant() -> None:
    text = (
        "name: yes\ntrigger: {kind: manual}\nsteps:\n- {kind: set, id: s1, values: "
        "[{name: on, mapping: no}, {name: d, mapping: 2026-01-01}, {name: o, mapping: 0o17}, {name: t, mapping: 1:30},"
        " {name: z, mapping: 007}, {name: b, mapping: true}]}\n"
    )
    (read,) = from_text(text, "a.yaml")
    step = read.definition.steps[0]
    assert isinstance(step, SetStep)
    assert read.definition.name == "yes"
    assert [(row.name, row.mapping.value) for row in step.values] == [
        ("on", "no"), ("d", "2026-01-01"), ("o", "0o17"), ("t", "1:30"), ("z", "007"), ("b", "true"),
    ]  # fmt: skip


def test_a_connection_that_is_not_listed_is_named() -> None:
    text = "name: A\ntrigger: {kind: manual}\nsteps: [{kind: email, id: s1, connection_id: mail}]\n"
    with pytest.raises(FlowInvalid, match="'mail' is used, but not listed"):
        from_text(text, "a.yaml")
    listed = from_text(text + "connections: {mail: {connector: smtp, name: Our mail}}\n", "a.yaml")
    assert listed[0].connections["mail"].name == "Our mail"


def test_a_secret_in_a_file_is_refused() -> None:
    text = "name: A\ntrigger: {kind: manual}\nconnections: {crm: {connector: hubspot, token: abc}}\n"
    with pytest.raises(FlowInvalid) as refused:
        from_text(text, "a.yaml")
    assert "abc" not in str(refused.value)
    assert "Secrets never" in refused.value.remedy


# ------------------------------------------------------------------------------------- changes


def test_a_change_is_told_in_sentences() -> None:
    old = flow()
    step = old.steps[0].model_copy(update={"name": "Tell them"})
    assert diff(old, replace_step(old, step)) == ["Step 2 'Tell them': Name was set to 'Tell them'."]
    assert diff(old, remove_step(old, "s6")) == ["Step 5 'Values' was removed."]
    added = add_step(old, new_step("delay", old), after="s1")
    assert diff(old, added) == ["Step 3 'Delay' was added."]
    assert diff(old, move_step(old, "s4", "down")) == ["Step 5 'For each' was moved; it was step 4."]
    assert len(diff(old, duplicate_step(old, "s2"))) == 2
    assert diff(old, old) == []


def test_a_changed_mapping_is_named_with_both_values() -> None:
    old = flow()
    step = old.steps[3]
    assert isinstance(step, SetStep)
    rows = [step.values[0].model_copy(update={"mapping": Mapping(value="008")}), step.values[1]]
    assert diff(old, replace_step(old, step.model_copy(update={"values": rows}))) == [
        "Step 5 'Values': Values → ü was changed from '007' to '008'."
    ]


def test_the_flow_itself_is_in_the_changes() -> None:
    new = flow().model_copy(update={"name": "New", "time_zone": "UTC"})
    assert diff(flow(), new) == [
        "The flow was renamed from 'Orders to the CRM' to 'New'.",
        "The time zone was changed from Europe/Berlin to UTC.",
    ]


# ------------------------------------------------------------------------------- any text at all

plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
hard = st.sampled_from(
    [
        "yes",
        "~",
        "null",
        "1e3",
        "0x1F",
        "- a",
        "a: b",
        "# x",
        "\n",
        " x ",
        "a\n\n b\n",
        "{{$.a}}",
        "'",
        '"',
        "|",
        "2026-01-01",
        "é\u2028x",
        "\x85",
        "\ufeff",
        "a\tb",
        "%",
        "@x",
        "`",
        "&a",
        "*a",
        "!x",
        "\x00",
        "😀",
    ]
)


@given(st.lists(st.tuples(plain | hard, plain | hard), max_size=4), plain | hard)
@settings(max_examples=300, deadline=None)
def test_any_texts_survive_the_file(rows: list[tuple[str, str]], note: str) -> None:
    values = [{"name": name, "mapping": text} for name, text in rows]
    step = SetStep.model_validate({"id": "s1", "note": note, "values": values})
    definition = FlowDefinition(name="A", trigger=WebhookTrigger(), steps=[step])
    assert load(dump(definition)) == definition
    (read,) = from_text(to_text(definition), "a.yaml")
    assert read.definition == definition


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | plain,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(plain | st.sampled_from(["kind", "id", "steps", "name"]), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(json_values)
@settings(max_examples=300, deadline=None)
def test_any_data_is_a_flow_or_refused(data: Any) -> None:
    for attempt in (
        data,
        {"name": "A", "trigger": {"kind": "manual"}, "steps": data},
        {**EVERY_KIND, "trigger": data},
    ):
        try:
            assert isinstance(load(attempt), FlowDefinition)
        except FlowInvalid as refused:
            assert refused.reason  # noqa: PT017


@given(st.text(max_size=100) | st.text("ab:-{}[]'\"\n #&*!|>%@", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_file_or_refused(text: str) -> None:
    try:
        from_text(text, "a.yaml")
    except FlowInvalid as refused:
        assert refused.reason  # noqa: PT017
