"""One run as a row of the history, with the facts that are kept elsewhere; settling a failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Executable,
    exists,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import aliased
from sqlalchemy.sql.functions import FunctionElement

from app.errors import NotFound
from app.ids import id_floor
from app.states import EventSource, NoReason, RunState, WaitReason
from app.storage.database.executor import Executor
from app.storage.tables import models
from app.storage.tables.models import OPEN_STATES, Event, Flow, FlowVersion, Run, StepRecord
from app.storage.tables.types import to_ms

NEEDS_PERSON_REASONS: tuple[WaitReason, ...] = ("unknown", "held_connection", "held_flow")
LONGEST_TEXT = 200
# Not bound: a partial index is used only where the query repeats its condition.
UNSETTLED = text(models.UNSETTLED)
HELD = text(models.HELD)
IN_FLOW_INDEX = text(models.RARE_STATE)
_RUNS_START_SOON = timedelta(minutes=1)  # after their event; only replays come later


@dataclass(frozen=True, slots=True)
class RunRow:
    """`steps`: how many have a record.  `replayed_as`: the newest run made from this one."""

    id: str
    flow_id: str
    version_id: str
    event_id: str
    state: RunState
    reason: WaitReason | NoReason
    wake_at: datetime | None
    label: str
    source: EventSource
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    position: str | None
    waits_for: str | None
    crashes: int
    error_kind: str | None
    sentence: str
    findings: int
    calls: int
    replay_of: str | None
    settled_at: datetime | None
    cause: str | None
    flow_name: str = ""
    version_number: int | None = None
    steps: int = 0
    replayed_as: str | None = None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def needs_person(self) -> bool:
        """Nothing goes on before somebody decides."""
        if self.state == "waiting":
            return self.reason in NEEDS_PERSON_REASONS
        is_left = self.settled_at is None and self.replayed_as is None and self.source != "test"
        return self.state in ("failed", "dead") and is_left

    @property
    def took(self) -> timedelta | None:
        return self.finished_at - self.created_at if self.finished_at else None


STORED = [name for name in RunRow.__dataclass_fields__ if name in Run.__table__.columns]
COLUMNS = [getattr(Run, name) for name in STORED]


def clean(words: str) -> str:
    """What a database takes: no NUL, no half of a surrogate pair."""
    return words.strip()[:LONGEST_TEXT].replace("\x00", "").encode("utf-8", "replace").decode()


def unindexed(column: Any) -> ColumnElement[str]:
    """The column in a comparison that shall not choose the index: another range is walked."""
    return cast("ColumnElement[str]", column.op("||")(""))


class Says(FunctionElement[bool]):
    """The column holds this text, in capitals or not; three times as fast on SQLite as `ilike`, which
    calls `lower` on every row."""

    inherit_cache = True
    type = Boolean()

    def __init__(self, column: Any, words: str) -> None:
        escaped = words.replace("/", "//").replace("%", "/%").replace("_", "/_")
        super().__init__(column, literal(f"%{escaped}%"))


@compiles(Says)
def _says(element: Says, compiler: Any, **how: Any) -> str:
    column, pattern = (compiler.process(part, **how) for part in element.clauses)
    return f"{column} {'LIKE' if compiler.dialect.name == 'sqlite' else 'ILIKE'} {pattern} ESCAPE '/'"


def not_replayed(run: Any) -> ColumnElement[bool]:
    again = aliased(Run)
    return ~exists().where(again.replay_of == run.id)


def runs_of_event(db: Executor, event_id: str, *, limit: int = 50) -> list[RunRow]:
    """The newest first: the run that the event started when it came, and all its replays."""
    received = db.execute(select(Event.received_at).where(Event.id == event_id)).scalar_one_or_none()
    if received is None:
        return []
    low = id_floor("run", to_ms(received))
    high = id_floor("run", to_ms(received + _RUNS_START_SOON))
    first = select(Run.id).where(Run.id >= low, Run.id < high, Run.event_id == event_id).limit(limit)
    ids = list(db.execute(first).scalars())
    new = ids
    while new and len(ids) < limit:
        new = list(db.execute(select(Run.id).where(Run.replay_of.in_(new)).limit(limit)).scalars())
        ids += new
    rows = db.execute(select(*COLUMNS).where(Run.id.in_(ids[:limit])).order_by(Run.id.desc()))
    return [RunRow(*row) for row in rows]


def get_row(db: Executor, run_id: str) -> RunRow:
    row = db.execute(select(*COLUMNS).where(Run.id == clean(run_id))).one_or_none()
    if row is None:
        raise NotFound(
            "This run is not in the history.",
            remedy="It may have been removed because it was too old, or the address is incomplete.",
            run=run_id,
        )
    return with_facts(db, [RunRow(*row)])[0]


def with_facts(db: Executor, rows: list[RunRow]) -> list[RunRow]:
    """What is kept elsewhere: the flow's name, the version's number, steps and replays."""
    ids = [row.id for row in rows]
    names = _pairs(db, select(Flow.id, Flow.name).where(Flow.id.in_({row.flow_id for row in rows})))
    versions = {row.version_id for row in rows}
    numbers = _pairs(db, select(FlowVersion.id, FlowVersion.number).where(FlowVersion.id.in_(versions)))
    steps = select(StepRecord.run_id, func.count()).where(StepRecord.run_id.in_(ids))
    counted = _pairs(db, steps.group_by(StepRecord.run_id))
    again = select(Run.replay_of, func.max(Run.id)).where(Run.replay_of.in_(ids))
    replays = _pairs(db, again.group_by(Run.replay_of))
    return [
        replace(
            row,
            flow_name=names.get(row.flow_id, ""),
            version_number=numbers.get(row.version_id),
            steps=counted.get(row.id, 0),
            replayed_as=replays.get(row.id),
        )
        for row in rows
    ]


def _pairs(db: Executor, query: Executable) -> dict[Any, Any]:
    return {row[0]: row[1] for row in db.execute(query)}


# ------------------------------------------------------------------------------------- settling


def settle(db: Connection, run_ids: Sequence[str], *, now: datetime) -> int:
    """These failures need nothing more: a person dealt with them.  How many were not settled yet."""
    query = update(Run).where(
        Run.id.in_(run_ids), Run.state.in_(("failed", "dead")), Run.settled_at.is_(None)
    )
    return db.execute(query.values(settled_at=now)).rowcount


def stopped_of(db: Executor, run_ids: Sequence[str]) -> list[str]:
    """Those of these runs that came to a bad end."""
    wanted = sorted({clean(run_id) for run_id in run_ids})
    query = select(Run.id).where(Run.id.in_(wanted), Run.state.in_(("failed", "dead")))
    return list(db.execute(query.order_by(Run.id)).scalars())


def unsettle(db: Connection, run_id: str) -> None:
    db.execute(update(Run).where(Run.id == run_id).values(settled_at=None))


def same_cause(db: Executor, run: RunRow, *, limit: int = 500) -> list[str]:
    """Ids of the failed runs that stopped at the same step for the same kind of reason and that
    nobody has dealt with, the newest first, without this one."""
    query = (
        select(Run.id)
        .where(UNSETTLED, Run.id != run.id, Run.flow_id == run.flow_id, Run.position == run.position)
        .where(Run.error_kind == run.error_kind, Run.source != "test", not_replayed(Run))
        .order_by(Run.id.desc())
    )
    return list(db.execute(query.limit(limit)).scalars())
