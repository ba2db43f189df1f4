"""Dead letters: runs that failed and that nobody has dealt with yet, in groups by their cause."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text

from app.storage.database.executor import Executor
from app.storage.history.rows import COLUMNS, RunRow, clean, settle, with_facts
from app.storage.tables import models
from app.storage.tables.models import Discard, Flow, Run, User

# Not bound: the partial index is used only where the query repeats its condition.
DEAD_LETTER = text(models.DEAD_LETTER)
MOST_COUNTED = 10_000
_LONGEST_ABOUT = 120
_LEFT_OUT = re.compile(r"[|\s\x00]+")


@dataclass(frozen=True, slots=True)
class Cause:
    """What all that failed for the same reason share.  `about`: `api.example.com 422`, `field Email`."""

    flow_id: str
    step_id: str
    error_kind: str
    about: str


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    """`sentence`, `newest` and `version_id` are those of the run that failed last."""

    cause: str
    flow_id: str
    flow_name: str
    sentence: str
    count: int
    first_at: datetime
    last_at: datetime
    newest: str
    version_id: str

    @property
    def what(self) -> Cause:
        return parse_cause(self.cause)


def cause_of(flow_id: str, step_key: str | None, error_kind: str | None, about: str = "") -> str:
    """The same for each item of a loop, and for each version of the flow."""
    step = re.sub(r"\[\d+\]", "", step_key or "")
    plain = _LEFT_OUT.sub(" ", about.encode("utf-8", "replace").decode()).strip()
    return f"{flow_id}|{step}|{error_kind or ''}|{plain[:_LONGEST_ABOUT]}"


def parse_cause(cause: str) -> Cause:
    flow_id, step, kind, about = [*cause.split("|", 3), "", "", ""][:4]
    return Cause(flow_id, step.rsplit(".", 1)[-1], kind, about)


def groups(db: Executor, *, limit: int, flow_id: str | None = None) -> list[DeadLetterGroup]:
    """The one that grew last comes first."""
    query = _counted()
    if flow_id:
        query = query.where(Run.flow_id == flow_id)
    found = query.group_by(Run.cause).order_by(func.max(Run.id).desc()).limit(limit)
    return _with_newest(db, list(db.execute(found)))


def get_group(db: Executor, cause: str) -> DeadLetterGroup | None:
    """None when nothing is left of it."""
    rows = list(db.execute(_counted().where(Run.cause == clean_cause(cause)).group_by(Run.cause)))
    return next(iter(_with_newest(db, rows)), None)


def _counted() -> Any:
    moments = (func.min(Run.finished_at), func.max(Run.finished_at))
    return select(Run.cause, func.count(), *moments, func.max(Run.id)).where(DEAD_LETTER)


def _with_newest(db: Executor, rows: list[Any]) -> list[DeadLetterGroup]:
    query = select(Run.id, Run.sentence, Run.version_id, Run.flow_id, Flow.name)
    newest = query.join(Flow, Flow.id == Run.flow_id, isouter=True).where(
        Run.id.in_([row[4] for row in rows])
    )
    facts = {row[0]: row for row in db.execute(newest)}
    return [
        DeadLetterGroup(
            cause=cause,
            flow_id=facts[last].flow_id,
            flow_name=facts[last].name or "",
            sentence=facts[last].sentence,
            count=number,
            first_at=first_at,
            last_at=last_at,
            newest=last,
            version_id=facts[last].version_id,
        )
        for cause, number, first_at, last_at, last in rows
        if last in facts
    ]


def count(db: Executor, *, most: int = MOST_COUNTED) -> int:
    """How many lie here; counted up to `most`."""
    some = select(Run.id).where(DEAD_LETTER).limit(most).subquery()
    return db.execute(select(func.count()).select_from(some)).scalar_one()


def letters(
    db: Executor, cause: str, *, before: str | None = None, limit: int = 50
) -> tuple[list[RunRow], str | None]:
    """Of one cause, the newest first; and the `before` of the next page, None at the end."""
    query = select(*COLUMNS).where(DEAD_LETTER, Run.cause == clean_cause(cause))
    if before:
        query = query.where(Run.id < clean(before))
    rows = [RunRow(*row) for row in db.execute(query.order_by(Run.id.desc()).limit(limit + 1))]
    return with_facts(db, rows[:limit]), rows[limit - 1].id if len(rows) > limit else None


def clean_cause(words: str) -> str:
    """As it comes from an address: what the database takes."""
    return words[:500].replace("\x00", "").encode("utf-8", "replace").decode()


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
