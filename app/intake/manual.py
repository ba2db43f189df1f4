"""Starting a run by hand, or as a test, with data somebody gives."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Connection

from app.engine.dispatch.tickets import RunTicket
from app.engine.runtime import Runtime
from app.errors import FlowInvalid
from app.intake.labels import label_of
from app.intake.turns import give_places
from app.states import EventSource
from app.storage.flows import flows
from app.storage.history import events


def start_run(
    parts: Runtime, flow_id: str, payload: Any, *, by: str | None = None, source: EventSource = "manual"
) -> str:
    """One run of the live version, whether the flow is on or off; returns its id.  `source`:
    `manual` or `test`.  A held flow keeps it waiting, as it does all others."""
    now = parts.clock.now()
    document = _document(payload)

    def work(db: Connection) -> tuple[events.Arrival, str, bool]:
        flows.get_flow(db, flow_id)  # or there is no such flow
        live = flows.live_version(db, flow_id)
        if live is None:
            raise FlowInvalid(
                "This flow was never published, so there is nothing to run.",
                remedy="Publish it first.",
                flow=flow_id,
            )
        held = events.is_held(db, flow_id)
        new = events.arrival(payload, document, label_of(payload))
        give_places(live.definition, [new])
        rows = events.arrival_rows(
            [new],
            flow_id=flow_id,
            version_id=live.id,
            delivery_id=None,
            source=source,
            now=now,
            held=held,
        )
        events.write_all(db, rows)
        return new, live.id, held

    new, version_id, held = parts.database.write(work)
    if not held:
        parts.dispatcher.enqueue([RunTicket(new.run_id, flow_id, version_id, new.event_id, new.payload)])
    return new.run_id


def _document(payload: Any) -> bytes:
    try:
        return orjson.dumps(payload, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError) as reason:
        raise FlowInvalid("The data to start with is not a JSON document.") from reason
