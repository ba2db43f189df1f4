"""Bringing a flow to life: publishing, switching on and off, and the address it is reached at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from app.catalog.registry import Registry
from app.engine.holds import hold_flow, release_flow
from app.errors import FlowInvalid
from app.flows.model import ConnectorTrigger, FlowDefinition, PollTrigger, ScheduleTrigger, WebhookTrigger
from app.flows.review.flow import Problem, review
from app.intake.needs import Needs, Whole
from app.intake.schedule import next_fire
from app.intake.subscriptions.rows import settle
from app.storage.database.executor import Executor
from app.storage.flows import flows, hooks, triggers
from app.storage.flows.flows import FlowRow
from app.storage.flows.standstill import let_go
from app.storage.history import events
from app.storage.people import audit
from app.storage.tables.models import Connection as ConnectionRow

ROTATION_OVERLAP = timedelta(hours=24)


class PublishRefused(FlowInvalid):
    """`problems`: all that a person has to mend before the flow may go live."""

    def __init__(self, problems: list[Problem], flow_id: str) -> None:
        first = problems[0].sentence
        more = f" And {len(problems) - 1} more." if len(problems) > 1 else ""
        super().__init__(f"{first}{more}", remedy="Mend what is marked, then publish again.", flow=flow_id)
        self.problems = problems


# ---------------------------------------------------------------------------------- publishing


def problems_of(parts: Needs, definition: FlowDefinition) -> list[Problem]:
    with parts.database.read() as db:
        return review(definition, parts.registry, _connections(db))


def publish(parts: Whole, flow_id: str, *, by: str | None) -> int:
    """Make the draft the live version and return its number.  Runs under way stay on theirs; the
    poll's cursor and what it has seen stay too."""
    now = parts.clock.now()

    def work(db: Connection) -> int:
        flow = flows.get_flow(db, flow_id)
        _refuse_problems(parts.registry, db, flow)
        before = flows.live_definition(db, flow_id)
        version = flows.add_version(db, flow_id, flow.draft, by=by, now=now)
        _set_trigger(parts, db, flow, before, now)
        _ensure_hook(parts, db, flow_id, flow.draft, now)
        settle(parts, db, flow_id, now)
        _record(db, "published", flow_id, by, now, {"version": version.number})
        return version.number

    number = parts.database.write(work)
    parts.intake.forget(flow_id)
    return number


def _refuse_problems(registry: Registry, db: Connection, flow: FlowRow) -> None:
    problems = review(flow.draft, registry, _connections(db))
    blocking = [problem for problem in problems if problem.blocking]
    if blocking:
        raise PublishRefused(blocking, flow.id)


def _connections(db: Executor) -> dict[str, str]:
    rows = db.execute(select(ConnectionRow.id, ConnectionRow.connector))
    return {row.id: row.connector for row in rows}


# ----------------------------------------------------------------------------------- on and off


def switch_on(parts: Whole, flow_id: str, *, by: str | None) -> None:
    """Fires of a schedule that fell into the time it was off are not made up; records that a poll
    would have found in that time are found now."""
    now = parts.clock.now()

    def work(db: Connection) -> None:
        flow = flows.get_flow(db, flow_id)
        live = flows.live_definition(db, flow_id)
        if live is None:
            raise FlowInvalid(
                f"“{flow.name}” was never published.", remedy="Publish it, then switch it on.", flow=flow_id
            )
        if flow.is_on:
            return
        flows.set_on(db, flow_id, True, now=now)
        if (kind := ticking_kind(parts.registry, live)) is not None:
            due = now if kind == "poll" else first_fire(live, now)
            triggers.switch_trigger(db, flow_id, True, next_due_at=due)
        settle(parts, db, flow_id, now)
        _record(db, "switched on", flow_id, by, now)

    parts.database.write(work)
    parts.intake.forget(flow_id)


def switch_off(parts: Whole, flow_id: str, *, by: str | None) -> None:
    """No new runs; those under way end as they would have."""
    now = parts.clock.now()

    def work(db: Connection) -> None:
        if flows.get_flow(db, flow_id).is_on:
            flows.set_on(db, flow_id, False, now=now)
            triggers.switch_trigger(db, flow_id, False)
            settle(parts, db, flow_id, now)
            _record(db, "switched off", flow_id, by, now)

    parts.database.write(work)
    parts.intake.forget(flow_id)


def hold(parts: Whole, flow_id: str, *, by: str | None, reason: str = "") -> None:
    """Events are still taken and stored; their runs wait until the flow is released."""
    _note(parts, flow_id, "held", by, {"reason": reason} if reason else None)
    hold_flow(parts.database, flow_id, reason)
    parts.intake.forget(flow_id)


def release(parts: Whole, flow_id: str, *, by: str | None) -> int:
    """How many runs go on."""
    _note(parts, flow_id, "released", by)
    parts.database.write(lambda db: let_go(db, flow_id))
    released = release_flow(parts.database, parts.engine, flow_id)
    parts.intake.forget(flow_id)
    return released


def _note(
    parts: Needs, flow_id: str, action: str, by: str | None, detail: dict[str, str] | None = None
) -> None:
    now = parts.clock.now()

    def work(db: Connection) -> None:
        flows.get_flow(db, flow_id)
        _record(db, action, flow_id, by, now, detail)

    parts.database.write(work)


# ------------------------------------------------------------------------------------- trigger


def ticking_kind(registry: Registry, definition: FlowDefinition) -> str | None:
    """`poll` or `schedule` for a flow that the clock starts; None for the others."""
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
    trigger = definition.trigger
    if isinstance(trigger, ConnectorTrigger):
        return ticking_kind(registry, definition) is None
    return isinstance(trigger, WebhookTrigger)


