"""What a person decides about dead letters: sent again or put away, one cause or some of it at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.clock import Clock
from app.engine.replay import Mode, WhichVersion
from app.errors import FlowInvalid, NotFound
from app.storage.database.db import Database
from app.storage.history.rows import clean
from app.storage.letters import orders as bulk_orders
from app.storage.letters.dead_letters import LONGEST_REASON, get_group, parse_cause
from app.storage.people import audit

MOST_CHOSEN = 5_000


def resend_group(
    database: Database,
    clock: Clock,
    cause: str,
    *,
    mode: Mode = "failed",
    version: WhichVersion = "same",
    by: str | None = None,
) -> str:
    """All dead letters of this cause that are there now.  The id of the order."""
    how = {"mode": mode, "version": version}
    return database.write(lambda db: _order_group(db, "replay", cause, by, clock.now(), how))


def discard_group(database: Database, clock: Clock, cause: str, *, reason: str, by: str | None = None) -> str:
    how = {"reason": _checked(reason)}
    return database.write(lambda db: _order_group(db, "discard", cause, by, clock.now(), how))


def resend_chosen(
    database: Database,
    clock: Clock,
    run_ids: Sequence[str],
    *,
    mode: Mode = "failed",
    version: WhichVersion = "same",
    by: str | None = None,
) -> str:
    how = {"mode": mode, "version": version}
    return database.write(lambda db: _order_chosen(db, "replay", run_ids, by, clock.now(), how))


def discard_chosen(
    database: Database, clock: Clock, run_ids: Sequence[str], *, reason: str, by: str | None = None
) -> str:
    how = {"reason": _checked(reason)}
    return database.write(lambda db: _order_chosen(db, "discard", run_ids, by, clock.now(), how))


def stop_order(database: Database, clock: Clock, order_id: str, *, by: str | None = None) -> bool:
    """What it has queued goes on; no more follows.  False when it was over already."""
    now = clock.now()

    def work(db: Connection) -> bool:
        order = bulk_orders.get_order(db, order_id)
        stopped = bulk_orders.end(db, order.id, "stopped", now=now)
        if stopped:
            detail = {"order": order.id, "done": order.done, "of": order.total}
            _record(db, f"stopped an order to {order.what}", order.flow_id, by, now, detail)
        return stopped

    return database.write(work)


def _order_group(
    db: Connection, what: str, cause: str, by: str | None, now: datetime, how: dict[str, Any]
) -> str:
    group = get_group(db, cause)
    if group is None:
        raise NotFound("Nothing is left of this group: somebody has dealt with all of it.")
    if bulk_orders.is_ordered(db, group.cause):
        raise FlowInvalid(
            "This group is being worked off already.", remedy="Wait for the order's end, or stop it first."
        )
    number, last = bulk_orders.count_letters(db, group.cause)
    values = {"cause": group.cause, "flow_id": group.flow_id, "upto": last, "total": number, **how}
    return _give(db, what, by, now, values)


def _order_chosen(
    db: Connection, what: str, run_ids: Sequence[str], by: str | None, now: datetime, how: dict[str, Any]
) -> str:
    ids = sorted({clean(run_id) for run_id in run_ids} - {""})
    if not ids:
        raise FlowInvalid("No run was selected.", remedy="Tick the runs first.")
    if len(ids) > MOST_CHOSEN:
        raise FlowInvalid(f"Select at most {MOST_CHOSEN:,} runs at a time.")
    flow_id = bulk_orders.common_flow(db, ids)
    return _give(db, what, by, now, {"chosen": ids, "flow_id": flow_id, "total": len(ids), **how})


def _give(db: Connection, what: str, by: str | None, now: datetime, values: dict[str, Any]) -> str:
    order_id = bulk_orders.give_order(db, what=what, by=by or None, created_at=now, **values)
    detail = {"order": order_id, "number": values["total"]}
    if cause := values.get("cause"):
        parts = parse_cause(cause)
        detail |= {"step": parts.step_id, "kind": parts.error_kind, "about": parts.about}
    detail |= {name: values[name] for name in ("mode", "version", "reason") if values.get(name)}
    said = "resent dead letters" if what == "replay" else "discarded dead letters"
    _record(db, said, values["flow_id"], by, now, detail)
    return order_id


def _record(
    db: Connection, action: str, flow_id: str, by: str | None, now: datetime, detail: dict[str, Any]
) -> None:
    audit.record(db, now=now, user_id=by, action=action, noun="flow", noun_id=flow_id, detail=detail)


def _checked(reason: str) -> str:
    words = reason.strip().replace("\x00", "")
    if not words:
        raise FlowInvalid(
            "Say why it is discarded.", where="reason", remedy="A few words: others will look for them."
        )
    if len(words) > LONGEST_REASON:
        raise FlowInvalid(f"Write at most {LONGEST_REASON} characters.", where="reason")
    return words.encode("utf-8", "replace").decode()
