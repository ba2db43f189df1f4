"""Flows from files into the database, with their connections found again by service and name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from app.flows.model import FlowDefinition
from app.flows.portable import FileConnection, FlowFile, with_connections
from app.intake import activation
from app.intake.needs import Whole
from app.storage import connections, flows
from app.storage.connections import ConnectionRow
from app.storage.executor import Executor


@dataclass(frozen=True)
class Imported:
    """`hook_url` '' = the flow is not started by a webhook."""

    id: str
    name: str
    hook_url: str


def bind_connections(db: Executor, file: FlowFile) -> FlowDefinition:
    """The flow with the connections of this installation; one that is not here stays unpicked, and
    the review before publishing says so."""
    known = connections.list_connections(db)
    return with_connections(
        file.definition, {name: _match(one, known) for name, one in file.connections.items()}
    )


def _match(wanted: FileConnection, known: Sequence[ConnectionRow]) -> str:
    same = [row for row in known if row.connector == wanted.connector]
    named = [row for row in same if row.name == wanted.name]
    return named[0].id if named else same[0].id if len(same) == 1 else ""


def import_flow(
    parts: Whole, file: FlowFile, *, by: str | None = None, publish: bool = False, on: bool = False
) -> Imported:
    """A new flow; with `publish` its first live version.  Raises PublishRefused, which names the step
    and field, after the draft was kept."""
    now = parts.clock.now()
    with parts.database.read() as db:
        definition = bind_connections(db, file)

    def create(connection: Connection) -> str:
        return flows.create_flow(
            connection, name=definition.name, definition=definition, owner_id=by, now=now
        )

    flow_id = parts.database.write(create)
    if publish or on:
        activation.publish(parts, flow_id, by=by)
    if on:
        activation.switch_on(parts, flow_id, by=by)
    hook = (
        activation.hook_address(parts, flow_id) if activation.is_webhook(parts.registry, definition) else ""
    )
    return Imported(flow_id, definition.name, hook)
