"""How the last runs of every flow stand: one question for the whole list of flows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import aliased

from app.states import NoReason, RunState, WaitReason
from app.storage.database.executor import Executor
from app.storage.tables.models import Flow, Run


@dataclass(frozen=True, slots=True)
class LastRun:
    state: RunState
    reason: WaitReason | NoReason


def last_runs(db: Executor, *, limit: int) -> dict[str, list[LastRun]]:
    """Flow -> its last runs, the oldest of them first.  Reads no more rows than it gives."""
    newer = aliased(Run)
    last = select(newer.id).where(newer.flow_id == Flow.id).order_by(newer.id.desc()).limit(limit)
    query = (
        select(Run.flow_id, Run.state, Run.reason)
        .select_from(Flow)
        .join(Run, Run.id.in_(last.correlate(Flow)))
        .where(Flow.deleted_at.is_(None))
        .order_by(Run.id)
    )
    found: dict[str, list[LastRun]] = defaultdict(list)
    for flow_id, state, reason in db.execute(query):
        found[flow_id].append(LastRun(state, reason))
    return found
