"""The inputs that a connector's action or trigger asks for, and the choices that only the account knows."""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import orjson

from app.calls.connections.book import ConnectionFacts
from app.calls.http.paginate import pages
from app.calls.message.call import CallRequest
from app.catalog.format.definition import Connector, Lookup
from app.catalog.lookups import read_fields, read_options
from app.catalog.registry import Registry
from app.catalog.render import plan
from app.engine.steps.action import request_of
from app.errors import AppError, CallFailed, ConnectionBroken, NotFound, Unavailable
from app.flows.mapping.jsonpath import find
from app.flows.mapping.template import MISSING, fill
from app.flows.model import ActionStep, ConnectorTrigger, FlowDefinition, Mapping, Step, Trigger, walk
from app.intake.needs import Needs
from app.intake.polls.source import wait_turn
from app.storage.connections.connections import get_found, keep_found
from app.storage.database.db import pages_db
from app.web.builder.scope import Scope
from app.web.frame.context import parts

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

_LONGEST_S = 25
_MOST = 2000


@dataclass(frozen=True)
class Loaded:
    """`is_known` False: the service has not been asked yet.  `wrong`: why it could not be."""

    choices: Choices = field(default_factory=list)
    is_known: bool = True
    wrong: str = ""


@dataclass(frozen=True)
class Question:
    """A lookup with all it takes to ask it; `values`: the inputs it needs."""

    connector: Connector
    lookup: Lookup
    connection_id: str
    values: dict[str, Any]

    @property
    def name(self) -> str:
        """Under which the answer is kept: other needed inputs are another answer."""
        needs = hashlib.sha256(orjson.dumps(self.values, default=str, option=orjson.OPT_SORT_KEYS))
        return f"{self.lookup.key}:{needs.hexdigest()[:16]}" if self.values else self.lookup.key


def known(part: ActionStep | ConnectorTrigger, key: str, scope: Scope) -> Loaded:
    """What was found a short time ago; the service is not asked."""
    try:
        question = _question(part, key, scope)
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
    question = _question(part, key, scope)
    try:
        found = _on_engine(question)
    except AppError as reason:
        return Loaded(wrong=f"The list could not be loaded. {reason.sentence} {reason.remedy}".strip())
    now = parts().clock.now()
    parts().database.write(lambda db: keep_found(db, question.connection_id, question.name, found, now=now))
    return Loaded(_pairs(found))


def _pairs(found: list[Any]) -> Choices:
    return [(str(value), str(label)) for value, label in found]


def _question(part: ActionStep | ConnectorTrigger, key: str, scope: Scope) -> Question:
    connector = parts().registry.get(part.connector)
    lookup = connector.lookups.get(key)
    if lookup is None:
        raise NotFound(f"{connector.name} has no list “{key[:60]}”.")
    if not part.connection_id:
        raise ConnectionBroken(f"Choose an account of {connector.name} to see its lists here.")
    return Question(connector, lookup, part.connection_id, _needed(part, lookup, scope))


def _needed(part: ActionStep | ConnectorTrigger, lookup: Lookup, scope: Scope) -> dict[str, Any]:
    values = {}
    for key in lookup.needs:
        value = fill(key, part.input.get(key, Mapping()), scope, [])
        if value is MISSING or value in (None, ""):
            raise NotFound(f"Fill in “{_label(part, key)}” first; {lookup.label.lower()} depend on it.")
        values[key] = value
    return values


def _label(part: ActionStep | ConnectorTrigger, key: str) -> str:
    registry = parts().registry
    operation = (
        registry.find_action(part.connector, part.action)
        if isinstance(part, ActionStep)
        else registry.find_trigger(part.connector, part.trigger)
    )
    labels = {found.key: found.label for found in operation.input} if operation else {}
    return labels.get(key, key)


def _on_engine(question: Question) -> list[tuple[str, str]]:
    if not parts().engine.is_started:
        raise Unavailable("The engine is not running.")
    connection = parts().connections.get(question.connection_id)
    try:
        return parts().engine.spawn(_read(parts(), question, connection)).result(_LONGEST_S)
    except TooLate:
        raise CallFailed("unavailable", f"{question.connector.name} did not answer in time.") from None


async def _read(needs: Needs, question: Question, connection: ConnectionFacts) -> list[tuple[str, str]]:
    connector, lookup = question.connector, question.lookup

    def build(page: Any) -> CallRequest:
        scope = {"input": question.values, "connection": connection.as_scope()}
        turned = scope if page is None else {**scope, "page": page}
        return request_of(plan(connector, lookup.request, scope=turned), connection)

    read = pages(
        needs.caller,
        build,
        lookup.paginate,
        count=lambda document: len(find(lookup.items, document)),
        rules=lookup.request.errors + connector.errors,
        success=lookup.success or connector.success,
        turn=partial(wait_turn, needs),
    )
    found: list[tuple[str, str]] = []
    async for page in read:
        if page.failure is not None:
            raise page.failure
        found += _named(question, page.document)
        if len(found) >= _MOST:
            break
    return found[:_MOST]


def _named(question: Question, document: Any) -> list[tuple[str, str]]:
    lookup, values = question.lookup, question.values
    fields = [(one.key, one.label) for one in read_fields(lookup, document, values)]
    return fields + [(one.value, one.label) for one in read_options(lookup, document, values)]
