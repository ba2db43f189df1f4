"""What a service has to be told for a flow, as rows: written where the flow changes, done by the clock.

A flow that goes on, off, or to another form, account or address says so in its own transaction; the
calls to the service come afterwards, so that a crash between the two forgets nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from app.catalog.format.definition import WebhookTrigger as ServiceTrigger
from app.catalog.registry import Registry
from app.engine.runtime import Runtime
from app.errors import FlowInvalid, NotFound
from app.flows.model import ConnectorTrigger, FlowDefinition
from app.storage.database.executor import Executor
from app.storage.flows import flows, hooks
from app.storage.flows import subscriptions as store
from app.storage.flows.subscriptions import SubscriptionRow, Told, place_of

_SECRET_BYTES = 32
_ASKS = ("connector", "trigger", "connection_id", "input")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the service has to know: which of its events go where."""

    trigger: ConnectorTrigger
    service: ServiceTrigger
    hook_id: str
    address: str

    def is_met_by(self, row: SubscriptionRow) -> bool:
        return row.place == place_of(self.address) and asked_for(row.trigger) == asked_for(
            stored(self.trigger)
        )


def service_trigger(registry: Registry, trigger: Any) -> ServiceTrigger | None:
    """Of a trigger whose service can be told by Plumbline itself."""
    if not isinstance(trigger, ConnectorTrigger):
        return None
    found = registry.find_trigger(trigger.connector, trigger.trigger)
    is_told = isinstance(found, ServiceTrigger) and found.subscribe.create is not None
    return found if is_told and isinstance(found, ServiceTrigger) else None


def is_told(registry: Registry, definition: FlowDefinition) -> bool:
    return service_trigger(registry, definition.trigger) is not None


def stored(trigger: ConnectorTrigger) -> dict[str, Any]:
    return trigger.model_dump(mode="json")


def asked_for(trigger: dict[str, Any]) -> dict[str, Any]:
    """The part of a trigger that the service hears of."""
    return {name: trigger.get(name) for name in _ASKS}


# --------------------------------------------------------------------------- in the transaction


def settle(parts: Runtime, db: Connection, flow_id: str, now: datetime) -> None:
    """What is wanted and what there is, made to agree; to be called with every change of the flow."""
    wanted = _wanted(parts, db, flow_id)
    met = False
    for row in store.of_flow(db, flow_id):
        if row.state in (*store.ENDED, "leaving"):
            continue
        if wanted is not None and not met and wanted.is_met_by(row):
            met = True
            _go_on(db, row, now)
        else:
            _end(db, row, now)
    if wanted is not None and not met:
        secret = secrets.token_hex(_SECRET_BYTES) if wanted.service.subscribe.makes_secret else ""
        store.add_subscription(
            db,
            flow_id,
            connection_id=wanted.trigger.connection_id,
            trigger=stored(wanted.trigger),
            hook_id=wanted.hook_id,
            told=Told(wanted.address, secret),
            vault=parts.vault,
            now=now,
        )


def _wanted(parts: Runtime, db: Executor, flow_id: str) -> Wanted | None:
    try:
        flow = flows.get_flow(db, flow_id)
    except NotFound:
        return None
    live = flows.live_definition(db, flow_id)
    if live is None or not flow.is_on or not isinstance(live.trigger, ConnectorTrigger):
        return None
    service = service_trigger(parts.registry, live.trigger)
    hook = hooks.current_hook(db, parts.vault, flow_id)
    if service is None or hook is None:
        return None
    return Wanted(live.trigger, service, hook.id, f"{parts.settings.base_url}/hooks/{hook.token}")


def _go_on(db: Connection, row: SubscriptionRow, now: datetime) -> None:
    """The flow was published or switched anew: what was refused is tried at once."""
    if row.state in ("refused", "unsure", "making"):
        store.change(db, row.id, next_at=now, tries=0)


def _end(db: Connection, row: SubscriptionRow, now: datetime) -> None:
    """One that no service heard of simply goes."""
    was_told = row.vendor_id or row.state in ("making", "live", "unsure")
    is_idle = row.lease_until is None
    if row.state == "asked" and not was_told and is_idle:
        store.remove(db, [row.id])
    elif row.state == "by_hand" or (not was_told and is_idle):
        store.change(db, row.id, state="gone", ended_at=now, next_at=None)
    else:
        values = {"state": "leaving", "next_at": now, "tries": 0, "sentence": "", "remedy": ""}
        store.change(db, row.id, **values, error_kind="")


def settle_all(parts: Runtime, now: datetime) -> int:
    """After a start: the public address, a connector's files or the clock may have changed meanwhile.
    Only flows that a service was told of before are looked at."""
    with parts.database.read() as db:
        known = store.flows_in_use(db)
    for flow_id in known:
        parts.database.write(partial(_settle_one, parts, flow_id, now))
    return len(known)


def _settle_one(parts: Runtime, flow_id: str, now: datetime, db: Connection) -> None:
    settle(parts, db, flow_id, now)


# ------------------------------------------------------------------------------ what a person says


def ask_again(db: Connection, flow_id: str, now: datetime) -> None:
    """Lets the service be asked at once, by whoever ticks.  Raises FlowInvalid where it was never told."""
    row = _current(db, flow_id)
    state = "asked" if row.state in ("unsure", "by_hand") else row.state
    store.change(db, row.id, state=state, next_at=now, tries=0)


def leave_to_person(db: Connection, flow_id: str) -> None:
    """Notes that a person set it up at the service and ends it there too.  Raises FlowInvalid where the
    service sends already, or was never told."""
    row = _current(db, flow_id)
    if row.state not in ("refused", "unsure", "asked"):
        raise FlowInvalid("The service sends already; nothing has to be set up by hand.")
    values = {"state": "by_hand", "next_at": None, "sentence": "", "remedy": "", "error_kind": ""}
    store.change(db, row.id, **values)


def connection_mended(parts: Runtime, connection_id: str) -> None:
    """What was refused on account of the connection is tried again."""
    now = parts.clock.now()

    def work(db: Connection) -> None:
        for row in store.of_connection(db, connection_id):
            if row.error_kind:
                store.change(db, row.id, next_at=now, tries=0)

    parts.database.write(work)


def _current(db: Executor, flow_id: str) -> SubscriptionRow:
    row = store.current(db, flow_id)
    if row is None:
        raise FlowInvalid(
            "The service of this flow's trigger was not told anything.", remedy="Switch the flow on."
        )
    return row
