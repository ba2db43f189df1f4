"""Deliveries in a process of their own, so that a second core takes them in while the first performs runs.

`plumbline serve` forks it before anything else.  The pages' process holds the port; a connection whose
next request is a delivery is handed to the door, descriptor and all, and comes back when its next
request is for a page.  The door commits what it accepts by itself and then tells which runs that made.
It holds nothing that is not on disk: should it end, the pages' process takes deliveries as well, and
finds the runs it was not told of.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import marshal
import os
import pickle
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

import uvicorn

from app.changes import (
    ConnectionChanged,
    ConnectionFreed,
    ConnectorsChanged,
    DoorEnded,
    FlowChanged,
    LimitsChanged,
    Told,
    from_words,
    in_words,
)
from app.engine.dispatch.tickets import RunTicket
from app.intake.deliveries.webhooks import Deliveries
from app.log import fields, set_up_logging
from app.parts import Parts, open_runtime
from app.server import link as words
from app.server.link import Link, first_frame
from app.server.listening import GRACE_OF_PAGES_S, spare_the_collector, take_over, web_config
from app.server.sockets import RoutedSocket, is_for_door
from app.settings import Settings
from app.storage.database.folder_lock import hold_door
from app.web.hooks import HookApp, Receive, Scope, Send

log = logging.getLogger("plumbline.door")

_PATIENCE_S = GRACE_OF_PAGES_S + 5.0
# What the door keeps something of.
_CARRIED: tuple[type[Told], ...] = (
    FlowChanged,
    ConnectionChanged,
    ConnectionFreed,
    LimitsChanged,
    ConnectorsChanged,
)
_MOST_WAITING = 8 * 1024 * 1024  # bytes of tickets; beyond, their documents are read from the database


# ------------------------------------------------------------------------- in the pages' process


class DoorProcess:
    """The pages' end.  A `Route` of its connections: whatever is for a page is served here."""

    def __init__(self, end: socket.socket, pid: int) -> None:
        self._link = Link(end)
        self._pid = pid
        self._is_ready = False
        self._stopping = False
        self._over: asyncio.Event | None = None
        self._parts: Parts | None = None
        self._server: uvicorn.Server | None = None
        self._taken: set[asyncio.Task[None]] = set()

    def open(self, settings: Settings) -> None:
        """The database is ready: the door gets ready too."""
        self._link.post(words.OPEN, pickle.dumps(settings))

    def attach(self, parts: Parts, server: uvicorn.Server) -> None:
        """In the server's loop."""
        self._parts, self._server, self._over = parts, server, asyncio.Event()
        self._link.attach(asyncio.get_running_loop(), self._hear, self._ended)
        for kind in _CARRIED:
            parts.changes.on(kind, self._carry)

    def _carry(self, change: Told) -> None:
        self._link.post_soon(words.CHANGE, in_words(change).encode())

    def is_elsewhere(self, begun: bytes) -> bool | None:
        return bool(is_for_door(begun)) and self._is_ready

    def pass_on(self, fd: int, begun: bytes) -> None:
        self._link.post(words.CONNECTION, begun, handed=fd)

    async def stop(self) -> None:
        """Lets the door answer what it has begun; it ends then."""
        self._stopping, self._is_ready = True, False
        if self._over is None or not self._link.is_open:
            return
        self._link.post(words.STOP)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._over.wait()
        except TimeoutError:
            log.error("%s", fields(event="door_left_behind"))
            os.kill(self._pid, signal.SIGKILL)  # what it answered is on disk, and its turn to write is free

    def close(self) -> None:
        self._stopping = True
        self._link.close()  # it ends by itself then, if it has not yet
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _hear(self, kind: bytes, body: bytes, connection: socket.socket | None) -> None:
        assert self._parts is not None
        assert self._server is not None
        if kind == words.TICKETS:
            self._parts.engine.enqueue([RunTicket(*one) for one in marshal.loads(body)])  # noqa: S302
        elif kind == words.CONNECTION and connection is not None:
            _keep(self._taken, take_over(self._server, connection, body))
        elif kind == words.READY:
            self._is_ready = not self._stopping

    def _ended(self) -> None:
        self._is_ready = False
        if self._over is not None:
            self._over.set()
        if not self._stopping and self._parts is not None:
            self._parts.changes.tell(DoorEnded(self._parts.clock.now()))
            log.error("%s", fields(event="door_ended", now="deliveries are taken beside the pages"))


