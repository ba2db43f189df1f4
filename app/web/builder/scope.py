"""What the fields of a step are tried on: samples of the trigger and of the steps before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.errors import MappingFailed
from app.flows.edit import numbering, steps_before
from app.flows.mapping.picker import PickerNode, tree
from app.flows.mapping.template import MISSING, fill
from app.flows.model import FlowDefinition, ForEachStep, ScheduleTrigger, Step, children
from app.intake.schedule import payload

Scope = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """One branch of the data tree.  `nodes` is empty when there is no sample yet."""

    id: str
    number: str
    label: str
    nodes: list[PickerNode]
    has_sample: bool
    is_example: bool = False


def scope_for(
    definition: FlowDefinition, step_id: str, samples: Scope, *, flow_id: str, now: datetime
) -> Scope:
    """The scope a run would have at this step, made of samples."""
    scope = {
        **samples,
        "run": {
            "id": flow_id.replace("flow", "run", 1),
            "flow": definition.name,
            "started_at": now.isoformat(),
            "time_zone": definition.time_zone,
        },
        "delivery": {"method": "POST", "headers": {}, "query": {}},
    }
    trigger = definition.trigger
    if "trigger" in samples:
        scope.setdefault(trigger.id, samples["trigger"])
    elif isinstance(trigger, ScheduleTrigger):
        scope[trigger.id] = payload(now, definition.time_zone)
    for loop in loops_around(definition.steps, step_id):
        items = _items(loop, scope)
        scope[loop.id] = {"item": items[0] if items else None, "index": 0}
    return scope


def loops_around(steps: list[Step], step_id: str) -> list[ForEachStep]:
    """The loops a step is in, the outermost first."""
    for step in steps:
        if step.id == step_id:
            return []
        for inner in children(step):
            if _holds(inner, step_id):
                own = [step] if isinstance(step, ForEachStep) else []
                return [*own, *loops_around(inner, step_id)]
    return []


def _holds(steps: list[Step], step_id: str) -> bool:
    return any(
        step.id == step_id or any(_holds(inner, step_id) for inner in children(step)) for step in steps
    )


def _items(loop: ForEachStep, scope: Scope) -> list[Any]:
    try:
        found = fill("items", loop.items, scope, [])
    except MappingFailed:
        return []
    if found is MISSING:
        return []
    return found if isinstance(found, list) else [found]


def sources(definition: FlowDefinition, step_id: str, scope: Scope, seen: set[str]) -> list[Source]:
    """The branches of the data tree of a step: the nearest data last, as the canvas reads.  `seen`: whose
    samples are real ones."""
    numbers = numbering(definition)
    loops = {loop.id for loop in loops_around(definition.steps, step_id)}
    found = []
    for root, label in steps_before(definition, step_id):
        sample = scope.get(root)
        whole = None if sample is None else tree(sample, root)
        nodes = [] if whole is None else whole.children or [whole]  # one bare value is its own branch
        is_example = root not in seen | loops and not (root == definition.trigger.id and "trigger" in seen)
        found.append(Source(root, numbers.get(root, "1"), label, nodes, sample is not None, is_example))
    return found


def lists_in(found: list[Source], most: int = 12) -> list[tuple[Source, PickerNode]]:
    """The lists a loop could go through."""
    pairs = [(source, node) for source in found for top in source.nodes for node in _lists(top)]
    return pairs[:most]


def _lists(node: PickerNode) -> list[PickerNode]:
    if node.kind == "list":
        return [node]
    return [found for child in node.children for found in _lists(child)]
