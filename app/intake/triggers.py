"""How a flow is started: which trigger needs the clock, which an address, and the clock's row of a flow."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.catalog.registry import Registry
from app.flows.model import ConnectorTrigger, FlowDefinition, PollTrigger, ScheduleTrigger, WebhookTrigger
from app.intake.schedule import next_fire
from app.settings import Settings
from app.storage.database.executor import Executor
from app.storage.database.secrets import Vault
from app.storage.flows import hooks, triggers
from app.storage.flows.flows import FlowRow
from app.storage.history import events


def address_of(settings: Settings, token: str) -> str:
    """Returns `http…/hooks/<token>`, what a sender is told."""
    return f"{settings.base_url}/hooks/{token}"


def current_address(settings: Settings, vault: Vault, db: Executor, flow_id: str) -> str:
    """Returns the address senders are told now; '' while the flow has none."""
    token = hooks.current_token(db, vault, flow_id)
    return "" if token is None else address_of(settings, token)


def ticking_kind(registry: Registry, definition: FlowDefinition) -> str | None:
    """Returns `poll` or `schedule` for a flow that the clock starts; None for the others."""
    trigger = definition.trigger
    if isinstance(trigger, ScheduleTrigger):
        return "schedule"
    if isinstance(trigger, PollTrigger):
        return "poll"
    if isinstance(trigger, ConnectorTrigger):
        found = registry.find_trigger(trigger.connector, trigger.trigger)
        return "poll" if found is not None and found.kind == "poll" else None
    return None


def is_webhook(registry: Registry, definition: FlowDefinition) -> bool:
    """Says whether deliveries start the flow."""
    trigger = definition.trigger
    if isinstance(trigger, ConnectorTrigger):
        return ticking_kind(registry, definition) is None
    return isinstance(trigger, WebhookTrigger)


def interval_of(registry: Registry, definition: FlowDefinition) -> int:
    """Returns the seconds between two polls; 0 for other triggers."""
    trigger = definition.trigger
    if isinstance(trigger, PollTrigger):
        return trigger.every_s
    if isinstance(trigger, ConnectorTrigger):
        found = registry.find_trigger(trigger.connector, trigger.trigger)
        if found is not None and found.kind == "poll":
            return max(trigger.every_s or int(found.every), int(found.at_least))
    return 0


def first_fire(definition: FlowDefinition, now: datetime) -> datetime | None:
    """Returns when the schedule of a flow fires next, None for never."""
    trigger = definition.trigger
    assert isinstance(trigger, ScheduleTrigger)
    return next_fire(trigger.when, definition.time_zone, now)


def follow(
    registry: Registry, db: Connection, flow: FlowRow, before: FlowDefinition | None, now: datetime
) -> None:
    """Keeps the clock's row of the flow up with its draft, which goes live in this transaction; `before`:
    what was live.  A poll keeps its cursor and what it has seen unless it looks elsewhere now."""
    kind = ticking_kind(registry, flow.draft)
    if kind is None:
        triggers.switch_trigger(db, flow.id, False)
        return
    if kind == "poll" and before is not None and _is_elsewhere(registry, before, flow.draft):
        triggers.forget_seeds(db, flow.id)
        events.forget_polled(db, flow.id)
    triggers.put_trigger(
        db,
        flow.id,
        kind=kind,
        is_on=flow.is_on,
        interval_s=interval_of(registry, flow.draft),
        next_due_at=_next_due(registry, db, flow, before, now) if flow.is_on else None,
    )


def _next_due(
    registry: Registry, db: Connection, flow: FlowRow, before: FlowDefinition | None, now: datetime
) -> datetime | None:
    """A schedule that did not change keeps the moment it waits for, even one that has just passed."""
    row = triggers.get_trigger(db, flow.id)
    planned = row.next_due_at if row is not None and row.is_on else None
    draft = flow.draft
    if isinstance(draft.trigger, ScheduleTrigger):
        same = before is not None and before.time_zone == draft.time_zone and _when(before) == _when(draft)
        return planned if same and planned is not None else first_fire(draft, now)
    latest = now + timedelta(seconds=interval_of(registry, draft))
    if before is None or _is_elsewhere(registry, before, draft):
        return now
    return min(planned, latest) if planned is not None else now


def _when(definition: FlowDefinition) -> str:
    return definition.trigger.when if isinstance(definition.trigger, ScheduleTrigger) else ""


def _is_elsewhere(registry: Registry, before: FlowDefinition, after: FlowDefinition) -> bool:
    return _source(registry, before) != _source(registry, after)


def _source(registry: Registry, definition: FlowDefinition) -> tuple[object, ...]:
    """Returns what a poll looks at.  A changed filter or page size is the same source; another address,
    kind of record or account is another one, whose old records must not fire."""
    trigger = definition.trigger
    if isinstance(trigger, PollTrigger):
        address = trigger.request.url.value.split("?", 1)[0]
        return ("poll", trigger.request.method, address, trigger.request.connection_id)
    if not isinstance(trigger, ConnectorTrigger):
        return (trigger.kind,)
    found = registry.find_trigger(trigger.connector, trigger.trigger)
    reads_all = getattr(found, "reads", "answer") != "answer"
    # A feed or a mailbox gives all it has, so that with other inputs all of it would seem new.
    inputs = {name: one.model_dump() for name, one in trigger.input.items()} if reads_all else None
    return ("connector", trigger.connector, trigger.trigger, trigger.connection_id, inputs)
