"""Jobs: how queued runs reach a worker, through Procrastinate.

A job is a ticket for the runs that one transaction queued, written by that transaction.  It does not
carry the work: a worker that takes it claims the runs, and from then on the claims say what is whose.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from procrastinate import App, PsycopgConnector, RetryStrategy
from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import Connection

from app.log import fields
from app.storage.cluster.processes import HEARTBEAT_S, SILENT_AFTER
from app.storage.database.db import KEEPALIVES, libpq_address

log = logging.getLogger("plumbline.jobs")

QUEUE = "runs"
_TASK = "perform"
_MOST_RUNS = 200  # of one job, so that a large import is shared among the workers
_AT_ONCE = 4
_LOOK_EVERY_S = 1.0  # besides the notifications
_PAUSE_S = 0.02

Perform = Callable[[list[str], bool], Awaitable[None]]

# What Procrastinate's own client calls; through that client it cost three times as much, in each commit.
_DEFER = (
    "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(%(queue)s, %(task)s, 0, NULL, NULL, %(given)s::jsonb,"
    " NULL)]::procrastinate_job_to_defer_v1[])"
)


def add_jobs(db: Connection, run_ids: Sequence[str], *, after_stop: bool = False) -> None:
    """In the transaction of the connection: with the runs, or not at all."""
    for start in range(0, len(run_ids), _MOST_RUNS):
        given = {"runs": list(run_ids[start : start + _MOST_RUNS]), "after_stop": after_stop}
        arguments = {"queue": QUEUE, "task": _TASK, "given": orjson.dumps(given).decode()}
        db.exec_driver_sql(_DEFER, arguments)


class _Gated(JobManager):
    """Takes no job while this process has enough to do, so that other workers get it."""

    def __init__(self, connector: Any, has_room: Callable[[], bool]) -> None:
        super().__init__(connector)
        self._has_room = has_room
        self.closing = False
        self.broken = False

    async def fetch_job(self, queues: Any, worker_id: int) -> Job | None:
        while not self._has_room():
            if self.closing:
                return None
            await asyncio.sleep(_PAUSE_S)
        if self.closing:
            return None
        if self.broken:
            raise ConnectionError("the heartbeat or the ears of this worker have failed")
        return await super().fetch_job(queues, worker_id)

    async def update_heartbeat(self, worker_id: int) -> None:
        await self._or_broken(super().update_heartbeat(worker_id))

    async def listen_for_jobs(self, **given: Any) -> None:
        await self._or_broken(super().listen_for_jobs(**given))

    async def _or_broken(self, work: Awaitable[None]) -> None:
        """Procrastinate gives up a heartbeat that fails once: the worker is then started anew."""
        try:
            await work
        except Exception:
            self.broken = True
            raise


class JobWorker:
    """Takes jobs and hands their runs to `perform`, until it is stopped; whatever happens to the
    database meanwhile, it comes back."""

    def __init__(self, url: str, perform: Perform, has_room: Callable[[], bool]) -> None:
        self._url = url
        self._perform = perform
        self._has_room = has_room
        self._closing = False
        self._manager: _Gated | None = None
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """In the engine's loop."""
        self._closing = False
        self._running = asyncio.ensure_future(self._work())

    async def stop(self) -> None:
        """Takes no further job; the runs it took stay where they are."""
        self._closing = True
        if self._manager is not None:
            self._manager.closing = True
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running], timeout=10)

    async def _work(self) -> None:
        while not self._closing:
            try:
                await self._take_jobs()
            except Exception as reason:
                log.warning("%s", fields(event="jobs_interrupted", reason=type(reason).__name__))
            if not self._closing:
                await asyncio.sleep(_LOOK_EVERY_S)

    async def _take_jobs(self) -> None:
        app = App(connector=_connector(self._url, 3))
        app.job_manager = self._manager = _Gated(app.connector, self._has_room)

        @app.task(name=_TASK, queue=QUEUE, retry=RetryStrategy(wait=1))
        async def perform(runs: list[str], after_stop: bool = False) -> None:
            await self._perform(runs, after_stop)

        async with app.open_async():
            await app.run_worker_async(
                queues=[QUEUE],
                concurrency=_AT_ONCE,
                fetch_job_polling_interval=_LOOK_EVERY_S,
                abort_job_polling_interval=3600,
                delete_jobs="always",
                install_signal_handlers=False,
                update_heartbeat_interval=HEARTBEAT_S,
                stalled_worker_timeout=SILENT_AFTER.total_seconds(),
                shutdown_graceful_timeout=5,
            )


async def retry_stalled(url: str) -> int:
    """Jobs that a worker took and did not live to finish are put back.  How many."""
    app = App(connector=_connector(url, 1))
    async with app.open_async():
        after = SILENT_AFTER.total_seconds()
        stalled = list(await app.job_manager.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=after))
        for job in stalled:
            await app.job_manager.retry_job(job)
        await app.job_manager.prune_stalled_workers(after)
    return len(stalled)


def _connector(url: str, connections: int) -> PsycopgConnector:
    return PsycopgConnector(
        conninfo=libpq_address(url),
        min_size=1,
        max_size=connections,
        kwargs=dict(KEEPALIVES),
        timeout=10,
        pool_factory=_unchecked_pool,
    )


def _unchecked_pool(**given: Any) -> AsyncConnectionPool:
    """A connection that broke shows when it is used, and then everything is begun anew: a question
    before each use would only cost."""
    return AsyncConnectionPool(**{**given, "check": None})
