"""The inputs that a connector's action or trigger asks for, as fields of a panel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.catalog.registry import Registry
from app.flows.model import ActionStep, ConnectorTrigger, Step, Trigger

_YES_NO = [("true", "Yes"), ("false", "No")]
_PLACEHOLDERS = {
    "email": "ana@example.com",
    "url": "https://",
    "phone": "+49 30 1234567",
    "date": "2027-01-31",
    "datetime": "2027-01-31 09:00",
}


@dataclass(frozen=True)
class ShownInput:
    """`choices`: (value, word) pairs; empty = a field for text and data."""

    key: str
    label: str
    required: bool
    help: str
    placeholder: str
    choices: list[tuple[str, str]]


def facts_of(part: Step | Trigger, registry: Registry) -> Any:
    if isinstance(part, ActionStep):
        return registry.find_action(part.connector, part.action)
    if isinstance(part, ConnectorTrigger):
        return registry.find_trigger(part.connector, part.trigger)
    return None


def shown_inputs(part: Step | Trigger, facts: Any) -> list[ShownInput]:
    fields = [] if facts is None else facts.input
    return [
        ShownInput(
            key=found.key,
            label=found.label,
            required=found.required,
            help=found.help,
            placeholder=found.default or _PLACEHOLDERS.get(found.type, ""),
            choices=_choices(found),
        )
        for found in fields
        if found.type != "fields"
    ]


def _choices(found: Any) -> list[tuple[str, str]]:
    if found.type == "bool":
        return _YES_NO
    return [] if found.type == "list" else [(choice, choice) for choice in found.choices]


def has_extra(facts: Any) -> bool:
    """Does it take fields that only this account has?"""
    return facts is not None and any(found.type == "fields" for found in facts.input)
