"""One thread that commits for everybody.

Whoever wants something kept hands over a `Rows` (rows for known statements: the fast way) or a
function of a connection, and waits.  The thread takes all that is waiting, writes it in one
transaction and answers all of them after the commit: one disk flush serves many.  A part that fails
does not take its neighbours with it: the group is then repeated part by part.

When nothing can be written (the disk is full, another program holds the lock), whoever can be told so
is told.  What must not be lost any more, the results of calls that were made, is `patient`: it stays
here, in its order and before all else, until it is written."""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from app.errors import Unavailable
from app.log import fields
from app.storage.database.prepared import Row, Statement
from app.storage.database.queued import begin_notes

T = TypeVar("T")
__all__ = ["Row", "Rows", "Statement", "Writer"]
log = logging.getLogger("plumbline.writer")

_MOST_AT_ONCE = 512
_AGAIN_S = 0.25
_REFUSED_S = 1.0


Rows = list[tuple[Statement, Row]]


class _Part:
    """`then` runs in the writer's thread right after the commit and must be quick."""

    __slots__ = ("done", "error", "loop", "patient", "result", "then", "waiter", "work")

    def __init__(
        self,
        work: Rows | Callable[[Connection], Any],
        done: Future[Any] | None,
        loop: asyncio.AbstractEventLoop | None,
        waiter: asyncio.Future[Any] | None,
        then: Callable[[], None] | None,
        patient: bool = False,
    ) -> None:
        self.work = work
        self.patient = patient
        self.done = done
        self.loop = loop
        self.waiter = waiter
        self.then = then
        self.result: Any = None
        self.error: BaseException | None = None


