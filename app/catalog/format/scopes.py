"""Which rights operations need, and which of them an account has not granted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.catalog.format.auth import TokenAuth
from app.catalog.format.definition import Connector, Operation
from app.flows.model import ActionStep, ConnectorTrigger, FlowDefinition, walk


def all_scopes(connector: Connector, auth: TokenAuth) -> tuple[str, ...]:
    """Those asked for anyway, and what the operations need, each once."""
    operations = (*connector.triggers.values(), *connector.actions.values())
    own = (scope for operation in operations for scope in operation.scopes)
    return tuple(dict.fromkeys((*auth.scopes, *own)))


def missing_scopes(auth: TokenAuth, granted: Iterable[str], needed: Iterable[str]) -> tuple[str, ...]:
    """A granted scope may include others (`implies`)."""
    have = set(granted)
    while more := {one for scope in have for one in auth.implies.get(scope, ())} - have:
        have |= more
    return tuple(dict.fromkeys(scope for scope in needed if scope not in have))


def operations_used(
    connector: Connector, definition: FlowDefinition, connection_id: str
) -> Iterator[tuple[str, Operation]]:
    """What a flow does with a connection: the id of the trigger or step, and the operation."""
    for part in (definition.trigger, *walk(definition.steps)):
        found: Operation | None = None
        if isinstance(part, ConnectorTrigger) and part.connection_id == connection_id:
            found = connector.triggers.get(part.trigger)
        elif isinstance(part, ActionStep) and part.connection_id == connection_id:
            found = connector.actions.get(part.action)
        if found is not None:
            yield part.id, found
