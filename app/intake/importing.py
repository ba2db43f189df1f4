"""Flows from files into the database, with their connections found again by service and name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from app.flows.model import FlowDefinition
from app.flows.portable.files import FileConnection, FlowFile, with_connections
from app.imports.flows.drafts import Draft
from app.intake import activation
from app.intake.needs import Whole
from app.storage.connections import connections
from app.storage.connections.connections import ConnectionRow
from app.storage.database.executor import Executor
from app.storage.flows import flows
from app.storage.people import audit


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


def import_drafts(parts: Whole, drafts: Sequence[Draft], *, by: str | None = None) -> list[Imported]:
    """Flows from other tools, as drafts with their samples: all of them or none."""
    now = parts.clock.now()
    with parts.database.read() as db:
        taken = {row.name for row in flows.list_flows(db)}
        bound = [bind_connections(db, draft.file) for draft in drafts]

    def create(db: Connection) -> list[Imported]:
        made = []
        for definition, draft in zip(bound, drafts, strict=True):
            name = free_name(definition.name, taken)
            taken.add(name)
            flow_id = flows.create_flow(db, name=name, definition=definition, owner_id=by, now=now)
            for root, sample in draft.samples.items():
                flows.set_sample(db, flow_id, sample, root=root)
            audit.record(db, now=now, user_id=by, action="imported", noun="flow", noun_id=flow_id)
            made.append(Imported(flow_id, name, ""))
        return made

    return parts.database.write(create)


def free_name(wanted: str, taken: set[str], longest: int = 200) -> str:
    """With a number behind it where another flow is called so already."""
    wanted = wanted[: longest - 6]
    names = (wanted if number == 1 else f"{wanted} {number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def import_flow(
    parts: Whole, file: FlowFile, *, by: str | None = None, publish: bool = False, on: bool = False
) -> Imported:
    """A new flow; with `publish` its first live version.  Raises PublishRefused, which names the step
    and field, after the draft was kept."""
    now = parts.clock.now()
    with parts.database.read() as db:
        definition = bind_connections(db, file)

    def create(db: Connection) -> str:
        return flows.create_flow(db, name=definition.name, definition=definition, owner_id=by, now=now)

    flow_id = parts.database.write(create)
    if publish or on:
        activation.publish(parts, flow_id, by=by)
    if on:
        activation.switch_on(parts, flow_id, by=by)
    hook = (
        activation.hook_address(parts, flow_id) if activation.is_webhook(parts.registry, definition) else ""
    )
    return Imported(flow_id, definition.name, hook)
