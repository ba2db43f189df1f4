"""Cancelling all runs that wait, of a flow or of what a list of runs is narrowed to."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.clock import Clock
from app.errors import FlowInvalid
from app.ids import new_id
from app.storage.database.db import Database
from app.storage.history.runs import count_by_reason
from app.storage.letters import orders as bulk_orders
from app.storage.people import audit

WAITING = ("queued", "waiting")


def cancel_waiting(
    database: Database, clock: Clock, narrowed: dict[str, Any], *, by: str | None = None
) -> str:
    """`narrowed`: as `runs_page` takes it, but for the paging; only what waits is cancelled, and only
    what is there now.  The id of the order."""
    now = clock.now()
    wanted = {
        "flow_id": narrowed.get("flow_id"),
        "states": [state for state in WAITING if state in narrowed.get("states", WAITING)],
        "since": narrowed.get("since"),
        "until": narrowed.get("until"),
        "text": narrowed.get("text", ""),
    }
    return database.write(lambda db: _order(db, wanted, by, now))


def _order(db: Connection, wanted: dict[str, Any], by: str | None, now: datetime) -> str:
    place = new_id("run")  # what comes from now on has a later one
    number = sum(count_by_reason(db, **wanted, before=place).values()) if wanted["states"] else 0
    if not number:
        raise FlowInvalid("Nothing waits any more.", remedy="It has ended or begun meanwhile.")
    moments = {name: wanted[name].isoformat() if wanted[name] else None for name in ("since", "until")}
    flow_id = wanted["flow_id"] or ""
    order_id = bulk_orders.give_order(
        db,
        what="cancel",
        by=by or None,
        created_at=now,
        narrowed=wanted | moments,
        flow_id=flow_id,
        total=number,
        after=place,
    )
    detail = {"order": order_id, "number": number, "text": wanted["text"]}
    audit.record(
        db,
        now=now,
        user_id=by,
        action="cancelled all that waits",
        noun="flow",
        noun_id=flow_id,
        detail=detail,
    )
    return order_id
