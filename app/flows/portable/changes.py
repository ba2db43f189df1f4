"""What is different between two versions of a flow, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.flows.mapping.picker import humanise
from app.flows.model import FlowDefinition, ForEachStep, PathsStep, Step, walk
from app.flows.order import label, numbering

_MOST_SENTENCES = 200
_LONGEST = 60


def diff(old: FlowDefinition, new: FlowDefinition) -> list[str]:
    found = [*_flow(old, new), *_trigger(old, new), *_steps(old, new)]
    if len(found) > _MOST_SENTENCES:
        return [*found[:_MOST_SENTENCES], f"And {len(found) - _MOST_SENTENCES} more changes."]
    return found


def _flow(old: FlowDefinition, new: FlowDefinition) -> Iterator[str]:
    if old.name != new.name:
        yield f"The flow was renamed from {_shown(old.name)} to {_shown(new.name)}."
    if old.description != new.description:
        yield "The description was changed."
    if old.time_zone != new.time_zone:
        yield f"The time zone was changed from {old.time_zone} to {new.time_zone}."
    if old.one_by_one != new.one_by_one:
        by = f"by {_shown(new.one_by_one.value)}" if new.one_by_one.value else "side by side"
        yield f"Runs now go {'one at a time ' if new.one_by_one.value else ''}{by}."
    if old.most_at_once != new.most_at_once:
        most = new.most_at_once
        yield (
            f"At most {most} runs go at once."
            if most
            else "The number of runs at once is not limited any more."
        )


def _trigger(old: FlowDefinition, new: FlowDefinition) -> Iterator[str]:
    if old.trigger.kind != new.trigger.kind or label(old.trigger) != label(new.trigger):
        yield f"The trigger was changed from {_shown(label(old.trigger))} to {_shown(label(new.trigger))}."
    if old.trigger.kind == new.trigger.kind:
        yield from _fields("The trigger", old.trigger.model_dump(), new.trigger.model_dump())


def _steps(old: FlowDefinition, new: FlowDefinition) -> Iterator[str]:
    before = {step.id: step for step in walk(old.steps)}
    after = {step.id: step for step in walk(new.steps)}
    numbers_before, numbers = numbering(old), numbering(new)
    for id_, step in before.items():
        if id_ not in after:
            yield f"Step {numbers_before[id_]} {_shown(label(step))} was removed."
    moved = _moved(old, new)
    for id_, step in after.items():
        name = f"Step {numbers[id_]} {_shown(label(step))}"
        if id_ not in before:
            yield f"{name} was added."
            continue
        if id_ in moved:
            yield f"{name} was moved; it was step {numbers_before[id_]}."
        yield from _fields(name, _own(before[id_]), _own(step))


def _moved(old: FlowDefinition, new: FlowDefinition) -> set[str]:
    """Steps whose holder changed, or whose place among the steps that both versions have in it."""
    before, after = _orders(old), _orders(new)
    home = {id_: holder for holder, ids in before.items() for id_ in ids}
    moved: set[str] = set()
    for holder, ids in after.items():
        stayed = [id_ for id_ in ids if home.get(id_) == holder]
        moved.update(id_ for id_ in ids if id_ in home and home[id_] != holder)
        earlier = [id_ for id_ in before.get(holder, []) if id_ in stayed]
        kept = _longest_kept([earlier.index(id_) for id_ in stayed])
        moved.update(id_ for position, id_ in enumerate(stayed) if position not in kept)
    return moved


def _longest_kept(order: list[int]) -> set[int]:
    """The positions of a longest rising row: the fewest steps then count as moved."""
    rows: list[list[int]] = []
    for position, value in enumerate(order):
        before = [row for row in rows if order[row[-1]] < value]
        rows.append([*_longest(before), position])
    return set(_longest(rows))


def _longest(rows: list[list[int]]) -> list[int]:
    return max(rows, key=lambda row: len(row)) if rows else []


def _orders(definition: FlowDefinition) -> dict[str, list[str]]:
    orders = {"": [step.id for step in definition.steps]}
    for step in walk(definition.steps):
        if isinstance(step, PathsStep):
            orders.update({path.id: [inner.id for inner in path.steps] for path in step.paths})
        elif isinstance(step, ForEachStep):
            orders[step.id] = [inner.id for inner in step.steps]
    return orders


def _own(step: Step) -> dict[str, Any]:
    """Without the steps inside, which speak for themselves."""
    data = step.model_dump(exclude={"steps", "id"})
    if "paths" in data:
        data["paths"] = {path["id"]: {**path, "steps": None, "id": None} for path in data["paths"]}
    return data


def _fields(subject: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    before, after = dict(_flat(old, "")), dict(_flat(new, ""))
    for place in dict.fromkeys([*before, *after]):
        left, right = before.get(place), after.get(place)
        if left == right:
            continue
        if left in (None, ""):
            yield f"{subject}: {place} was set to {_shown(right)}."
        elif right in (None, ""):
            yield f"{subject}: {place} was emptied; it was {_shown(left)}."
        else:
            yield f"{subject}: {place} was changed from {_shown(left)} to {_shown(right)}."


def _flat(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        named = value.get("name") if "mapping" in value else None
        for key, inner in value.items():
            own = str(named or key) if key == "mapping" else "" if key == "value" else humanise(str(key))
            yield from _flat(inner, " → ".join(part for part in (place, own) if part))
    elif isinstance(value, list):
        for number, inner in enumerate(value, start=1):
            row = "" if isinstance(inner, dict) and inner.get("name") and "mapping" in inner else str(number)
            yield from _flat(inner, " ".join(part for part in (place, row) if part))
    elif place or value:
        yield place or "value", value


def _shown(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return f"'{text[:_LONGEST]}…'" if len(text) > _LONGEST else f"'{text}'"