@contextmanager
def door_beside(wanted: bool) -> Iterator[DoorProcess | None]:
    """To be entered before there is any thread: what other threads hold would stay held in the fork."""
    if not wanted:
        yield None
        return
    ours, theirs = socket.socketpair()
    gc.freeze()  # so that the two go on sharing these pages of memory
    pid = os.fork()
    if pid == 0:
        ours.close()
        _be_the_door(theirs)
    theirs.close()
    door = DoorProcess(ours, pid)
    try:
        yield door
    finally:
        door.close()


def pays() -> bool:
    """On one core two processes would only take turns."""
    return len(os.sched_getaffinity(0)) > 1 if hasattr(os, "sched_getaffinity") else False


def _keep(tasks: set[asyncio.Task[None]], work: Any) -> None:
    task = asyncio.ensure_future(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


# --------------------------------------------------------------------------- in the door's process


def _be_the_door(end: socket.socket) -> NoReturn:
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # the pages' process says when
        opened = first_frame(end)
        if opened is not None:
            DoorWatch(end, pickle.loads(opened[1])).serve()  # noqa: S301 -- from the process it was forked from
        code = 0
    except Exception:
        log.exception("%s", fields(event="door_failed"))
    finally:
        logging.shutdown()
        os._exit(code)


class DoorWatch:
    """What the door's process does.  As a `Route`: whatever is no delivery goes back."""

    def __init__(self, end: socket.socket, settings: Settings) -> None:
        set_up_logging(settings.log_level)
        sys.setswitchinterval(0.001)
        self._lock = hold_door(settings.data_dir)
        self._link = Link(end)
        self._tickets = DoorTickets(self._link)
        self._runtime = open_runtime(settings, self._tickets)
        hooks = HookApp(
            _misdirected, Deliveries(self._runtime), most_bytes=settings.max_body_mb * 1024 * 1024
        )
        make = partial(RoutedSocket, route=self)
        self._server = _DoorServer(web_config(settings.host, settings.port, hooks, make), self._begin)
        self._taken: set[asyncio.Task[None]] = set()

    def serve(self) -> None:
        spare_the_collector()
        try:
            self._server.run(sockets=[])
        finally:
            self._runtime.database.close(fold=False)
            self._link.flush(_PATIENCE_S)
            self._link.close()

    def is_elsewhere(self, begun: bytes) -> bool | None:
        is_mine = is_for_door(begun)
        return None if is_mine is None else not is_mine

    def pass_on(self, fd: int, begun: bytes) -> None:
        self._link.post(words.CONNECTION, begun, handed=fd)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._link.attach(loop, self._hear, self._end)
        self._tickets.begin(loop)
        self._link.post(words.READY)

    def _hear(self, kind: bytes, body: bytes, connection: socket.socket | None) -> None:
        if kind == words.CONNECTION and connection is not None:
            _keep(self._taken, take_over(self._server, connection, body))
        elif kind == words.CHANGE and (change := from_words(body.decode())) is not None:
            self._runtime.changes.tell(change)
        elif kind == words.STOP:
            self._end()

    def _end(self) -> None:
        self._server.should_exit = True


class _DoorServer(uvicorn.Server):
    """Without a port of its own: its connections are handed to it."""

    def __init__(self, config: uvicorn.Config, begin: Any) -> None:
        super().__init__(config)
        self._begin = begin

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._begin()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class DoorTickets:
    """A dispatcher that hands what was committed to the process that performs it, a group at a time."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lock = threading.Lock()
        self._waiting: deque[RunTicket] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def enqueue(self, tickets: Sequence[RunTicket]) -> None:
        """From any thread."""
        with self._lock:
            is_first = not self._waiting
            self._waiting.extend(tickets)
        if is_first and self._loop is not None:
            self._loop.call_soon_threadsafe(self._post)

    def stand_aside(self, flow_id: str, number: int) -> None:
        """Does nothing: no run is performed here."""

    def look_again(self) -> None:
        """Does nothing: no run is performed here."""

    def _post(self) -> None:
        with self._lock:
            tickets, self._waiting = self._waiting, deque()
        light = self._link.waiting > _MOST_WAITING
        self._link.post(words.TICKETS, marshal.dumps([_plain(one, light=light) for one in tickets]))


def _plain(one: RunTicket, *, light: bool) -> tuple[Any, ...]:
    payload = None if light else one.payload
    return (
        *(one.run_id, one.flow_id, one.version_id, one.event_id),
        *(payload, one.delivery, one.fresh, one.after_stop),
    )


async def _misdirected(scope: Scope, _receive: Receive, send: Send) -> None:
    """A page, asked for in one breath with a delivery: the browser asks again, by itself."""
    if scope["type"] != "http":
        return
    headers = [(b"content-length", b"0"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
