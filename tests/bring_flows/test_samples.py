"""Sixty real exports of n8n, which belong to their authors and are not part of this project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.flows.model import BaseStep, FlowDefinition, walk
from app.flows.portable.files import dump, from_text, load, to_text, with_connections
from app.flows.review.flow import review
from app.imports.flows.drafts import Draft
from app.imports.flows.reading import Brought, bring_flows
from app.parts import Parts
from tests.bring_flows.exports import REGISTRY
from tests.needs import material
from tests.web.browser import Browser


@cache
def brought() -> dict[str, Brought]:
    files = sorted(material("n8n/samples").glob("*.json"))
    return {file.name: bring_flows(file.read_text(), REGISTRY, file=file.name) for file in files}


def samples() -> dict[str, Brought]:
    found = brought()
    assert found
    return found


def flows() -> Iterator[FlowDefinition]:
    for one in samples().values():
        yield from (draft.file.definition for draft in one.drafts)


def test_every_draft_can_be_stored_and_read_again() -> None:
    for flow in flows():
        assert load(dump(flow)) == flow


def test_every_draft_can_be_exported_and_imported_again() -> None:
    for one in samples().values():
        for draft in one.drafts:
            (again,) = from_text(to_text(draft.file.definition, draft.file.connections))
            assert [step.id for step in walk(again.definition.steps)] == [
                step.id for step in walk(draft.file.definition.steps)
            ]


def test_no_draft_with_something_left_open_can_go_live() -> None:
    for name, one in samples().items():
        problems = [
            problem
            for draft in one.drafts
            for problem in review(with_connections(draft.file.definition, {}), REGISTRY, {})
            if problem.blocking
        ]
        assert problems or not one.report.lines, name


def test_every_gap_and_open_value_is_named_in_the_report() -> None:
    for name, one in samples().items():
        told = repr([line.as_json() for line in one.report.lines])
        for draft in one.drafts:
            parts: list[Any] = [draft.file.definition.trigger, *walk(draft.file.definition.steps)]
            for gap in (gap for part in parts for gap in part.gaps):
                assert gap.reason in told or repr(gap.reason)[1:-1] in told, (name, gap)


def test_no_problem_of_a_draft_is_one_that_we_made() -> None:
    """References point backwards, templates can be read, ids are there once."""
    ours = ("cannot be read", "comes later", "not in the flow", "is no step", "is there", "lies in another")
    for name, one in samples().items():
        for draft in one.drafts:
            found = review(with_connections(draft.file.definition, {}), REGISTRY, {})
            assert not [p.sentence for p in found if any(word in p.sentence for word in ours)], name


def test_nodes_and_expressions_are_carried_or_named() -> None:
    """Each node of each file is counted; what was not carried has a line of its own."""
    for name, one in samples().items():
        told = one.report.as_json()
        nodes = json.loads((material("n8n/samples") / name).read_text())["nodes"]
        assert told["nodes"] == len(nodes), name
        named = {line.where for line in one.report.lines}
        lost = [part for part, carried in one.report.parts.items() if not carried]
        assert not [part for part in lost if " ".join(part.split())[:200] not in named], name
        assert len(told["left_out"]) >= told["expressions"] - told["carried_expressions"], name


def test_most_comes_along() -> None:
    """The figures of docs/bring-your-flows.md; they may only rise."""
    told = [one.report.as_json() for one in samples().values()]
    nodes, expressions = (sum(one[key] for one in told) for key in ("nodes", "expressions"))
    assert sum(one["carried"] for one in told) / nodes >= 0.86
    assert sum(one["carried_expressions"] for one in told) / expressions >= 0.78


def test_every_draft_opens_in_the_builder(browser: Browser, parts: Parts) -> None:
    drafts = [draft for one in samples().values() for draft in one.drafts]
    for made in flow_commands.import_drafts(SHELL, parts, drafts):
        assert browser.get(f"/flows/{made.id}").status_code == 200, made.name


def test_every_kind_of_step_opens_with_its_gaps(browser: Browser, parts: Parts) -> None:
    """One of each kind, with gaps where there is one."""
    found: dict[str, tuple[Draft, BaseStep]] = {}
    for draft in (draft for brought_ in samples().values() for draft in brought_.drafts):
        for step in walk(draft.file.definition.steps):
            if step.kind not in found or (step.gaps and not found[step.kind][1].gaps):
                found[step.kind] = draft, step
    assert set(found) >= {"http", "set", "action", "email", "paths", "for_each", "delay", "filter", "stop"}
    for kind, (draft, one) in found.items():
        (made,) = flow_commands.import_drafts(SHELL, parts, [draft])
        page = browser.get(f"/flows/{made.id}?step={one.id}")
        assert page.status_code == 200
        assert page.text.count("Seen to: ") == len(one.gaps), kind
        assert browser.get(f"/flows/{made.id}/publish").status_code == 200
