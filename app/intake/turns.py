"""Which line each event's run stands in, where the flow takes records one at a time."""

from __future__ import annotations

from collections.abc import Iterable

from app.engine.turns import key_of
from app.flows.model import FlowDefinition, Mapping
from app.storage.history.events import Arrival


def give_places(definition: FlowDefinition, arrivals: Iterable[Arrival]) -> None:
    if definition.one_by_one.value:
        give_places_by(definition.one_by_one, definition.trigger.id, arrivals)


def give_places_by(one_by_one: Mapping, trigger_id: str, arrivals: Iterable[Arrival]) -> None:
    for new in arrivals:
        new.turn = key_of(one_by_one, trigger_id, new.document)