def interval_of(registry: Registry, definition: FlowDefinition) -> int:
    """Seconds between two polls; 0 for other triggers."""
    trigger = definition.trigger
    if isinstance(trigger, PollTrigger):
        return trigger.every_s
    if isinstance(trigger, ConnectorTrigger):
        found = registry.find_trigger(trigger.connector, trigger.trigger)
        if found is not None and found.kind == "poll":
            return max(trigger.every_s or int(found.every), int(found.at_least))
    return 0


def first_fire(definition: FlowDefinition, now: datetime) -> datetime | None:
    trigger = definition.trigger
    assert isinstance(trigger, ScheduleTrigger)
    return next_fire(trigger.when, definition.time_zone, now)


def _set_trigger(
    parts: Needs, db: Connection, flow: FlowRow, before: FlowDefinition | None, now: datetime
) -> None:
    kind = ticking_kind(parts.registry, flow.draft)
    if kind is None:
        triggers.switch_trigger(db, flow.id, False)
        return
    if kind == "poll" and before is not None and _is_elsewhere(parts.registry, before, flow.draft):
        triggers.forget_seeds(db, flow.id)
        events.forget_polled(db, flow.id)
    triggers.put_trigger(
        db,
        flow.id,
        kind=kind,
        is_on=flow.is_on,
        interval_s=interval_of(parts.registry, flow.draft),
        next_due_at=_next_due(parts, db, flow, before, now) if flow.is_on else None,
    )


def _next_due(
    parts: Needs, db: Connection, flow: FlowRow, before: FlowDefinition | None, now: datetime
) -> datetime | None:
    """A schedule that did not change keeps the moment it waits for, even one that has just passed."""
    row = triggers.get_trigger(db, flow.id)
    planned = row.next_due_at if row is not None and row.is_on else None
    draft = flow.draft
    if isinstance(draft.trigger, ScheduleTrigger):
        same = before is not None and _timing(before) == _timing(draft)
        return planned if same and planned is not None else first_fire(draft, now)
    latest = now + timedelta(seconds=interval_of(parts.registry, draft))
    if before is None or _is_elsewhere(parts.registry, before, draft):
        return now
    return min(planned, latest) if planned is not None else now


def _timing(definition: FlowDefinition) -> tuple[str, str]:
    trigger = definition.trigger
    return (trigger.when if isinstance(trigger, ScheduleTrigger) else "", definition.time_zone)


def _is_elsewhere(registry: Registry, before: FlowDefinition, after: FlowDefinition) -> bool:
    return _source(before) != _source(after) or _whole(registry, before) != _whole(registry, after)


def _whole(registry: Registry, definition: FlowDefinition) -> object:
    """A feed or a mailbox gives all it has, so that at another address all of it would seem new."""
    trigger = definition.trigger
    if not isinstance(trigger, ConnectorTrigger):
        return None
    found = registry.find_trigger(trigger.connector, trigger.trigger)
    reads = getattr(found, "reads", "answer")
    return None if reads == "answer" else {name: one.model_dump() for name, one in trigger.input.items()}


def _source(definition: FlowDefinition) -> tuple[str, ...]:
    """What a poll looks at.  A changed filter or page size is the same source, another address, kind
    of record or account is another, whose old records must not fire."""
    trigger = definition.trigger
    if isinstance(trigger, PollTrigger):
        address = trigger.request.url.value.split("?", 1)[0]
        return ("poll", trigger.request.method, address, trigger.request.connection_id)
    if isinstance(trigger, ConnectorTrigger):
        return ("connector", trigger.connector, trigger.trigger, trigger.connection_id)
    return (trigger.kind,)


# ------------------------------------------------------------------------------------- address


def create_hook(parts: Whole, flow_id: str, *, by: str | None) -> str:
    """The flow's address; made if it has none."""
    now = parts.clock.now()

    def work(db: Connection) -> str:
        flows.get_flow(db, flow_id)
        token = hooks.current_token(db, parts.vault, flow_id)
        if token is None:
            token = hooks.create_hook(db, parts.vault, flow_id, now=now)
            _record(db, "address created", flow_id, by, now)
        return token

    return address(parts, parts.database.write(work))


def rotate_hook(parts: Whole, flow_id: str, *, by: str | None) -> str:
    """A new address; the old one works for another 24 hours."""
    now = parts.clock.now()

    def work(db: Connection) -> str:
        flows.get_flow(db, flow_id)
        hooks.retire_hooks(db, flow_id, at=now + ROTATION_OVERLAP)
        token = hooks.create_hook(db, parts.vault, flow_id, now=now)
        settle(parts, db, flow_id, now)
        _record(db, "address replaced", flow_id, by, now)
        return token

    token = parts.database.write(work)
    parts.intake.forget(flow_id)
    return address(parts, token)


def hook_address(parts: Whole, flow_id: str) -> str:
    """`http…/hooks/<token>`; made on first use."""
    with parts.database.read() as db:
        token = hooks.current_token(db, parts.vault, flow_id)
    return address(parts, token) if token is not None else create_hook(parts, flow_id, by=None)


def address(parts: Needs, token: str) -> str:
    return f"{parts.settings.base_url}/hooks/{token}"


def _ensure_hook(
    parts: Needs, db: Connection, flow_id: str, definition: FlowDefinition, now: datetime
) -> None:
    wanted = is_webhook(parts.registry, definition)
    if wanted and hooks.current_token(db, parts.vault, flow_id) is None:
        hooks.create_hook(db, parts.vault, flow_id, now=now)


def _record(
    db: Connection,
    action: str,
    flow_id: str,
    by: str | None,
    now: datetime,
    detail: Mapping[str, object] | None = None,
) -> None:
    audit.record(db, now=now, user_id=by, action=action, noun="flow", noun_id=flow_id, detail=detail)
