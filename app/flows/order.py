"""The order of a flow: the numbers the page shows, and whose data a step can use."""

from __future__ import annotations

from collections.abc import Iterator

from app.flows.mapping.picker import humanise
from app.flows.model import (
    ActionStep,
    DelayStep,
    FilterStep,
    FlowDefinition,
    ForEachStep,
    PathsStep,
    Step,
    StopStep,
    Trigger,
    children,
    walk,
)

_KINDS = {
    "http": "Web request",
    "filter": "Filter",
    "paths": "Paths",
    "for_each": "For each",
    "delay": "Delay",
    "set": "Values",
    "stop": "Stop",
    "email": "Email",
    "webhook": "Webhook",
    "poll": "Looked up regularly",
    "schedule": "Schedule",
    "manual": "Started by hand",
}


def numbering(definition: FlowDefinition) -> dict[str, str]:
    """The trigger is 1; the first step inside the first path of step 4 is 4a1, in a loop 4.1."""
    return {definition.trigger.id: "1", **dict(_numbers(definition.steps, "", 2))}


def _numbers(steps: list[Step], prefix: str, start: int) -> Iterator[tuple[str, str]]:
    for number, step in enumerate(steps, start=start):
        own = f"{prefix}{number}"
        yield step.id, own
        if isinstance(step, PathsStep):
            for index, path in enumerate(step.paths):
                yield path.id, f"{own}{_letters(index)}"
                yield from _numbers(path.steps, f"{own}{_letters(index)}", 1)
        elif isinstance(step, ForEachStep):
            yield from _numbers(step.steps, f"{own}.", 1)


def _letters(index: int) -> str:
    """a … z, aa, ab …"""
    before, own = divmod(index, 26)
    return (_letters(before - 1) if before else "") + chr(ord("a") + own)


def label(part: Step | Trigger) -> str:
    """Its own name, or else what it does."""
    if part.name:
        return part.name
    if isinstance(part, ActionStep):
        return f"{humanise(part.connector)}: {humanise(part.action)}"
    if part.kind == "connector":
        return f"{humanise(part.connector)}: {humanise(part.trigger)}"
    return _KINDS[part.kind]


def before(definition: FlowDefinition, step_id: str) -> list[Step]:
    """Every step that has been reached when this one begins, and the loops it is in; nearest last.
    A step inside a path may have been passed by."""
    return _before(definition.steps, step_id) or []


def _before(steps: list[Step], step_id: str) -> list[Step] | None:
    """None: the step is not in this list."""
    passed: list[Step] = []
    for step in steps:
        if step.id == step_id:
            return passed
        for inner in children(step):
            found = _before(inner, step_id)
            if found is not None:
                loop = [step] if isinstance(step, ForEachStep) else []
                return [*passed, *loop, *found]
        passed += _seen_after(step)
    return None


def _seen_after(step: Step) -> list[Step]:
    """What a loop's steps gave is seen by the loop alone; what a path's steps gave, by all after it."""
    inner = [one for steps in children(step) for one in steps] if isinstance(step, PathsStep) else []
    return [*(seen for one in inner for seen in _seen_after(one)), step]


def steps_before(definition: FlowDefinition, step_id: str) -> list[tuple[str, str]]:
    """(id, label) of everything whose data a step may use, the trigger first."""
    if step_id not in {step.id for step in walk(definition.steps)}:
        return []
    useful = [
        step
        for step in before(definition, step_id)
        if not isinstance(step, FilterStep | DelayStep | StopStep | PathsStep)
    ]
    trigger = definition.trigger
    return [(trigger.id, label(trigger)), *((step.id, label(step)) for step in useful)]
