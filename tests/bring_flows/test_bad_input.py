"""Broken and hostile exports: a report or a refusal with file, place and reason; never a crash."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import FlowInvalid
from app.flows.portable.files import dump, load, with_connections
from app.flows.review.flow import review
from app.imports.flows.reading import LIMIT_SIZE, bring_flows
from tests.bring_flows.exports import REGISTRY, bring, export, node
from tests.bring_flows.test_make import HOOK as MAKE_HOOK
from tests.bring_flows.test_make import SEND, blueprint, module, only_if, set_
from tests.bring_flows.test_n8n_steps import BUTTON, HOOK, assignments, condition

EXPORT = export(
    HOOK,
    BUTTON,
    node(
        "Values", "set", 3.4, parameters=assignments(a="={{ $json.body.a || 'x' }}", b="={{ $now.toISO() }}")
    ),
    node("Test", "if", 2.2, parameters=condition("={{ $json.a }}", "equals", "x")),
    node("Each", "splitOut", 1, parameters={"fieldToSplitOut": "list"}),
    node("Loop", "splitInBatches", 3),
    node(
        "Send",
        "slack",
        2.3,
        parameters={"channelId": {"__rl": True, "value": "C1"}, "text": "={{ $json.a }}"},
    ),
    node(
        "Ask", "httpRequest", 4.2, parameters={"url": "=https://x.example.com/{{ $json.id }}", "options": {}}
    ),
    node("Code", "code", 2, parameters={"jsCode": "return []"}),
    node("Join", "merge", 3),
    links={
        "Hook": [["Values"]],
        "Button": [["Ask"]],
        "Values": [["Test"]],
        "Test": [["Each", "Code"], ["Loop"]],
        "Each": [["Send"]],
        "Loop": [["Join"], ["Ask"]],
        "Ask": [["Loop"]],
        "Code": [["Join"]],
        "Send": [["Join"]],
    },
)
BLUEPRINT = blueprint(
    MAKE_HOOK,
    SEND,
    module(3, "builtin:BasicFeeder", {"array": "{{2.data.items}}"}),
    set_(4, "x", "{{3.title}}", filter=only_if("{{3.title}}", "exist")),
    module(5, "util:TextAggregator", {"value": "{{4.x}}"}, parameters={"feeder": 3}),
    module(6, "builtin:BasicRouter", routes=[{"flow": [set_(7, "y", "{{5.text}}")]}, {"flow": [SEND]}]),
)
ODD: list[Any] = [
    *(None, True, 0, -1, 1e308, 2**63, "", "=", "={{", "={{ }}", "{{", "__proto__", "constructor", [], {}),
    *("={{ $json." + "a." * 400 + "b }}", "={{ " + "(" * 2000 + " }}", "={{ " + "!" * 2000 + "a }}"),
    *(
        "={{ $json['" + "k" * 300 + "'] }}",
        "={{ `${`${$json.a}`}` }}",
        "={{ $json.a.replace(/(a+)+$/g,'') }}",
    ),
    *("{{1.a}}", "{{" + "lower(" * 400 + "}}", "\\{{", "={{ {a:{b:[1,{c:$json.x}]}} }}", "={{ 1 / 0 }}"),
    *("={{ $now.plus(1e300, 'days') }}", "={{ '\\u{110000}' }}", "\u2028\x00", [[[]]], {"__rl": True}),
    *({"__rl": True, "value": {"__rl": True}}, ["Hook"], {"conditions": {"conditions": [None, 1, {}]}}),
]


def check(data: Any) -> None:
    """Refused with a place, or: what comes out can be stored, read, reviewed, and hides nothing."""
    brought, refusal = None, ""
    try:
        brought = bring(data)
    except FlowInvalid as error:
        refusal = error.sentence
    if brought is None:
        assert "leads.json" in refusal
        return
    told = brought.report.as_json()
    orjson.dumps(told)
    assert 0 <= told["carried"] <= told["nodes"]
    assert len(told["left_out"]) >= told["expressions"] - told["carried_expressions"]
    blocked = False
    for draft in brought.drafts:
        flow = with_connections(draft.file.definition, {})
        assert load(dump(flow)) == flow
        orjson.dumps(draft.samples)
        blocked |= any(problem.blocking for problem in review(flow, REGISTRY, {}))
    assert blocked or not told["left_out"] or not brought.drafts


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [path, *(inner for key in keys for inner in places(value[key], (*path, key)))]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), is_make=st.booleans())
def test_no_change_of_an_export_makes_it_crash(data: st.DataObject, is_make: bool) -> None:
    document = deepcopy(BLUEPRINT if is_make else EXPORT)
    for _ in range(data.draw(st.integers(1, 6))):
        path = data.draw(st.sampled_from(places(document)[1:] or [()]))
        holder: Any = document
        for key in path[:-1]:
            holder = holder[key]
        if path:
            holder[path[-1]] = deepcopy(data.draw(st.sampled_from(ODD)))
    check(document)


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["nodes", "connections", "name", "type", "flow", "module", "id", "main", "node"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=30,
    )
)
def test_any_json_is_refused_or_read(document: Any) -> None:
    check(document)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="$json.items[]()'\"`{}|&?:!=<>+-*/0 aB,;\\=>", max_size=60))
def test_any_expression_is_carried_or_left_open(text: str) -> None:
    check(export(HOOK, node("A", "set", 3.4, parameters=assignments(x="={{ " + text + " }} and more"))))


def test_ten_thousand_nodes_are_refused_at_once() -> None:
    with pytest.raises(FlowInvalid, match=r"leads\.json: the export has 10,000 nodes"):
        bring(export(*[node(f"N{number}", "set") for number in range(10_000)], links={}))


def test_a_chain_longer_than_a_flow_ends_with_a_gap() -> None:
    brought = bring(export(HOOK, *[node(f"N{number}", "set", 3.4) for number in range(400)]))
    (draft,) = brought.drafts
    assert len(draft.file.definition.steps) <= 201
    assert any("at most" in line.reason or "more than 200" in line.reason for line in brought.report.lines)


def test_nodes_that_are_all_connected_with_each_other_are_refused_or_read() -> None:
    names = [f"N{number}" for number in range(120)]
    check(
        export(HOOK, *[node(name, "if", 2.2) for name in names], links={name: [names, []] for name in names})
    )
    check(
        export(
            HOOK,
            *[node(name, "noOp") for name in names],
            links={"Hook": [names], **{n: [names] for n in names}},
        )
    )


def test_a_long_ladder_of_branches_does_not_exhaust_the_stack() -> None:
    nodes = [node(f"N{number}", "noOp") for number in range(1500)]
    links = {f"N{n}": [[f"N{n + 1}", f"N{n + 750}"]] for n in range(749)}
    check(export(HOOK, *nodes, links={"Hook": [["N0"]], **links}))


def test_a_node_that_leads_to_itself_is_named() -> None:
    brought = bring(export(HOOK, node("Self", "set", 3.4), links={"Hook": [["Self"]], "Self": [["Self"]]}))
    assert [line.where for line in brought.report.lines] == ["Self"]


@pytest.mark.parametrize("depth", [200, 5_000, 200_000])
def test_a_file_that_is_nested_deeply_is_refused(depth: int) -> None:
    with pytest.raises(FlowInvalid):
        bring_flows(
            '{"nodes": ' + "[" * depth + "]" * depth + ', "connections": {}}', REGISTRY, file="x.json"
        )


def test_a_file_that_is_too_large_is_refused() -> None:
    with pytest.raises(FlowInvalid, match="larger than 5 MB"):
        bring_flows("{" + " " * LIMIT_SIZE + "}", REGISTRY, file="x.json")


def test_braces_without_end_cost_no_time() -> None:
    check(export(HOOK, node("A", "set", 3.4, parameters=assignments(x="=" + "{{'" * 300_000))))
    check(blueprint(MAKE_HOOK, set_(2, "x", "{{" * 300_000)))


def test_an_export_of_one_tool_is_refused_as_one_of_another() -> None:
    with pytest.raises(FlowInvalid, match="an export of Make, not of n8n"):
        bring(BLUEPRINT, tool="n8n")
    with pytest.raises(FlowInvalid, match="not an export of Make") as refused:
        bring({"name": "x"}, tool="make")
    assert "Export Blueprint" in refused.value.remedy


def test_several_flows_in_one_file_are_all_read() -> None:
    brought = bring([export(HOOK, node("A", "set", 3.4)), export(HOOK, node("Odd", "whatever"))])
    assert len(brought.drafts) == 2
    assert brought.report.as_json()["nodes"] == 4
    assert [line.where for line in brought.report.lines] == ["2: Odd"]
