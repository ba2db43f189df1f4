"""What only an account knows: choices of dropdowns and fields of its own, asked of the service."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
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
from app.engine.runtime import Runtime
from app.engine.steps.action import request_of
from app.errors import ConnectionBroken, NotFound
from app.flows.mapping.jsonpath import find
from app.flows.mapping.template import MISSING, fill
from app.flows.model import ActionStep, ConnectorTrigger, Mapping
from app.intake.polls.source import wait_turn

_MOST = 2000


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


def question_of(
    registry: Registry, part: ActionStep | ConnectorTrigger, key: str, scope: dict[str, Any]
) -> Question:
    """Returns the lookup `key` of a step or trigger, its needed inputs filled from `scope`.  Raises NotFound
    for a list there is not, or whose inputs are empty, and ConnectionBroken without an account."""
    connector = registry.get(part.connector)
    lookup = connector.lookups.get(key)
    if lookup is None:
        raise NotFound(f"{connector.name} has no list “{key[:60]}”.")
    if not part.connection_id:
        raise ConnectionBroken(f"Choose an account of {connector.name} to see its lists here.")
    values = {}
    for needed in lookup.needs:
        value = fill(needed, part.input.get(needed, Mapping()), scope, [])
        if value is MISSING or value in (None, ""):
            label = _label(registry, part, needed)
            raise NotFound(f"Fill in “{label}” first; {lookup.label.lower()} depend on it.")
        values[needed] = value
    return Question(connector, lookup, part.connection_id, values)


def _label(registry: Registry, part: ActionStep | ConnectorTrigger, key: str) -> str:
    operation = (
        registry.find_action(part.connector, part.action)
        if isinstance(part, ActionStep)
        else registry.find_trigger(part.connector, part.trigger)
    )
    labels = {found.key: found.label for found in operation.input} if operation else {}
    return labels.get(key, key)


async def read_choices(
    runtime: Runtime, question: Question, connection: ConnectionFacts
) -> list[tuple[str, str]]:
    """Returns value and label of each choice, at most 2,000.  Raises CallFailed as the service failed."""
    connector, lookup = question.connector, question.lookup

    def build(page: Any) -> CallRequest:
        scope = {"input": question.values, "connection": connection.as_scope()}
        turned = scope if page is None else {**scope, "page": page}
        return request_of(plan(connector, lookup.request, scope=turned), connection)

    read = pages(
        runtime.caller,
        build,
        lookup.paginate,
        count=lambda document: len(find(lookup.items, document)),
        rules=lookup.request.errors + connector.errors,
        success=lookup.success or connector.success,
        turn=partial(wait_turn, runtime),
    )
    found: list[tuple[str, str]] = []
    async for page in read:
        if page.failure is not None:
            raise page.failure
        fields = read_fields(lookup, page.document, question.values)
        options = read_options(lookup, page.document, question.values)
        found += [*((one.key, one.label) for one in fields), *((one.value, one.label) for one in options)]
        if len(found) >= _MOST:
            break
    return found[:_MOST]
