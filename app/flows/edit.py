"""Edits of a flow: each takes a definition and gives a new one; ids never change and are never reused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from app.errors import FlowInvalid, NotFound
from app.flows.model import (
    Condition,
    Conditions,
    FlowDefinition,
    ForEachStep,
    Mapping,
    Path,
    PathsStep,
    Step,
    Trigger,
    children,
    walk,
)
from app.flows.order import numbering, steps_before

__all__ = [
    "add_path",
    "add_step",
    "blank_conditions",
    "duplicate_step",
    "find_path",
    "find_step",
    "move_path",
    "move_step",
    "new_step",
    "numbering",
    "remove_path",
    "remove_step",
    "rename_roots",
    "replace_step",
    "replace_trigger",
    "steps_before",
]

Direction = Literal["up", "down"]
Change = Callable[[list[Step]], list[Step]]

LIMIT_STEPS = 200
LIMIT_NESTING = 6

_STEP: TypeAdapter[Step] = TypeAdapter(Step)
_NUMBERED_ID = re.compile(r"\b([sp])(\d{1,5})\b")


# -------------------------------------------------------------------------------------- finding


def find_step(definition: FlowDefinition, step_id: str) -> Step:
    for step in walk(definition.steps):
        if step.id == step_id:
            return step
    raise NotFound("This step is no longer in the flow.", step=step_id)


def find_path(definition: FlowDefinition, path_id: str) -> Path:
    for step in walk(definition.steps):
        for path in step.paths if isinstance(step, PathsStep) else ():
            if path.id == path_id:
                return path
    raise NotFound("This path is no longer in the flow.", path=path_id)


def _fresh_ids(definition: FlowDefinition, letter: str) -> Iterator[str]:
    """Numbers that neither a step nor a mapping has ever named: what pointed at a deleted step
    must not quietly point at another one."""
    taken = [
        int(number) for kind, number in _NUMBERED_ID.findall(definition.model_dump_json()) if kind == letter
    ]
    number = max(taken, default=0)
    while True:
        number += 1
        yield f"{letter}{number}"


# --------------------------------------------------------------------------------------- adding


def new_step(kind: str, definition: FlowDefinition, **facts: Any) -> Step:
    """A step with a fresh id, added to nothing yet; `facts` are fields of its kind."""
    data = {"kind": kind, "id": next(_fresh_ids(definition, "s")), **_start(kind, definition), **facts}
    try:
        return _STEP.validate_python(data)
    except ValidationError as error:
        raise FlowInvalid(f"There is no such step: '{kind}'.", where=kind) from error


def _start(kind: str, definition: FlowDefinition) -> dict[str, Any]:
    """What a new step of this kind begins with, where the model has no default for it."""
    if kind == "filter":
        return {"conditions": blank_conditions()}
    if kind == "paths":
        ids = _fresh_ids(definition, "p")
        first = Path(id=next(ids), name="Path 1", conditions=blank_conditions())
        return {"paths": [first, Path(id=next(ids), name="Everyone else")]}
    if kind == "for_each":
        return {"items": Mapping()}
    return {}


def blank_conditions() -> Conditions:
    return Conditions(groups=[[Condition(left=Mapping(), operator="equals")]])


def add_step(
    definition: FlowDefinition, step: Step, *, after: str | None = None, inside: str | None = None
) -> FlowDefinition:
    """`inside`: a path's or loop's id, with `after` None = first in it.  Else `after` a step, or the
    trigger (or None) = first of the flow."""
    if sum(1 for _ in walk(definition.steps)) + sum(1 for _ in walk([step])) > LIMIT_STEPS:
        raise FlowInvalid(f"A flow may have {LIMIT_STEPS} steps. Split this one into two flows.")
    if after in (None, definition.trigger.id):
        return _nested_little(_in_list(definition, inside, lambda steps: [step, *steps]))
    return _nested_little(_around(definition, after or "", lambda found: [found, step]))


def _in_list(definition: FlowDefinition, container: str | None, change: Change) -> FlowDefinition:
    if container is None:
        return _with_steps(definition, change(definition.steps))
    found: list[str] = []

    def changed(owner: str, steps: list[Step]) -> list[Step]:
        if owner != container:
            return steps
        found.append(owner)
        return change(steps)

    steps = _mapped(definition.steps, changed)
    if not found:
        raise NotFound("This part of the flow is no longer there.", step=container)
    return _with_steps(definition, steps)


def _mapped(steps: list[Step], change: Callable[[str, list[Step]], list[Step]]) -> list[Step]:
    """Every list of steps inside these, changed; the innermost first."""
    return [_with_children(step, change) for step in steps]


def _with_children(step: Step, change: Callable[[str, list[Step]], list[Step]]) -> Step:
    if isinstance(step, PathsStep):
        paths = [
            path.model_copy(update={"steps": change(path.id, _mapped(path.steps, change))})
            for path in step.paths
        ]
        return step.model_copy(update={"paths": paths})
    if isinstance(step, ForEachStep):
        return step.model_copy(update={"steps": change(step.id, _mapped(step.steps, change))})
    return step


def _around(
    definition: FlowDefinition, step_id: str, replace: Callable[[Step], list[Step]]
) -> FlowDefinition:
    """The list that holds the step, with other steps in its place."""
    find_step(definition, step_id)

    def in_list(steps: list[Step]) -> list[Step]:
        return [new for step in steps for new in (replace(step) if step.id == step_id else [step])]

    inner = _mapped(definition.steps, lambda _, steps: in_list(steps))
    return _with_steps(definition, in_list(inner))


def _with_steps(definition: FlowDefinition, steps: list[Step]) -> FlowDefinition:
    return definition.model_copy(update={"steps": steps})


def _nested_little(definition: FlowDefinition) -> FlowDefinition:
    if _nesting(definition.steps) > LIMIT_NESTING:
        raise FlowInvalid(f"Paths and loops can lie {LIMIT_NESTING} deep in each other, not deeper.")
    return definition


def _nesting(steps: list[Step]) -> int:
    return max((1 + _nesting(inner) for step in steps for inner in children(step)), default=0)


# ------------------------------------------------------------------------------------- changing


def remove_step(definition: FlowDefinition, step_id: str) -> FlowDefinition:
    """With the steps inside it.  Mappings that point at it stay, and the review names them."""
    return _around(definition, step_id, lambda _: [])


def replace_step(definition: FlowDefinition, step: Step) -> FlowDefinition:
    """The step of the same id."""
    return _around(definition, step.id, lambda _: [step])


def replace_trigger(definition: FlowDefinition, trigger: Trigger) -> FlowDefinition:
    return definition.model_copy(update={"trigger": trigger})


def move_step(definition: FlowDefinition, step_id: str, direction: Direction) -> FlowDefinition:
    """One place up or down in its list; from the edge of a path or loop, out of it."""
    step, holder, siblings = _place(definition, step_id)
    at = [sibling.id for sibling in siblings].index(step_id)
    target = at - 1 if direction == "up" else at + 1
    if 0 <= target < len(siblings):
        order = [sibling for sibling in siblings if sibling.id != step_id]
        order.insert(target, step)
        return _in_list(definition, holder, lambda _: order)
    if holder is None:
        return definition
    outer = _owner(definition, holder)
    without = remove_step(definition, step_id)
    return _around(without, outer, lambda found: [step, found] if direction == "up" else [found, step])


def _place(definition: FlowDefinition, step_id: str) -> tuple[Step, str | None, list[Step]]:
    """The step, the id of the path or loop that holds it, and the list it is in."""
    for holder, steps in _lists(definition):
        for step in steps:
            if step.id == step_id:
                return step, holder, steps
    raise NotFound("This step is no longer in the flow.", step=step_id)


def _lists(definition: FlowDefinition) -> Iterator[tuple[str | None, list[Step]]]:
    yield None, definition.steps
    for step in walk(definition.steps):
        if isinstance(step, PathsStep):
            yield from ((path.id, path.steps) for path in step.paths)
        elif isinstance(step, ForEachStep):
            yield step.id, step.steps


def _owner(definition: FlowDefinition, container: str) -> str:
    """The step a path belongs to; a loop is its own."""
    for step in walk(definition.steps):
        if isinstance(step, PathsStep) and any(path.id == container for path in step.paths):
            return step.id
    return container


def duplicate_step(definition: FlowDefinition, step_id: str) -> FlowDefinition:
    """The copy stands right after it; what points at steps inside points at the copies."""
    original = find_step(definition, step_id)
    count = sum(1 for _ in walk([original]))
    if sum(1 for _ in walk(definition.steps)) + count > LIMIT_STEPS:
        raise FlowInvalid(f"A flow may have {LIMIT_STEPS} steps. Split this one into two flows.")
    ids = {"s": _fresh_ids(definition, "s"), "p": _fresh_ids(definition, "p")}
    renamed = {step.id: next(ids["s"]) for step in walk([original])}
    for step in walk([original]):
        renamed.update(
            {path.id: next(ids["p"]) for path in step.paths} if isinstance(step, PathsStep) else {}
        )
    copy = _STEP.validate_python(_renamed(original.model_dump(), renamed))
    if copy.name:
        copy = copy.model_copy(update={"name": f"{copy.name} (copy)"})
    return _around(definition, step_id, lambda found: [found, copy])


def _renamed(data: Any, ids: dict[str, str]) -> Any:
    if isinstance(data, dict):
        return {
            key: ids.get(value, value) if key == "id" and isinstance(value, str) else _renamed(value, ids)
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [_renamed(item, ids) for item in data]
    return rename_roots(data, ids) if isinstance(data, str) else data


_ROOT = re.compile(r"(?<!\\)(\{\{\s*)([a-z][a-z0-9_]{0,47})(?=\s*(?::|\||\}))")


def rename_roots(text: str, ids: dict[str, str]) -> str:
    """The template with its references pointing at other steps."""
    if "{{" not in text:
        return text
    return _ROOT.sub(lambda match: match.group(1) + ids.get(match.group(2), match.group(2)), text)


# ---------------------------------------------------------------------------------------- paths


def add_path(definition: FlowDefinition, step_id: str, *, name: str = "") -> FlowDefinition:
    """Before "everyone else", which stays last."""
    step = _paths_step(definition, step_id)
    path = Path(
        id=next(_fresh_ids(definition, "p")),
        name=name or f"Path {len([one for one in step.paths if one.conditions]) + 1}",
        conditions=blank_conditions(),
    )
    last = [one for one in step.paths[-1:] if one.conditions is None]
    before = step.paths[: len(step.paths) - len(last)]
    return replace_step(definition, step.model_copy(update={"paths": [*before, path, *last]}))


def remove_path(definition: FlowDefinition, step_id: str, path_id: str) -> FlowDefinition:
    """With the steps in it; the last path can only go with its step."""
    step = _paths_step(definition, step_id)
    paths = [path for path in step.paths if path.id != path_id]
    if len(paths) == len(step.paths):
        raise NotFound("This path is no longer in the flow.", path=path_id)
    if not paths:
        raise FlowInvalid("A step with paths has at least one. Delete the step instead.", where=step_id)
    return replace_step(definition, step.model_copy(update={"paths": paths}))


def move_path(definition: FlowDefinition, step_id: str, path_id: str, direction: Direction) -> FlowDefinition:
    step = _paths_step(definition, step_id)
    ids = [path.id for path in step.paths]
    if path_id not in ids:
        raise NotFound("This path is no longer in the flow.", path=path_id)
    at = ids.index(path_id)
    target = max(0, min(at + (-1 if direction == "up" else 1), len(ids) - 1))
    paths = [path for path in step.paths if path.id != path_id]
    paths.insert(target, step.paths[at])
    return replace_step(definition, step.model_copy(update={"paths": paths}))


def _paths_step(definition: FlowDefinition, step_id: str) -> PathsStep:
    step = find_step(definition, step_id)
    if not isinstance(step, PathsStep):
        raise FlowInvalid("Only a step with paths can have another path.", where=step_id)
    return step
