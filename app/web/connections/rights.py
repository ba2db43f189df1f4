"""Rights at a service: what a sign-in asks for, what was granted, and what the flows need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from app.catalog.format.auth import OAuth2Auth, TokenAuth
from app.catalog.format.definition import Connector
from app.catalog.format.scopes import all_scopes, missing_scopes, operations_used
from app.catalog.registry import Registry
from app.errors import NotFound
from app.flows.model import FlowDefinition, walk
from app.flows.review.flow import Problem
from app.storage.connections.connections import ConnectionRow, Use
from app.storage.connections.grants import get_grant
from app.storage.database.executor import Executor
from app.storage.flows.flows import get_flow, live_definition
from app.web.connections.forms import Block, Service


@dataclass(frozen=True)
class Right:
    """`needed_for`: what it is asked for, in the words of the builder; `is_fixed`: always asked for."""

    scope: str
    needed_for: tuple[str, ...] = ()
    is_fixed: bool = False


@dataclass
class Rights:
    """`missing`: scope -> the flows that cannot do their work without it."""

    granted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    missing: dict[str, list[str]] = field(default_factory=dict)

    @property
    def flows(self) -> list[str]:
        return list(dict.fromkeys(name for names in self.missing.values() for name in names))


def rights_to_ask(service: Service, block: Block | None) -> list[Right]:
    if not isinstance(service, Connector) or not isinstance(block, OAuth2Auth):
        return []
    operations = (*service.triggers.values(), *service.actions.values())
    return [
        Right(
            scope,
            tuple(one.label for one in operations if scope in one.scopes),
            is_fixed=scope in block.scopes,
        )
        for scope in all_scopes(service, block)
    ]


def asked_scopes(rights: Iterable[Right], chosen: Iterable[str]) -> tuple[str, ...]:
    wanted = set(chosen)
    return tuple(right.scope for right in rights if right.is_fixed or right.scope in wanted)


def rights_problems(
    db: Executor, registry: Registry, definition: FlowDefinition, rows: Iterable[ConnectionRow]
) -> list[Problem]:
    """What a flow does that its accounts do not allow: said before it goes live, not by its first run."""
    named = {getattr(part, "connection_id", "") for part in (definition.trigger, *walk(definition.steps))}
    found = []
    for row in rows:
        known = _signed_in(db, registry, row) if row.id in named else None
        if known is None:
            continue
        connector, auth, granted = known
        for step_id, operation in operations_used(connector, definition, row.id):
            if missing := missing_scopes(auth, granted, operation.scopes):
                sentence = (
                    f"“{row.name}” does not allow this yet: {', '.join(missing)} is missing. Sign in again "
                    "on the page of the connection."
                )
                found.append(Problem(step_id, "connection_id", sentence, blocking=False))
    return found


def _signed_in(
    db: Executor, registry: Registry, row: ConnectionRow
) -> tuple[Connector, TokenAuth, tuple[str, ...]] | None:
    """None where there is nothing to compare: no sign-in, or no token yet."""
    connector, grant = registry.find(row.connector), get_grant(db, row.id)
    auth = next((one for one in connector.auth if one.key == row.auth), None) if connector else None
    if connector is None or not isinstance(auth, TokenAuth) or grant is None or grant.sealed is None:
        return None
    return connector, auth, grant.scopes


def rights_of(db: Executor, registry: Registry, row: ConnectionRow, uses: list[Use]) -> Rights | None:
    known = _signed_in(db, registry, row)
    if known is None:
        return None
    connector, auth, granted = known
    rights = Rights(granted=granted)
    rights.refused = missing_scopes(auth, granted, all_scopes(connector, auth))
    for use in uses:
        for definition in _definitions(db, use.flow_id):
            for scope in _lacking(connector, auth, granted, definition, row.id):
                flows = rights.missing.setdefault(scope, [])
                if use.flow_name not in flows:
                    flows.append(use.flow_name)
    return rights


def _lacking(
    connector: Connector,
    auth: TokenAuth,
    granted: tuple[str, ...],
    definition: FlowDefinition,
    connection_id: str,
) -> tuple[str, ...]:
    used = operations_used(connector, definition, connection_id)
    needed = [scope for _, operation in used for scope in operation.scopes]
    return missing_scopes(auth, granted, needed)


def _definitions(db: Executor, flow_id: str) -> list[FlowDefinition]:
    try:
        flow, live = get_flow(db, flow_id), live_definition(db, flow_id)
    except NotFound:
        return []  # deleted; only its open runs still use the connection
    return [flow.draft] if live is None else [flow.draft, live]
