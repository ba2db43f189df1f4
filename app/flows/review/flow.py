"""What is wrong with a flow before it may go live, in sentences that name the step and the field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from typing import Any

from app.flows.mapping.functions.function import zone_named
from app.flows.model import FlowDefinition, PathsStep, Step, StopStep, children, walk
from app.flows.review.notes import ConnectorView, Notes, Problem
from app.flows.review.steps import check_step
from app.flows.review.trigger import check_trigger

__all__ = ["ConnectorView", "Problem", "review"]

_RESERVED = frozenset({"run", "delivery", "answer", "cursor", "gap"})


def review(
    definition: FlowDefinition, connectors: ConnectorView, connections: MappingOf[str, str]
) -> list[Problem]:
    """`connections`: id -> connector.  In the order of the flow; a blocking one keeps it from going live."""
    notes = Notes(definition, connectors, connections)
    _check_flow(notes)
    check_trigger(notes, definition.trigger)
    _check_list(notes, definition.steps)
    return notes.problems


def _check_flow(notes: Notes) -> None:
    definition = notes.definition
    if not definition.name.strip():
        notes.add("", "name", "The flow has no name.")
    if not zone_named(definition.time_zone):
        notes.add(
            "",
            "time_zone",
            f"There is no time zone '{definition.time_zone[:60]}'. Write it like Europe/Berlin.",
        )
    _check_order(notes)
    if not definition.steps:
        notes.add("", "steps", "The flow has no steps: it would take in events and do nothing with them.")
    for id_, count in Counter(_all_ids(definition)).items():
        if count > 1:
            notes.add(id_, "id", f"The id '{id_}' is there {count} times. Each step needs an id of its own.")
        if id_ in _RESERVED:
            notes.add(
                id_, "id", f"The id '{id_}' has a meaning of its own. Give the step another id, such as s1."
            )


def _check_order(notes: Notes) -> None:
    """The place in line is taken when the event comes in: nothing but its own data is there then."""
    definition = notes.definition
    trigger_id = definition.trigger.id
    own = frozenset({"trigger", trigger_id})
    notes.mapping(trigger_id, "flow.one_by_one", "One at a time", definition.one_by_one, own)


def _all_ids(definition: FlowDefinition) -> list[str]:
    ids = [definition.trigger.id]
    for step in walk(definition.steps):
        ids.append(step.id)
        ids += [path.id for path in step.paths] if isinstance(step, PathsStep) else []
    return ids


def _check_list(notes: Notes, steps: Sequence[Step]) -> None:
    stopped: Any = None
    for step in steps:
        if stopped is not None:
            notes.hint(step.id, "", f"is never reached, because {notes.inside(stopped.id)} ends the run.")
            stopped = None
        check_step(notes, step)
        for inner in children(step):
            _check_list(notes, inner)
        if isinstance(step, StopStep):
            stopped = step
