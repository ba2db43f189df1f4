"""What of the limits outlives the process: pauses, hosts left alone, long windows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from app.calls.limits.limits import MAX_PAUSE_S, PROBE_S, Lane, Limits
from app.calls.limits.model import MemoryBook
from app.clock import Clock
from app.errors import AppError
from app.log import fields
from app.storage.connections import limits as store
from app.storage.connections.limits import LaneRow
from app.storage.database.db import Database

log = logging.getLogger("plumbline.calls")

_LONGEST_TRY_S = 600.0


class Keeper:
    """Writes without anybody waiting for it: a call never does."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._writing: set[asyncio.Future[Any]] = set()

    def memory_book(self) -> MemoryBook:
        return MemoryBook(self._clock, self.keep_budget, self._read_budgets)

    def take_up(self, limits: Limits) -> None:
        """At the start: what an earlier process left alone or was asked to wait for."""
        with self._database.read() as db:
            rows = store.lanes_in_force(db, self._clock.now())
        for row in rows:
            self.apply(limits, row.connection_id or "", row.host, row)

    def look_at(self, limits: Limits, place: str) -> None:
        """Another process changed this lane; read beside the event loop, which must not wait."""
        self._follow(asyncio.ensure_future(self._look_at(limits, place)))

    async def _look_at(self, limits: Limits, place: str) -> None:
        connection_id, _, host = place.partition("|")
        row = await asyncio.to_thread(self._read_lane, place)
        self.apply(limits, connection_id, host, row)

    def _read_lane(self, place: str) -> LaneRow | None:
        with self._database.read() as db:
            return store.get_lane(db, place)

    async def may_try(self, lane: Lane) -> bool:
        now = self._clock.now()
        until = now + timedelta(seconds=PROBE_S)
        try:
            mine = await self._database.writer.awrite(lambda db: store.begin_try(db, lane.place, now, until))
        except AppError:
            return False
        if mine is None:
            lane.close()  # what another process said about it was not heard
        return mine is not False

    def apply(self, limits: Limits, connection_id: str, host: str, row: LaneRow | None) -> None:
        """A clock that was set back since then makes nothing wait longer than it would have at most."""
        lane = limits.lane(connection_id, host)
        lane.paused_until = self._moment(row.paused_until if row is not None else None, MAX_PAUSE_S)
        if row is None or row.tried_at is None:
            lane.pause_said = row.sentence if row is not None else ""
            if lane.tried_at:
                lane.close()
            return
        lane.trips, lane.sentence = row.trips, row.sentence
        lane.tried_at = self._moment(row.tried_at, _LONGEST_TRY_S)

    def _moment(self, at: datetime | None, longest_s: float) -> float:
        if at is None:
            return 0.0
        left = min((at - self._clock.now()).total_seconds(), longest_s)
        return self._clock.monotonic() + left

    def keep_lane(self, lane: Lane) -> None:
        now, clock = self._clock.now(), self._clock.monotonic()
        paused = now + timedelta(seconds=lane.paused_until - clock) if lane.paused_until > clock else None
        tried = now + timedelta(seconds=lane.tried_at - clock) if lane.tried_at else None
        if paused is None and tried is None:
            self._write(lambda db: store.drop_lane(db, lane.place))
            return
        row = LaneRow(
            place=lane.place,
            connection_id=lane.connection_id or None,
            host=lane.host_name,
            paused_until=paused,
            tried_at=tried,
            trips=lane.trips,
            since=now,
            sentence=lane.sentence if tried is not None else lane.pause_said,
        )
        self._write(lambda db: store.keep_lane(db, row))

    def keep_budget(self, connection_id: str, windows: Any) -> None:
        now = self._clock.now()
        self._write(lambda db: store.keep_budget(db, connection_id, windows, now))

    def _read_budgets(self) -> list[tuple[str, Any, datetime]]:
        with self._database.read() as db:
            return list(store.budgets(db))

    def _write(self, work: Callable[[Connection], None]) -> None:
        self._follow(self._database.writer.awrite(work))

    def _follow(self, writing: asyncio.Future[Any]) -> None:
        self._writing.add(writing)
        writing.add_done_callback(self._done)

    def _done(self, writing: asyncio.Future[Any]) -> None:
        self._writing.discard(writing)
        if not writing.cancelled() and (reason := writing.exception()) is not None:
            log.warning("%s", fields(event="pace_not_kept", reason=type(reason).__name__))

    async def finish(self) -> None:
        """What is being written is on disk when this returns."""
        while self._writing:
            await asyncio.wait(list(self._writing))


def outlive(limits: Limits, database: Database, clock: Clock) -> None:
    """From its start on, what `limits` knows is kept in the database: by one process where it is a
    file, shared by all of them where it is a server."""
    keeper = Keeper(database, clock)
    limits.keeper = keeper
    if database.is_sqlite:
        limits.book = keeper.memory_book()
        return
    # what only PostgreSQL needs is imported with PostgreSQL alone: it would slow down every start
    from app.calls.limits.shared import SharedBook
    from app.storage.connections.limits import SharedBudgets

    book = SharedBook(clock, SharedBudgets(database.url))
    book.in_use, book.on_room = limits.in_use, limits.have_room
    book.retries.hosts = limits.hosts
    limits.book = book
