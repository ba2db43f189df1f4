"""Edits of a flow: ids stay, mappings keep pointing, numbers follow the page."""

from __future__ import annotations

import pytest

from app.errors import FlowInvalid, NotFound
from app.flows.edit import (
    add_path,
    add_step,
    duplicate_step,
    find_path,
    find_step,
    move_path,
    move_step,
    new_step,
    numbering,
    remove_path,
    remove_step,
    replace_step,
    replace_trigger,
    steps_before,
)
from app.flows.model import (
    FlowDefinition,
    ForEachStep,
    HttpStep,
    ManualTrigger,
    PathsStep,
    WebhookTrigger,
    walk,
)

EMPTY = FlowDefinition(name="Orders", trigger=WebhookTrigger())


def ids(definition: FlowDefinition) -> list[str]:
    return [step.id for step in walk(definition.steps)]


@pytest.fixture
def flow() -> FlowDefinition:
    """s1 http, s2 paths (p1: s4 http, p2), s3 loop (s5 http)"""
    definition = EMPTY
    for kind in ("http", "paths", "for_each"):
        last = definition.steps[-1].id if definition.steps else None
        definition = add_step(definition, new_step(kind, definition), after=last)
    definition = add_step(definition, new_step("http", definition), inside="p1")
    return add_step(definition, new_step("http", definition), inside="s3")


def test_steps_are_added_where_they_are_asked_for(flow: FlowDefinition) -> None:
    assert ids(flow) == ["s1", "s2", "s4", "s3", "s5"]
    first = add_step(flow, new_step("delay", flow), after="trigger")
    assert ids(first)[0] == "s6"
    inside = add_step(flow, new_step("delay", flow), after="s4", inside="p1")
    assert [step.id for step in find_path(inside, "p1").steps] == ["s4", "s6"]
    assert ids(flow) == ["s1", "s2", "s4", "s3", "s5"]


def test_an_id_is_never_used_again_even_when_only_a_mapping_names_it(flow: FlowDefinition) -> None:
    step = new_step("set", flow, values=[{"name": "x", "mapping": "{{s5:$['id']}}"}])
    definition = remove_step(add_step(flow, step, after="s1"), "s3")
    assert "s5" not in ids(definition)
    assert new_step("http", definition).id == "s7"


def test_numbers_are_as_the_page_shows_them(flow: FlowDefinition) -> None:
    assert numbering(flow) == {
        "trigger": "1",
        "s1": "2",
        "s2": "3",
        "p1": "3a",
        "s4": "3a1",
        "p2": "3b",
        "s3": "4",
        "s5": "4.1",
    }


def test_moving_keeps_ids_and_leaves_a_path_at_its_edge(flow: FlowDefinition) -> None:
    assert ids(move_step(flow, "s3", "up")) == ["s1", "s3", "s5", "s2", "s4"]
    assert ids(move_step(flow, "s1", "up")) == ids(flow)
    assert ids(move_step(flow, "s3", "down")) == ids(flow)
    assert [step.id for step in move_step(flow, "s4", "up").steps] == ["s1", "s4", "s2", "s3"]
    assert [step.id for step in move_step(flow, "s4", "down").steps] == ["s1", "s2", "s4", "s3"]
    assert [step.id for step in move_step(flow, "s5", "down").steps] == ["s1", "s2", "s3", "s5"]


def test_a_copy_has_ids_of_its_own_and_points_at_its_own_steps(flow: FlowDefinition) -> None:
    inner = new_step(
        "set", flow, values=[{"name": "x", "mapping": "{{s5:$.a}} {{ s3:$['item'] }} {{s1}} \\{{s3}}"}]
    )
    definition = duplicate_step(add_step(flow, inner, after="s5"), "s3")
    assert ids(definition) == ["s1", "s2", "s4", "s3", "s5", "s6", "s7", "s8", "s9"]
    copy = find_step(definition, "s7")
    assert isinstance(copy, ForEachStep)
    assert copy.steps[1].values[0].mapping.value == "{{s8:$.a}} {{ s7:$['item'] }} {{s1}} \\{{s3}}"  # type: ignore[union-attr]
    paths = find_step(duplicate_step(flow, "s2"), "s6")
    assert isinstance(paths, PathsStep)
    assert [path.id for path in paths.paths] == ["p3", "p4"]


def test_replacing_changes_one_step_and_nothing_else(flow: FlowDefinition) -> None:
    step = find_step(flow, "s4").model_copy(update={"name": "Tell the CRM"})
    changed = replace_step(flow, step)
    assert find_step(changed, "s4").name == "Tell the CRM"
    assert find_step(flow, "s4").name == ""
    assert replace_trigger(flow, ManualTrigger()).trigger.kind == "manual"


def test_paths_are_added_before_everyone_else_moved_and_removed(flow: FlowDefinition) -> None:
    definition = add_path(flow, "s2")
    step = find_step(definition, "s2")
    assert isinstance(step, PathsStep)
    assert [path.name for path in step.paths] == ["Path 1", "Path 2", "Everyone else"]
    moved = find_step(move_path(definition, "s2", "p3", "up"), "s2")
    assert isinstance(moved, PathsStep)
    assert [path.id for path in moved.paths] == ["p3", "p1", "p2"]
    without = remove_path(remove_path(definition, "s2", "p1"), "s2", "p3")
    assert "s4" not in ids(without)
    with pytest.raises(FlowInvalid):
        remove_path(without, "s2", "p2")


def test_what_is_gone_is_said_to_be_gone(flow: FlowDefinition) -> None:
    for change in (
        lambda: find_step(flow, "s99"),
        lambda: remove_step(flow, "s99"),
        lambda: move_step(flow, "s99", "up"),
        lambda: duplicate_step(flow, "s99"),
        lambda: add_step(flow, new_step("http", flow), after="s99"),
        lambda: add_step(flow, new_step("http", flow), inside="p99"),
        lambda: remove_path(flow, "s2", "p99"),
        lambda: move_path(flow, "s2", "p99", "up"),
    ):
        with pytest.raises(NotFound, match="no longer"):
            change()


def test_unknown_kinds_too_many_steps_and_too_deep_nesting_are_refused(flow: FlowDefinition) -> None:
    with pytest.raises(FlowInvalid):
        new_step("magic", flow)
    with pytest.raises(FlowInvalid):
        add_path(flow, "s1")
    many = flow.model_copy(update={"steps": [HttpStep(id=f"x{number}") for number in range(200)]})
    with pytest.raises(FlowInvalid, match="200 steps"):
        add_step(many, new_step("http", many))
    deep, inside = EMPTY, None
    for _ in range(6):
        step = new_step("for_each", deep)
        deep, inside = add_step(deep, step, inside=inside), step.id
    with pytest.raises(FlowInvalid, match="deep"):
        add_step(deep, new_step("for_each", deep), inside=inside)


def test_a_step_may_use_what_came_before_it(flow: FlowDefinition) -> None:
    def roots(step_id: str) -> list[str]:
        return [root for root, _ in steps_before(flow, step_id)]

    assert roots("s1") == ["trigger"]
    assert roots("s4") == ["trigger", "s1"]
    assert roots("s3") == ["trigger", "s1", "s4"]
    assert roots("s5") == ["trigger", "s1", "s4", "s3"]
    assert roots("trigger") == []
    assert steps_before(flow, "s1") == [("trigger", "Webhook")]
