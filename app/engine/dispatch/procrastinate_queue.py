"""Brings queued runs to execution where several processes share a PostgreSQL database.

Whatever queues a run writes the job for it in the same transaction (`before_commit`).  A process that
performs runs takes jobs, claims their runs and lines them up as an embedded one would.  It may be taken
for dead, by mistake or not: then its runs are others' and nothing of what it still tries to write about
them is committed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from app.changes import Changes, ProcessGone
from app.clock import Clock
from app.engine.dispatch.embedded import EmbeddedDispatcher
from app.engine.dispatch.jobs import JobWorker, add_jobs
from app.engine.dispatch.tickets import Execute, MostAtOnce, RunTicket, as_many_as_fit
from app.log import fields
from app.storage.cluster import claims
from app.storage.cluster.presence import Presence
from app.storage.cluster.processes import Fenced, stand_fast
from app.storage.database.db import Database
from app.storage.database.queued import note_queued, note_work, notes_of

log = logging.getLogger("plumbline.dispatch")

_MOST_NOTED = 100_000
_LOOK_AFTER_S = 2.0


class SharedDispatcher:
    """`performs`: this process is a worker, alone or among other things."""

    def __init__(
        self,
        database: Database,
        presence: Presence,
        changes: Changes,
        clock: Clock,
        *,
        slots: int,
        performs: bool,
    ) -> None:
        self._database = database
        self._presence = presence
        self._performs = performs
        self._clock = clock
        self._slots = slots
        self._execute: Execute | None = None
        self._most_at_once: MostAtOnce = as_many_as_fit
        self._is_paused = False
        self._lanes = EmbeddedDispatcher(clock, slots=slots)
        self._jobs = JobWorker(database.url, self._take, self._has_room)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._noted: set[str] = set()
        self._working_as = ""  # the id under which runs are claimed and their doings written
        self._care: asyncio.Task[None] | None = None
        self._stopping = False
        database.writer.note_commits(self.before_commit)
        changes.on(ProcessGone, lambda _: self._taken_for_dead())

    # -------------------------------------------------------------------------------- from outside

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        execute: Execute,
        most_at_once: MostAtOnce = as_many_as_fit,
    ) -> None:
        self._execute, self._most_at_once = execute, most_at_once
        self._loop = loop
        if self._performs:
            self._lanes.start(loop, self._perform, most_at_once)
            loop.call_soon_threadsafe(self._begin)

    def enqueue(self, tickets: Sequence[RunTicket]) -> None:
        """Most of these have their job already; for any that was queued without one, it is written now."""
        with self._lock:
            missing = [one.run_id for one in tickets if one.run_id not in self._noted]
            self._noted.difference_update(one.run_id for one in tickets)
        if not missing:
            return
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._add_jobs(missing), self._loop)
        else:
            self._database.write(lambda db: note_queued(db, missing))

    def backlog(self) -> int:
        return self._lanes.backlog()

    def under_way(self) -> int:
        return self._lanes.under_way()

    def knows(self, run_id: str) -> bool:
        return self._lanes.knows(run_id)

    def look_again(self) -> None:
        self._lanes.look_again()

    def stand_aside(self, flow_id: str, number: int) -> None:
        self._lanes.stand_aside(flow_id, number)

    def pause(self) -> None:
        self._is_paused = True
        self._lanes.pause()

    def resume(self) -> None:
        self._is_paused = False
        self._lanes.resume()

    async def stop(self, grace_s: float) -> int:
        self._stopping = True
        if not self._performs:
            return 0
        await self._jobs.stop()
        if self._care is not None:
            self._care.cancel()
        late = await self._lanes.stop(grace_s)
        await self._give_back()
        return late

    # ---------------------------------------------------------------------------- in transactions

    def before_commit(self, db: Connection) -> None:
        """In the writer's thread, at the end of each transaction."""
        notes = notes_of(db)
        if notes is None:
            return
        if notes.left and self._working_as:
            claims.release(db, notes.left)
        if notes.queued:
            add_jobs(db, notes.queued)
        if notes.after_stop:
            add_jobs(db, notes.after_stop, after_stop=True)
        if notes.works and self._performs:
            self._stand_fast(db)
        with self._lock:
            if len(self._noted) > _MOST_NOTED:
                self._noted.clear()
            self._noted.update(notes.queued)

    def _stand_fast(self, db: Connection) -> None:
        try:
            stand_fast(db, self._working_as)
        except Fenced:
            self._taken_for_dead()
            raise

    async def _add_jobs(self, run_ids: list[str]) -> None:
        await self._database.writer.awrite(lambda db: note_queued(db, run_ids))

    # ---------------------------------------------------------------------------- performing runs

    def _begin(self) -> None:
        self._working_as = self._presence.process_id
        self._care = asyncio.ensure_future(self._look_after_claims())
        self._jobs.start()

    def _has_room(self) -> bool:
        is_mine = bool(self._working_as) and self._working_as == self._presence.process_id
        wants = is_mine and not self._is_paused and not self._presence.misfit
        return wants and self._lanes.backlog() < self._slots

    async def _take(self, run_ids: list[str], after_stop: bool) -> None:
        process_id = self._working_as

        def claim(db: Connection) -> list[claims.Claimed]:
            note_work(db)
            return claims.take(db, process_id, run_ids)

        claimed = await self._database.writer.awrite(claim)
        self._lanes.enqueue([_ticket(one, after_stop) for one in claimed])

    async def _perform(self, ticket: RunTicket) -> datetime | None:
        """A run that waits is woken by the scheduler, which may hand it to another worker."""
        assert self._execute is not None
        await self._execute(ticket)
        return None

    async def _look_after_claims(self) -> None:
        """Runs claimed here that are not under way here, such as those whose result could not be
        written, are taken up again; at the second look, for the first may see one that just came."""
        suspects: set[str] = set()
        while not self._stopping:
            await asyncio.sleep(_LOOK_AFTER_S)
            try:
                suspects = await self._look(suspects)
            except Exception as reason:
                log.warning("%s", fields(event="claims_not_seen", reason=type(reason).__name__))

    async def _look(self, suspects: set[str]) -> set[str]:
        process_id = self._working_as
        held = await asyncio.to_thread(self._claimed, process_id)
        idle = {one[0]: one for one in held if not self._lanes.knows(one[0])}
        again = [one for run_id, one in idle.items() if run_id in suspects]
        if again and process_id == self._working_as:
            ids = [one[0] for one in again]
            open_ids = await self._database.writer.awrite(lambda db: claims.keep_open(db, process_id, ids))
            self._lanes.enqueue([RunTicket(*one, fresh=False) for one in again if one[0] in open_ids])
        return set(idle) - suspects

    def _claimed(self, process_id: str) -> list[tuple[str, str, str, str]]:
        with self._database.read() as db:
            return claims.claimed_by(db, process_id)

    # ----------------------------------------------------------------------------- taken for dead

    def _taken_for_dead(self) -> None:
        """From any thread."""
        if self._performs and self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._break_off(self._working_as), self._loop)
        else:
            self._presence.begin_anew()

    async def _break_off(self, process_id: str) -> None:
        """Everything under way here is somebody else's now.  Then on, under a new id."""
        if not process_id or process_id != self._working_as or self._stopping:
            return
        self._working_as = ""
        lanes, self._lanes = self._lanes, EmbeddedDispatcher(self._clock, slots=self._slots)
        broken_off = await lanes.stop(0)
        log.error("%s", fields(event="runs_left_to_others", number=broken_off))
        self._lanes.start(asyncio.get_running_loop(), self._perform, self._most_at_once)
        self._presence.begin_anew()
        while self._presence.process_id == process_id and not self._stopping:
            await asyncio.sleep(0.1)
        self._working_as = self._presence.process_id

    async def _give_back(self) -> None:
        """At a planned end others go on at once, and no run counts it as a crash."""
        process_id, self._working_as = self._working_as, ""
        if process_id:
            await self._database.writer.awrite(lambda db: claims.give_up(db, process_id, crashed=False))


def _ticket(claimed: claims.Claimed, after_stop: bool) -> RunTicket:
    fresh = not claimed.began and not after_stop and claimed.payload is not None
    return RunTicket(
        claimed.run_id,
        claimed.flow_id,
        claimed.version_id,
        claimed.event_id,
        claimed.payload if fresh else None,
        fresh=fresh,
        after_stop=after_stop,
    )
