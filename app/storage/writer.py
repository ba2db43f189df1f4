"""One thread that commits for everybody.

Whoever wants something kept hands over a `Rows` (rows for known statements: the fast way) or a
function of a connection, and waits.  The thread takes all that is waiting, writes it in one
transaction and answers all of them after the commit: one disk flush serves many.  A part that fails
does not take its neighbours with it: the group is then repeated part by part.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from app.errors import AppError, Unavailable
from app.log import fields
from app.storage.prepared import Row, Statement

T = TypeVar("T")
__all__ = ["Row", "Rows", "Statement", "Writer"]
log = logging.getLogger("plumbline.writer")

_MOST_AT_ONCE = 512


Rows = list[tuple[Statement, Row]]


class _Part:
    """`then` runs in the writer's thread right after the commit and must be quick."""

    __slots__ = ("done", "error", "loop", "result", "then", "waiter", "work")

    def __init__(
        self,
        work: Rows | Callable[[Connection], Any],
        done: Future[Any] | None,
        loop: asyncio.AbstractEventLoop | None,
        waiter: asyncio.Future[Any] | None,
        then: Callable[[], None] | None,
    ) -> None:
        self.work = work
        self.done = done
        self.loop = loop
        self.waiter = waiter
        self.then = then
        self.result: Any = None
        self.error: BaseException | None = None


class Writer:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._parts: queue.SimpleQueue[_Part | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._closed = False
        self.commits = 0
        self.parts = 0

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Commit what is waiting, then end the thread."""
        if not self._closed:
            self._closed = True
            self._parts.put(None)
            self._thread.join()

    @property
    def backlog(self) -> int:
        return self._parts.qsize()

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

    def awrite(self, work: Rows | Callable[[Connection], T]) -> asyncio.Future[T]:
        """As `write` or `write_rows`, awaited in an event loop."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        self._put(_Part(work, None, loop, waiter, None))
        return waiter

    def _put(self, part: _Part) -> None:
        if self._closed:
            raise Unavailable("Plumbline is shutting down.", retry_after_s=5)
        self._parts.put(part)

    # ------------------------------------------------------------------------------ the thread

    def _work(self) -> None:
        with self._engine.connect() as connection:
            while (group := self._take()) is not None:
                self._commit(connection, group)
                self._answer(group)

    def _take(self) -> list[_Part] | None:
        first = self._parts.get()
        if first is None:
            return None
        group = [first]
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

    def _commit(self, connection: Connection, group: list[_Part]) -> None:
        try:
            with connection.begin():
                _write_all(connection, group)
        except Exception as reason:
            if len(group) == 1:
                group[0].error = _as_app_error(reason)
            else:
                log.warning("%s", fields(event="group_repeated_apart", parts=len(group), reason=repr(reason)))
                self._commit_apart(connection, group)
        self.commits += 1
        self.parts += len(group)

    def _commit_apart(self, connection: Connection, group: list[_Part]) -> None:
        for part in group:
            try:
                with connection.begin():
                    _write_all(connection, [part])
            except Exception as reason:
                part.error = _as_app_error(reason)

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


def _write_all(connection: Connection, group: Iterable[_Part]) -> None:
    pending: dict[Statement, list[Row]] = {}
    for part in group:
        if callable(part.work):
            _flush(connection, pending)
            part.result = part.work(connection)
        else:
            for statement, row in part.work:
                pending.setdefault(statement, []).append(row)
    _flush(connection, pending)


def _flush(connection: Connection, pending: dict[Statement, list[Row]]) -> None:
    for statement in sorted(pending, key=lambda s: s.rank):
        statement.execute(connection, pending[statement])
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


def _as_app_error(reason: Exception) -> Exception:
    if isinstance(reason, AppError):
        return reason
    if isinstance(reason, OperationalError) or (
        isinstance(reason, DBAPIError) and reason.connection_invalidated
    ):
        log.error("%s", fields(event="write_failed", reason=reason.orig))
        return Unavailable("The database cannot be written now; nothing was accepted.")
    return reason
