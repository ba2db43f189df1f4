"""What is wrong with one step, kind by kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from app.flows.conditions import OPERATORS, pattern_problem
from app.flows.mapping.values import as_moment, as_number
from app.flows.model import (
    ActionStep,
    Condition,
    Conditions,
    DelayStep,
    EmailStep,
    FilterStep,
    ForEachStep,
    HttpStep,
    Mapping,
    PathsStep,
    SetStep,
    Step,
    StopStep,
)
from app.flows.near import nearest_hint
from app.flows.review.notes import FieldView, Notes, PartView, mappings_in
from app.flows.review.request import check_request

NOTHING: frozenset[str] = frozenset()
_ANSWER = frozenset({"answer"})


def check_step(notes: Notes, step: Step) -> None:
    notes.gaps(step)
    for place, name, mapping in mappings_in(step):
        if place != "request.body_text" or not _is_json_text(step):
            extra = _ANSWER if place.startswith("success.") else NOTHING
            notes.mapping(step.id, place, _named(notes, step, place, name), mapping, extra)
    cast(Callable[[Notes, Any], None], _CHECKS[step.kind])(notes, step)


def _is_json_text(step: Step) -> bool:
    return isinstance(step, HttpStep) and step.request.body_kind == "json_text"


def _named(notes: Notes, step: Step, place: str, name: str) -> str:
    """An action's inputs go by the labels of the connector."""
    if isinstance(step, ActionStep) and place.startswith("input."):
        action = notes.connectors.find_action(step.connector, step.action)
        labels = {field.key: field.label for field in action.input} if action else {}
        return labels.get(place.removeprefix("input."), name)
    return name


def blank(mapping: Mapping) -> bool:
    return not mapping.value.strip()


def fixed(mapping: Mapping) -> str | None:
    """The text of a mapping without references, so that it can be checked here and now."""
    return None if "{{" in mapping.value else mapping.value.strip()


# ---------------------------------------------------------------------------------- connectors


def check_input(notes: Notes, part_id: str, part: PartView, given: dict[str, Mapping]) -> None:
    fields: Sequence[FieldView] = part.input
    for field in fields:
        mapping = given.get(field.key, Mapping())
        place = f"input.{field.key}"
        if field.required and blank(mapping) and not (mapping.when_empty == "default" and mapping.default):
            notes.add(part_id, place, f"{field.label} is required and empty.")
        elif (text := fixed(mapping)) and (reason := _unfit(field, text)):
            notes.add(part_id, place, f"{field.label}: {reason}")
        elif field.required and mapping.when_empty == "leave_out":
            notes.hint(
                part_id, place, f"{field.label} is required, but set to be left out when there is nothing."
            )
    known = [field.key for field in fields]
    for key, mapping in given.items():
        if key not in known and not blank(mapping):
            hint = nearest_hint(key, known, "There is")
            notes.hint(
                part_id, f"input.{key}", f"The field '{key}' is not known to this service. {hint}".rstrip()
            )


def _unfit(field: FieldView, text: str) -> str:
    """Why a text without references can never be right for this field; '' if it may be."""
    choices = getattr(field, "choices", ())
    if field.type == "choice" and choices and text not in choices:
        listed = ", ".join(f"'{choice}'" for choice in choices[:8])
        return f"'{text[:40]}' is not one of {listed}{' and more' if len(choices) > 8 else ''}."
    if field.type in ("number", "integer") and as_number(text) is None:
        return f"'{text[:40]}' is not a number."
    if field.type == "email" and "@" not in text:
        return f"'{text[:40]}' is not an email address."
    if field.type in ("date", "datetime") and as_moment(text) is None:
        return f"'{text[:40]}' is not a date."
    return ""


def check_service(
    notes: Notes, part_id: str, connector: str, part: Any, wanted: str, connection_id: str
) -> bool:
    """The connector and its action or trigger are there, and a connection is picked."""
    found = notes.connectors.find(connector)
    if found is None:
        notes.add(part_id, "connector", f"The connector '{connector}' is not installed here.")
        return False
    if part is None:
        notes.add(
            part_id, "connector", f"{notes.service(connector)} has no {wanted} any more. Choose another one."
        )
        return False
    if not connection_id and needs_connection(found, part):
        notes.add(
            part_id,
            "connection_id",
            f"No connection is picked. Choose your {notes.service(connector)} account.",
        )
    notes.connection(part_id, "connection_id", connection_id, connector)
    return True


def needs_connection(connector: Any, part: Any) -> bool:
    """Not where the service can be used without signing in and asks for no address of its own, nor
    for a webhook that nobody can check."""
    if getattr(getattr(part, "verify", None), "scheme", "") == "none":
        return False
    if getattr(connector, "connection_fields", ()):
        return True
    ways = getattr(connector, "auth", None) or ()
    return bool(ways) and all(way.type != "none" for way in ways)


def _action(notes: Notes, step: ActionStep) -> None:
    action = notes.connectors.find_action(step.connector, step.action)
    if check_service(notes, step.id, step.connector, action, f"action '{step.action}'", step.connection_id):
        check_input(notes, step.id, cast(PartView, action), step.input)
    _rows(notes, step.id, "extra", step.extra)


