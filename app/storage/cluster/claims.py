"""Which process performs which run, where several share a database.

A run is claimed while it is queued, and released in the transaction that ends it or lays it down.  The
claims of a process that has gone silent are given up together with its entry among the processes:
from then on nothing that it still tries to write is committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, text, update

from app.storage.database.executor import Executor
from app.storage.database.queued import note_queued
from app.storage.tables.models import Claim, Process, Run
from app.storage.tables.types import unpack

# These belong to each group that is committed, so they go to the driver as they stand.
_TAKE = (
    "WITH open AS (SELECT id FROM runs WHERE id = ANY(%(ids)s) AND state = 'queued'"
    " ORDER BY id FOR NO KEY UPDATE), taken AS (INSERT INTO claims (run_id, process_id)"
    " SELECT id, %(process)s FROM open ON CONFLICT (run_id) DO NOTHING RETURNING run_id)"
    " SELECT runs.id, flow_id, version_id, event_id,"
    " (started_at IS NOT NULL OR crashes > 0 OR replay_of IS NOT NULL) AS began,"
    " (SELECT payload FROM events WHERE events.id = runs.event_id) AS payload"
    " FROM taken JOIN runs ON runs.id = taken.run_id ORDER BY runs.id"
)
_RELEASE = "DELETE FROM claims WHERE run_id = ANY(%(ids)s)"


@dataclass(frozen=True, slots=True)
class Claimed:
    """`began`: something of it may have happened before."""

    run_id: str
    flow_id: str
    version_id: str
    event_id: str
    began: bool
    payload: bytes | None


def take(db: Connection, process_id: str, run_ids: Sequence[str]) -> list[Claimed]:
    """Those of the runs that are queued and nobody's, oldest first; they are this process's now."""
    rows = db.exec_driver_sql(_TAKE, {"ids": list(run_ids), "process": process_id})
    return [
        Claimed(row[0], row[1], row[2], row[3], row[4], None if row[5] is None else unpack(row[5]))
        for row in rows
    ]


def release(db: Connection, run_ids: Sequence[str]) -> None:
    db.exec_driver_sql(_RELEASE, {"ids": list(run_ids)})


def claimed_by(db: Executor, process_id: str) -> list[tuple[str, str, str, str]]:
    """Id, flow, version and event of the runs a process holds."""
    query = (
        select(Run.id, Run.flow_id, Run.version_id, Run.event_id)
        .join(Claim, Claim.run_id == Run.id)
        .where(Claim.process_id == process_id)
    )
    return [(row[0], row[1], row[2], row[3]) for row in db.execute(query)]


def owner_of(db: Executor, run_id: str) -> str | None:
    return db.execute(select(Claim.process_id).where(Claim.run_id == run_id)).scalar_one_or_none()


def give_up(db: Connection, process_id: str, *, crashed: bool) -> list[str]:
    """The process is gone: its runs are queued again, and it is fenced.  `crashed`: each run that was
    under way has lived through one more stop.  The ids of the runs."""
    db.execute(delete(Process).where(Process.id == process_id))
    held = select(Claim.run_id).where(Claim.process_id == process_id)
    counted = {"crashes": Run.crashes + 1} if crashed else {}
    db.execute(update(Run).where(Run.id.in_(held), Run.state == "running").values(state="queued", **counted))
    query = select(Run.id).where(Run.id.in_(held), Run.state == "queued").order_by(Run.id)
    run_ids = list(db.scalars(query))
    db.execute(delete(Claim).where(Claim.process_id == process_id))
    note_queued(db, run_ids, after_stop=crashed)
    return run_ids


def unclaimed(db: Executor, *, limit: int) -> list[str]:
    """Runs that are queued or under way by the record, and nobody's."""
    query = (
        select(Run.id)
        .join(Claim, Claim.run_id == Run.id, isouter=True)
        .where(Run.state.in_(("queued", "running")), Claim.run_id.is_(None))
        .order_by(Run.id)
        .limit(limit)
    )
    return list(db.execute(query).scalars())


def orphaned(db: Executor) -> list[str]:
    """Processes that hold claims and are not there any more."""
    query = select(Claim.process_id).distinct()
    gone = query.where(Claim.process_id.not_in(select(Process.id)))
    return list(db.execute(gone).scalars())


def keep_open(db: Connection, process_id: str, run_ids: Sequence[str]) -> list[str]:
    """Of runs that a process holds without performing them: those it has to go on with.  Claims of
    those that have ended or wait are dropped."""
    mine = select(Claim.run_id).where(Claim.process_id == process_id, Claim.run_id.in_(run_ids))
    open_ids = list(db.scalars(select(Run.id).where(Run.id.in_(mine), Run.state.in_(("queued", "running")))))
    done = delete(Claim).where(Claim.process_id == process_id, Claim.run_id.in_(run_ids))
    db.execute(done.where(Claim.run_id.not_in(open_ids)))
    return open_ids


def requeue(db: Connection, run_ids: Sequence[str]) -> list[str]:
    """Runs that nobody has, queued; the ids of those that are still open."""
    query = select(Run.id).where(Run.id.in_(run_ids), Run.state.in_(("queued", "running"))).with_for_update()
    open_ids = list(db.scalars(query))
    free = Run.id.not_in(select(Claim.run_id))
    db.execute(update(Run).where(Run.id.in_(open_ids), free).values(state="queued"))
    return open_ids


_OLDEST = text("SELECT min(id) FROM procrastinate_jobs WHERE queue_name = :queue")
_NEWEST = text("SELECT last_value FROM procrastinate_jobs_id_seq")
_WAITING = text("SELECT count(*) FROM procrastinate_jobs WHERE queue_name = :queue AND status = 'todo'")
_STALLED = text(
    "SELECT count(*) FROM procrastinate_jobs j LEFT JOIN procrastinate_workers w ON w.id = j.worker_id"
    " WHERE j.status = 'doing' AND (w.id IS NULL OR w.last_heartbeat < now() - make_interval(secs => :after))"
)


def stalled_jobs(db: Executor, after_s: float) -> int:
    """Jobs whose worker is gone or silent."""
    return int(db.execute(_STALLED, {"after": after_s}).scalar_one())


def oldest_job(db: Executor, queue: str) -> int | None:
    """The number of the oldest job that is still there."""
    oldest: int | None = db.execute(_OLDEST, {"queue": queue}).scalar_one()
    return oldest


def newest_job(db: Executor) -> int:
    """The number given last, whether that job is still there or not."""
    return int(db.execute(_NEWEST).scalar_one())


def waiting_jobs(db: Executor, queue: str) -> int:
    return int(db.execute(_WAITING, {"queue": queue}).scalar_one())