class Writer:
    """`gather_s`: while one commit follows the other, each waits so long for more to go with it; for a
    process that nobody waits for.  `lock`: held for each transaction, where another process writes as
    often as this one."""

    def __init__(
        self, engine: Engine, lock: AbstractContextManager[None] | None = None, gather_s: float = 0.0
    ) -> None:
        self._engine = engine
        self._lock = lock or nullcontext()
        self._parts: queue.SimpleQueue[_Part | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._closed = False
        self._kept_back: list[_Part] = []
        self._trouble: tuple[Unavailable, float] | None = None
        self._before_commit: Callable[[Connection], None] | None = None
        self._gather_s = gather_s
        self._committed_at = 0.0
        self.commits = 0
        self.parts = 0

    def start(self) -> None:
        self._thread.start()

    def note_commits(self, before_commit: Callable[[Connection], None]) -> None:
        """From now on each transaction notes what it does to the queue, and ends with this call."""
        self._before_commit = before_commit

    def close(self) -> None:
        """Commit what is waiting, then end the thread."""
        if not self._closed:
            self._closed = True
            self._parts.put(None)
            self._thread.join()

    @property
    def backlog(self) -> int:
        return self._parts.qsize()

    @property
    def kept_back(self) -> int:
        """Parts that wait until something can be written again."""
        return len(self._kept_back)

    @property
    def trouble(self) -> Unavailable | None:
        """Why the last commit failed, if nothing has been written since."""
        return self._trouble[0] if self._trouble is not None else None

    def refuse_if_away(self) -> None:
        """Raises for a moment after each commit that failed, so that what waits has its turn first."""
        if self._trouble is not None and time.monotonic() < self._trouble[1]:
            raise self._trouble[0]

    def write(self, work: Callable[[Connection], T], *, timeout_s: float = 30) -> T:
        """Run `work` inside the next group and wait until it is on disk.  What it raises comes out
        here; a database that is away or full comes out as `Unavailable`."""
        done: Future[T] = Future()
        self._put(_Part(work, done, None, None, None))
        return done.result(timeout_s)

    def write_rows(
        self, rows: Rows, *, then: Callable[[], None] | None = None, timeout_s: float = 30
    ) -> None:
        done: Future[None] = Future()
        self._put(_Part(rows, done, None, None, then))
        done.result(timeout_s)

    def awrite(
        self,
        work: Rows | Callable[[Connection], T],
        *,
        then: Callable[[], None] | None = None,
        patient: bool = False,
    ) -> asyncio.Future[T]:
        """As `write` or `write_rows`, awaited in an event loop.  `patient`: waits until it can be
        written, however long that takes."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        self._put(_Part(work, None, loop, waiter, then, patient))
        return waiter

    def _put(self, part: _Part) -> None:
        if self._closed:
            raise Unavailable("Plumbline is shutting down.", retry_after_s=5)
        self._parts.put(part)

    # ------------------------------------------------------------------------------ the thread

    def _work(self) -> None:
        with self._engine.connect() as db:
            while (group := self._take()) is not None:
                self._answer(self._commit(db, group))
            for part in self._kept_back:
                part.patient = False
            self._answer(self._commit(db, self._take_kept_back()))

    def _take(self) -> list[_Part] | None:
        try:
            first = self._parts.get(timeout=_AGAIN_S if self._kept_back else None)
        except queue.Empty:
            return self._take_kept_back()
        if first is None:
            return None
        if self._gather_s and time.monotonic() - self._committed_at < 2 * self._gather_s:
            time.sleep(self._gather_s)
        group = [*self._take_kept_back(), first]
        while len(group) < _MOST_AT_ONCE:
            try:
                part = self._parts.get_nowait()
            except queue.Empty:
                break
            if part is None:
                self._parts.put(None)
                break
            group.append(part)
        return group

    def _take_kept_back(self) -> list[_Part]:
        parts, self._kept_back = self._kept_back, []
        return parts

    def _commit(self, db: Connection, group: list[_Part]) -> list[_Part]:
        """The parts that can be answered: all but the patient ones of a database that is away."""
        if not group:
            return []
        reason = self._try(db, group)
        if reason is not None and (away := trouble(reason)) is not None:
            return self._keep_back(group, away)
        if reason is not None and len(group) > 1:
            log.warning("%s", fields(event="group_repeated_apart", parts=len(group), reason=repr(reason)))
            return self._commit_apart(db, group)
        if reason is not None:
            group[0].error = as_told(reason)
        return self._done(group)

    def _commit_apart(self, db: Connection, group: list[_Part]) -> list[_Part]:
        for index, part in enumerate(group):
            reason = self._try(db, [part])
            if reason is not None and (away := trouble(reason)) is not None:
                return self._done(group[:index]) + self._keep_back(group[index:], away)
            part.error = as_told(reason)
        return self._done(group)

    def _try(self, db: Connection, group: list[_Part]) -> Exception | None:
        """What kept the group from being committed, if anything did."""
        try:
            with self._lock, db.begin():
                if self._before_commit is None:
                    _write_all(db, group)
                else:
                    begin_notes(db)
                    _write_all(db, group)
                    self._before_commit(db)
        except Exception as reason:
            return reason
        return None

    def _done(self, group: list[_Part]) -> list[_Part]:
        if self._trouble is not None and any(part.error is None for part in group):
            self._trouble = None
            log.warning("%s", fields(event="writing_again"))
        self._committed_at = time.monotonic()
        self.commits += 1
        self.parts += len(group)
        return group

    def _keep_back(self, group: list[_Part], away: Unavailable) -> list[_Part]:
        """Those who can be told that nothing was written; the patient ones stay, in their order."""
        if self._trouble is None:
            log.error("%s", fields(event="write_failed", reason=away.sentence, parts=len(group)))
        self._trouble = (away, time.monotonic() + _REFUSED_S)
        self._kept_back = [part for part in group if part.patient]
        told = [part for part in group if not part.patient]
        for part in told:
            part.error = away
        return told

    def _answer(self, group: list[_Part]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[_Part]] = {}
        for part in group:
            if part.then is not None and part.error is None:
                part.then()
            if part.done is not None:
                _settle(part.done, part)
            elif part.loop is not None:
                by_loop.setdefault(part.loop, []).append(part)
        for loop, parts in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle_all, parts)


def _write_all(db: Connection, group: Iterable[_Part]) -> None:
    pending: dict[Statement, list[Row]] = {}
    for part in group:
        if callable(part.work):
            _flush(db, pending)
            part.result = part.work(db)
        else:
            for statement, row in part.work:
                pending.setdefault(statement, []).append(row)
    _flush(db, pending)


def _flush(db: Connection, pending: dict[Statement, list[Row]]) -> None:
    for statement in sorted(pending, key=lambda s: s.rank):
        statement.execute(db, pending[statement])
    pending.clear()


def _settle(done: Future[Any] | asyncio.Future[Any], part: _Part) -> None:
    if part.error is not None:
        done.set_exception(part.error)
    else:
        done.set_result(part.result)


def _settle_all(parts: list[_Part]) -> None:
    for part in parts:
        if part.waiter is not None and not part.waiter.done():
            _settle(part.waiter, part)


# The low byte of SQLite's result code says the kind, the rest the occasion.
_SQLITE = {
    5: "Another program holds the database locked.",  # SQLITE_BUSY
    6: "Another program holds the database locked.",  # SQLITE_LOCKED
    8: "The database may only be read.",  # SQLITE_READONLY, such as a disk mounted so after an error
    10: "The disk does not work as it should.",  # SQLITE_IOERR
    13: "The disk is full.",  # SQLITE_FULL
    14: "A file of the database cannot be opened.",  # SQLITE_CANTOPEN
}
# The class of a SQLSTATE: the connection, resources (disk, connections), a shut-down.
_POSTGRES = {
    "08": "The database is away.",
    "25": "The database may only be read.",
    "53": "The disk of the database is full, or it has too many connections.",
    "57": "The database is being stopped.",
    "58": "The disk of the database does not work as it should.",
}


def trouble(reason: BaseException) -> Unavailable | None:
    """What to tell whoever wanted to write; None when the same write would fail at any time."""
    if not isinstance(reason, DBAPIError):
        return None
    sentence = _of_sqlite(reason.orig) if isinstance(reason.orig, sqlite3.Error) else _of_postgres(reason)
    return Unavailable(f"{sentence} Nothing was accepted.") if sentence else None


def as_told(reason: Exception | None) -> Exception | None:
    """What comes out where the write was asked for."""
    if isinstance(reason, OperationalError):
        return Unavailable("The database cannot be written now; nothing was accepted.")
    return reason


def _of_sqlite(reason: sqlite3.Error) -> str:
    code = getattr(reason, "sqlite_errorcode", None)
    return _SQLITE.get(code & 0xFF, "") if isinstance(code, int) else ""


def _of_postgres(reason: DBAPIError) -> str:
    state = getattr(reason.orig, "sqlstate", None) or ""
    is_away = reason.connection_invalidated or (isinstance(reason, OperationalError) and not state)
    return _POSTGRES.get(state[:2], _POSTGRES["08"] if is_away else "")
