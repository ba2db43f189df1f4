"""The inputs that a connector's action or trigger asks for, and the choices that only the account knows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from app.catalog.registry import Registry
from app.commands.trials import ask_choices
from app.errors import AppError
from app.flows.model import ActionStep, ConnectorTrigger, FlowDefinition, Step, Trigger, walk
from app.intake.choices import question_of
from app.storage.connections.connections import get_found
from app.storage.database.db import pages_db
from app.web.builder.scope import Scope
from app.web.frame.context import parts, who

_KEYS = re.compile(r"\.([\w-]+)|\['([^']+)'\]")
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
    """`choices`: (value, word) pairs; empty = a field for text and data.  `many`: several values."""

    key: str
    label: str
    required: bool
    help: str
    placeholder: str
    choices: list[tuple[str, str]]
    lookup: str = ""
    many: bool = False


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
            placeholder=_PLACEHOLDERS.get(found.type, ""),
            choices=_fixed_choices(found),
            lookup=found.lookup or "",
            many=found.type == "list",
        )
        for found in fields
        if found.type != "fields"
    ]


def _fixed_choices(found: Any) -> list[tuple[str, str]]:
    if found.type == "bool":
        return _YES_NO
    return [(choice, choice) for choice in found.choices]


def usual_input(facts: Any) -> dict[str, str]:
    """What a new step of this action or trigger begins with."""
    return {found.key: found.default for found in facts.input if found.default} if facts else {}


def example_of(facts: Any) -> Any:
    """What an action or trigger usually gives, made of the samples in its description; None without."""
    document: dict[str, Any] = {}
    for found in facts.output.fields if facts is not None else ():
        keys = [dotted or quoted for dotted, quoted in _KEYS.findall(found.path)]
        if found.sample is not None and keys and "*" not in found.path:
            _set_at(document, keys, found.sample)
    return document or None


def _set_at(document: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = document.setdefault(key, {})
        if not isinstance(inner, dict):
            return
        document = inner
    document[keys[-1]] = value


def examples_for(definition: FlowDefinition, registry: Registry) -> dict[str, Any]:
    """For the trigger and the steps of connectors: examples to map from before anything was tested."""
    parts: list[Step | Trigger] = [definition.trigger, *walk(definition.steps)]
    found = {part.id: example_of(facts_of(part, registry)) for part in parts}
    return {part_id: example for part_id, example in found.items() if example is not None}


def all_samples(definition: FlowDefinition, registry: Registry, kept: dict[str, Any]) -> dict[str, Any]:
    """What was really seen, and the connectors' examples where nothing was."""
    return {**examples_for(definition, registry), **kept}


def extra_of(facts: Any) -> Any:
    """The input that stands for fields only this account has; None if it takes none."""
    return next((found for found in facts.input if found.type == "fields"), None) if facts else None


def needed_inputs(facts: Any, connector: Any) -> set[str]:
    """The inputs that lookups of other inputs depend on."""
    if facts is None or connector is None:
        return set()
    used = [connector.lookups[found.lookup] for found in facts.input if found.lookup in connector.lookups]
    return {key for lookup in used for key in lookup.needs}


Choices = list[tuple[str, str]]


@dataclass(frozen=True)
class Loaded:
    """`is_known` False: the service has not been asked yet.  `wrong`: why it could not be."""

    choices: Choices = field(default_factory=list)
    is_known: bool = True
    wrong: str = ""


def known(part: ActionStep | ConnectorTrigger, key: str, scope: Scope) -> Loaded:
    """What was found a short time ago; the service is not asked."""
    try:
        question = question_of(parts().registry, part, key, scope)
    except AppError as reason:
        return Loaded(wrong=f"{reason.sentence} {reason.remedy}".strip())
    since = parts().clock.now() - timedelta(seconds=question.lookup.cache)
    found = get_found(pages_db.session, question.connection_id, question.name, since=since)
    return Loaded(is_known=False) if found is None else Loaded(_pairs(found))


def ask(part: ActionStep | ConnectorTrigger, key: str, scope: Scope) -> Loaded:
    """Asks the service, unless it is known already."""
    before = known(part, key, scope)
    if before.is_known:
        return before
    question = question_of(parts().registry, part, key, scope)
    try:
        return Loaded(_pairs(ask_choices(who(), parts(), question)))
    except AppError as reason:
        return Loaded(wrong=f"The list could not be loaded. {reason.sentence} {reason.remedy}".strip())


def _pairs(found: list[Any]) -> Choices:
    return [(str(value), str(label)) for value, label in found]
