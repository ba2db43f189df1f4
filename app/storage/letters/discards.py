"""Dead letters that a person put away, each with the reason; kept longer than the run itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from app.storage.database.executor import Executor
from app.storage.history.rows import clean, settle
from app.storage.tables.models import Discard, Flow, Run, User

LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class DiscardRow:
    """`is_there`: the run is still in the history."""

    run_id: str
    flow_id: str
    flow_name: str
    at: datetime
    by_name: str
    reason: str
    label: str
    is_there: bool


def discard(
    db: Connection, run_ids: Sequence[str], *, reason: str, by: str | None, now: datetime
) -> list[str]:
    """Those of the runs that were dead letters until now."""
    facts = select(Run.id, Run.flow_id, Run.label).where(Run.id.in_(run_ids), Run.settled_at.is_(None))
    found = db.execute(facts.where(Run.state.in_(("failed", "dead"))).order_by(Run.id)).all()
    if not found:
        return []
    ids = [row.id for row in found]
    settle(db, ids, now=now)
    db.execute(delete(Discard).where(Discard.run_id.in_(ids)))  # it was taken up again since
    rows = [
        {"run_id": row.id, "flow_id": row.flow_id, "label": row.label, "at": now, "by": by, "reason": reason}
        for row in found
    ]
    db.execute(insert(Discard), rows)
    return ids


def take_back(db: Connection, run_id: str) -> None:
    db.execute(delete(Discard).where(Discard.run_id == run_id))


def get_discard(db: Executor, run_id: str) -> DiscardRow | None:
    return next(iter(_rows(db, Discard.run_id == clean(run_id), limit=1)), None)


def discards(
    db: Executor, *, before: tuple[datetime, str] | None = None, limit: int = 50
) -> list[DiscardRow]:
    """The newest first; `before`: the moment and run of the last one shown."""
    if before is None:
        return _rows(db, limit=limit)
    at, run_id = before
    return _rows(db, (Discard.at < at) | ((Discard.at == at) & (Discard.run_id < clean(run_id))), limit=limit)


def _rows(db: Executor, *where: object, limit: int) -> list[DiscardRow]:
    query = (
        select(Discard.run_id, Discard.flow_id, Flow.name, Discard.at, User.name, Discard.reason)
        .add_columns(Discard.label, Run.id.is_not(None))
        .join(Flow, Flow.id == Discard.flow_id, isouter=True)
        .join(User, User.id == Discard.by, isouter=True)
        .join(Run, Run.id == Discard.run_id, isouter=True)
        .where(*where)  # type: ignore[arg-type]
        .order_by(Discard.at.desc(), Discard.run_id.desc())
        .limit(limit)
    )
    return [
        DiscardRow(run_id, flow_id, flow or "", at, name or "", reason, label, bool(there))
        for run_id, flow_id, flow, at, name, reason, label, there in db.execute(query)
    ]