def _rows(notes: Notes, step_id: str, place: str, rows: Sequence[Any]) -> None:
    for index, row in enumerate(rows):
        if not row.name.strip() and not blank(row.mapping):
            notes.add(step_id, f"{place}.{index}.name", "A row has a value and no name.")


# ---------------------------------------------------------------------------------------- logic


def check_conditions(notes: Notes, step_id: str, place: str, conditions: Conditions, about: str) -> None:
    if not any(conditions.groups):
        notes.add(step_id, place, f"{about} has no condition.")
    for group_index, group in enumerate(conditions.groups):
        if not group and any(conditions.groups):
            notes.add(
                step_id, place, f"{about} has an empty group of conditions, which would let everything pass."
            )
        for index, condition in enumerate(group):
            _condition(notes, step_id, f"{place}.groups.{group_index}.{index}", condition, about)


def _condition(notes: Notes, step_id: str, place: str, condition: Condition, about: str) -> None:
    facts = OPERATORS[condition.operator]
    if blank(condition.left):
        notes.add(step_id, f"{place}.left", f"{about} has a condition that does not say what to check.")
        return
    if facts.needs_right and blank(condition.right):
        notes.add(
            step_id, f"{place}.right", f"{about}: what to compare with is missing (after '{facts.label}')."
        )
    if condition.operator == "between" and blank(condition.right_to):
        notes.add(step_id, f"{place}.right_to", f"{about}: the upper value of 'is between' is missing.")
    if condition.operator in ("matches", "not_matches") and (pattern := fixed(condition.right)):
        reason = pattern_problem(pattern)
        if reason:
            notes.add(step_id, f"{place}.right", f"{about}: {reason}.")


def _filter(notes: Notes, step: FilterStep) -> None:
    check_conditions(notes, step.id, "conditions", step.conditions, "The filter")


def _paths(notes: Notes, step: PathsStep) -> None:
    for index, path in enumerate(step.paths):
        name = f"'{path.name}'" if path.name.strip() else f"Path {index + 1}"
        if path.conditions is not None:
            check_conditions(notes, step.id, f"paths.{index}.conditions", path.conditions, name)
        if not path.steps:
            notes.hint(step.id, f"paths.{index}", f"{name} has no steps: what goes there is done with.")
    others = [index for index, path in enumerate(step.paths) if path.conditions is None]
    if len(others) > 1:
        notes.add(step.id, f"paths.{others[1]}", "Two paths are for everyone else; only one can be.")


def _for_each(notes: Notes, step: ForEachStep) -> None:
    if blank(step.items):
        notes.add(step.id, "items", "It does not say which list to go through.")
    elif fixed(step.items) is not None:
        notes.hint(step.id, "items", "The list is a fixed text, so there is always one item.")
    if not step.steps:
        notes.hint(step.id, "steps", "There are no steps inside the loop.")


def _delay(notes: Notes, step: DelayStep) -> None:
    if step.mode == "for":
        text = fixed(step.amount)
        number = as_number(text) if text else None
        if blank(step.amount):
            notes.add(step.id, "amount", "It does not say how long to wait.")
        elif text is not None and (number is None or number < 0):
            notes.add(step.id, "amount", f"'{text[:40]}' is not a length of time. Write a number, such as 2.")
    elif blank(step.until):
        notes.add(step.id, "until", "It does not say until when to wait.")
    elif (text := fixed(step.until)) is not None and as_moment(text) is None:
        notes.add(step.id, "until", f"'{text[:40]}' is not a date. Write it like 2026-11-18 09:00.")


def _set(notes: Notes, step: SetStep) -> None:
    if not any(row.name.strip() for row in step.values):
        notes.hint(step.id, "values", "It sets no values.")
    _rows(notes, step.id, "values", step.values)
    names = [row.name.strip() for row in step.values if row.name.strip()]
    for twice in sorted({name for name in names if names.count(name) > 1}):
        notes.hint(step.id, "values", f"The value '{twice}' is set twice; the last one counts.")


def _stop(notes: Notes, step: StopStep) -> None:
    """Nothing can be wrong with it but its message, which is a mapping."""


# ------------------------------------------------------------------------------------- messages


def _email(notes: Notes, step: EmailStep) -> None:
    if blank(step.to):
        notes.add(step.id, "to", "To is empty: the email has no recipient.")
    for place, name in (("to", "To"), ("cc", "Cc"), ("sender", "From"), ("reply_to", "Reply to")):
        text = fixed(getattr(step, place))
        wrong = [one for one in (text or "").replace(";", ",").split(",") if one.strip() and "@" not in one]
        if wrong:
            notes.add(step.id, place, f"{name}: '{wrong[0].strip()[:60]}' is not an email address.")
    if blank(step.subject):
        notes.add(step.id, "subject", "Subject is empty.")
    if blank(step.text):
        notes.hint(step.id, "text", "Text is empty.")
    notes.connection(step.id, "connection_id", step.connection_id, "smtp")


def _http(notes: Notes, step: HttpStep) -> None:
    check_request(notes, step.id, step.request, NOTHING)
    if step.success is not None:
        check_conditions(notes, step.id, "success", step.success, "What counts as a success")


_CHECKS: dict[str, Any] = {
    "http": _http,
    "action": _action,
    "filter": _filter,
    "paths": _paths,
    "for_each": _for_each,
    "delay": _delay,
    "set": _set,
    "stop": _stop,
    "email": _email,
}
