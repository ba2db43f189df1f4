"""Everything is held at once: after a restore nothing is sent until a person says so.

The work that was done since the backup would be done a second time.  So each flow is held, its open
runs lie down with a sentence, and its polls and schedules are not begun; they stay due and are caught
up with.  Deliveries are accepted and kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from app.storage.database.executor import Executor
from app.storage.database.server_values import get_value, put_value
from app.storage.tables.models import Flow, Run

_NAME = "standstill"
_WAYS_ON = "Release its flow to let it go on, or cancel it."


@dataclass(frozen=True, slots=True)
class HeldFlow:
    id: str
    name: str
    waiting: int


@dataclass(frozen=True, slots=True)
class Standstill:
    """`backup_of`: when the backup was made that was restored; None = held by hand."""

    since: datetime
    backup_of: datetime | None
    flows: list[HeldFlow]

    @property
    def waiting(self) -> int:
        return sum(flow.waiting for flow in self.flows)


def hold_everything(db: Connection, *, now: datetime, backup_of: datetime | None = None) -> int:
    """Flows that a person held before stay so when the standstill ends.  How many runs lie down."""
    held = _ids(db, Flow.deleted_at.is_(None), Flow.is_held.is_(False))
    db.execute(update(Flow).where(Flow.id.in_(held)).values(is_held=True))
    before = get_value(db, _NAME) or {}
    facts = {
        "since": now.isoformat(),
        "backup_of": backup_of.isoformat() if backup_of is not None else None,
        "flows": sorted({*held, *before.get("flows", [])}),
    }
    put_value(db, _NAME, facts)
    # Those that would go on by themselves; who waits for a person or a connection does so already.
    sentence = _sentence(backup_of)
    goes_on = Run.state.in_(("queued", "running")) | ((Run.state == "waiting") & Run.wake_at.is_not(None))
    values = {"state": "waiting", "reason": "held_flow", "wake_at": None, "sentence": sentence}
    return db.execute(update(Run).where(goes_on).values(**values)).rowcount


def _sentence(backup_of: datetime | None) -> str:
    if backup_of is None:
        return f"Everything was held while this run was under way. {_WAYS_ON}"
    return (
        f"This run was under way when the backup of {backup_of:%d %b %Y, %H:%M} UTC was made. What it has "
        f"sent since then is not known here, and would be sent again. {_WAYS_ON}"
    )


def get_standstill(db: Executor) -> Standstill | None:
    """None when nothing is held any more."""
    kept = get_value(db, _NAME)
    if not kept or not kept["flows"]:
        return None
    still = select(Flow.id, Flow.name).where(
        Flow.id.in_(kept["flows"]), Flow.is_held, Flow.deleted_at.is_(None)
    )
    rows = db.execute(still.order_by(Flow.name)).all()
    if not rows:
        return None
    waiting = _waiting(db, [row.id for row in rows])
    flows = [HeldFlow(row.id, row.name, waiting.get(row.id, 0)) for row in rows]
    backup_of = datetime.fromisoformat(kept["backup_of"]) if kept.get("backup_of") else None
    return Standstill(datetime.fromisoformat(kept["since"]), backup_of, flows)


def stands_still(db: Executor) -> set[str]:
    """Flows whose polls and schedules are not begun now."""
    kept = get_value(db, _NAME)
    return set(_ids(db, Flow.id.in_(kept["flows"]), Flow.is_held)) if kept and kept["flows"] else set()


def let_go(db: Connection, flow_id: str) -> None:
    """The flow is released, or was by another way: it no longer belongs to the standstill."""
    kept = get_value(db, _NAME)
    if kept and flow_id in kept["flows"]:
        kept["flows"].remove(flow_id)
        put_value(db, _NAME, kept)


def _waiting(db: Executor, flow_ids: list[str]) -> dict[str, int]:
    query = (
        select(Run.flow_id, func.count())
        .where(Run.flow_id.in_(flow_ids), Run.state == "waiting", Run.reason == "held_flow")
        .group_by(Run.flow_id)
    )
    return {row[0]: row[1] for row in db.execute(query)}


def _ids(db: Executor, *where: Any) -> list[str]:
    return [row[0] for row in db.execute(select(Flow.id).where(*where))]
