"""What the job queue's tables say; they are written by their own package only."""

from __future__ import annotations

from sqlalchemy import text

from app.storage.database.executor import Executor

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
