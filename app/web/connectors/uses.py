"""What flows name of a connector: in their drafts, and in the versions that are live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.flows.model import ActionStep, ConnectorTrigger, FlowDefinition, walk
from app.storage.database.db import pages_db
from app.storage.flows.flows import FlowRow, list_flows, live_definition


@dataclass(frozen=True)
class Uses:
    flow: FlowRow
    actions: set[str] = field(default_factory=set)
    triggers: set[str] = field(default_factory=set)

    def add(self, key: str, definition: FlowDefinition) -> None:
        trigger = definition.trigger
        if isinstance(trigger, ConnectorTrigger) and trigger.connector == key:
            self.triggers.add(trigger.trigger)
        for step in walk(definition.steps):
            if isinstance(step, ActionStep) and step.connector == key:
                self.actions.add(step.action)


def uses_of(key: str) -> Iterator[Uses]:
    """The flows that name anything of the connector."""
    for flow in list_flows(pages_db.session):
        uses = Uses(flow)
        for definition in (flow.draft, live_definition(pages_db.session, flow.id)):
            if definition is not None:
                uses.add(key, definition)
        if uses.actions or uses.triggers:
            yield uses
