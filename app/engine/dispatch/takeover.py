"""What the leader does for runs whose worker is gone, and for those that no job will ever bring."""

from __future__ import annotations

import asyncio
import logging
import time

from app.engine.dispatch.jobs import QUEUE, retry_stalled
from app.log import fields
from app.storage.cluster import claims, processes
from app.storage.cluster.claims import newest_job, oldest_job, stalled_jobs
from app.storage.database.db import Database
from app.storage.database.queued import note_queued

log = logging.getLogger("plumbline.takeover")

_MOST_LOST = 500


class Takeover:
    """Only the leader sweeps.  It waits first: after an outage of the database everybody else has been
    silent for as long as itself."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._patient_until = 0.0
        self._lost: set[str] = set()  # seen without a claim, when the newest job was `_seen_at_job`
        self._seen_at_job = 0
        self.begin()

    def begin(self) -> None:
        """This process leads from now on."""
        self._patient_until = time.monotonic() + processes.SILENT_AFTER.total_seconds()
        self._lost = set()

    def sweep(self) -> int:
        """How many runs were queued again."""
        if time.monotonic() < self._patient_until:
            return 0
        taken = sum(self._give_up(process_id) for process_id in self._gone())
        if self._has_stalled_jobs():
            asyncio.run(retry_stalled(self._database.url))
        return taken + self._find_lost()

    def _gone(self) -> list[str]:
        with self._database.read() as db:
            return [one.id for one in processes.silent(db)] + claims.orphaned(db)

    def _has_stalled_jobs(self) -> bool:
        with self._database.read() as db:
            return stalled_jobs(db, processes.SILENT_AFTER.total_seconds()) > 0

    def _give_up(self, process_id: str) -> int:
        runs = self._database.write(lambda db: claims.give_up(db, process_id, crashed=True))
        log.warning("%s", fields(event="process_gone", process=process_id, runs_taken_over=len(runs)))
        return len(runs)

    def _find_lost(self) -> int:
        """Runs without a claim usually have a job waiting.  One that is still without when all jobs
        that were there at the first look are gone, has none."""
        with self._database.read() as db:
            newest, oldest = newest_job(db), oldest_job(db, QUEUE)
            unclaimed = set(claims.unclaimed(db, limit=_MOST_LOST))
        if oldest is not None and oldest <= self._seen_at_job:
            self._lost &= unclaimed
            return 0
        lost = sorted(self._lost & unclaimed)
        self._lost, self._seen_at_job = unclaimed - set(lost), newest
        if lost:
            log.warning("%s", fields(event="runs_without_job", runs=len(lost)))
            self._database.write(lambda db: note_queued(db, claims.requeue(db, lost)))
        return len(lost)
