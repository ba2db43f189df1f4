"""The looks of poll triggers: what each found, or why it failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from app.errors import NotFound
from app.ids import new_id
from app.states import PollState
from app.storage.database.executor import Executor
from app.storage.database.writer import Row
from app.storage.tables.models import Call, Poll


@dataclass(frozen=True, slots=True)
class PollRow:
    """state: succeeded | failed | skipped (a schedule's fire that was passed over on purpose)."""

    id: str
    flow_id: str
    started_at: datetime
    finished_at: datetime | None
    state: PollState
    found: int
    new: int
    seeded: int
    sentence: str


def list_polls(db: Executor, flow_id: str, *, limit: int = 50, before: str = "") -> list[PollRow]:
    """The newest first; `before` is the last id of the page before."""
    query = select(*Poll.__table__.columns).where(Poll.flow_id == flow_id)
    if before:
        query = query.where(Poll.id < before)
    return [PollRow(**row._mapping) for row in db.execute(query.order_by(Poll.id.desc()).limit(limit))]


def get_poll(db: Executor, poll_id: str) -> PollRow:
    row = db.execute(select(*Poll.__table__.columns).where(Poll.id == poll_id)).one_or_none()
    if row is None:
        raise NotFound("This look is not in the history.", poll=poll_id)
    return PollRow(**row._mapping)


def add_poll(
    db: Connection,
    *,
    flow_id: str,
    state: PollState,
    started_at: datetime,
    finished_at: datetime,
    found: int = 0,
    new: int = 0,
    seeded: int = 0,
    sentence: str = "",
    poll_id: str = "",
) -> str:
    poll_id = poll_id or new_id("poll")
    values = {
        "id": poll_id,
        "flow_id": flow_id,
        "started_at": started_at,
        "finished_at": finished_at,
        "state": state,
        "found": found,
        "new": new,
        "seeded": seeded,
        "sentence": sentence,
    }
    db.execute(insert(Poll), values)
    return poll_id


def add_calls(db: Connection, poll_id: str, calls: list[Row]) -> None:
    """`calls`: the rows as the caller made them, in the order they were sent."""
    rows = [
        {**row, "made_for": poll_id, "number": number, "step_key": "trigger", "attempt": 1}
        for number, row in enumerate(calls, 1)
    ]
    if rows:
        db.execute(insert(Call), rows)
