"""The engine of this process: its event loop in a thread of its own, and all that runs on it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from app.changes import ConnectionChanged, ConnectionFreed, HostChanged, LimitsChanged, RunCancelled
from app.engine.dispatch.reconcile import take_up_after_start
from app.engine.dispatch.tickets import Dispatcher, Execute, MostAtOnce, RunTicket
from app.engine.holds import release_connection, resume_connection, wake_line
from app.engine.orders import Orders
from app.engine.runs import Runs
from app.engine.runtime import Runtime
from app.errors import AppError
from app.log import fields
from app.storage.cluster.crashes import put_back
from app.storage.cluster.messages import announce
from app.storage.connections.connections import set_hold
from app.storage.connections.limits import free_lanes, set_pace
from app.storage.history import progress, turns

T = TypeVar("T")
log = logging.getLogger("plumbline.engine")

_BATCH = 500


class RunDispatcher(Dispatcher, Protocol):
    """A dispatcher whose runs this process performs, or leaves to workers beside it."""

    def start(self, loop: asyncio.AbstractEventLoop, execute: Execute, most_at_once: MostAtOnce) -> None: ...

    async def stop(self, grace_s: float) -> int: ...

    def backlog(self) -> int: ...

    def under_way(self) -> int: ...

    def knows(self, run_id: str) -> bool: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class TakesOver(Protocol):
    """What a leader does for runs whose worker is gone."""

    def begin(self) -> None: ...

    def sweep(self) -> int: ...


class Engine:
    """Thread-safe from outside.  `loop` exists from `start` on."""

    def __init__(
        self, runtime: Runtime, dispatcher: RunDispatcher, takeover: TakesOver | None = None
    ) -> None:
        """`takeover`: where others share the database."""
        self.runtime = runtime
        self.runs = Runs(runtime)
        self.dispatcher = dispatcher
        self.orders = Orders(runtime.database, runtime.clock, self.enqueue, self.drop)
        self.is_paused = False
        self._takeover = takeover
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        limits, changes = runtime.caller.limits, runtime.changes
        changes.on(RunCancelled, lambda change: self._in_loop(self.runs.cancel, change.run_id))
        changes.on(ConnectionFreed, lambda change: self._in_loop(limits.lift, change.connection_id))
        changes.on(LimitsChanged, lambda change: self._in_loop(limits.renumber, change.connection_id))
        changes.on(HostChanged, lambda change: self._in_loop(limits.hear, change.place))

    def _in_loop(self, work: Callable[[str], object], given: str) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(work, given)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("the engine has not been started")
        return self._loop

    @property
    def is_started(self) -> bool:
        return self._loop is not None

    def start(self, *, take_up: bool = True) -> None:
        """`take_up`: go on with the runs that an earlier process left open."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), name="engine", daemon=True)
        self._thread.start()
        ready.wait()
        self.spawn(self.runtime.caller.start()).result(30)
        if take_up and self._takeover is None:
            take_up_after_start(self.runtime.database, self.dispatcher)
            self._mend_turns()
        self.dispatcher.start(self.loop, self.runs.execute, self.runs.most_at_once)

    def stop(self, grace_s: float = 20) -> None:
        if self._loop is None or self._thread is None:
            return
        broken_off = self.spawn(self.dispatcher.stop(grace_s)).result(grace_s + 5)
        if broken_off:
            log.warning("%s", fields(event="runs_broken_off", number=broken_off))
            if self._takeover is None:
                with contextlib.suppress(AppError):  # the next start counts one stop too many
                    self.runtime.database.write(put_back)
        self.spawn(break_off_the_rest()).result(10)
        self.spawn(self.runtime.caller.close()).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self.runs.close()
        self._loop = None

    def _serve(self, ready: threading.Event) -> None:
        loop = _new_loop()
        asyncio.set_event_loop(loop)
        self._loop = loop
        loop.call_soon(ready.set)
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def spawn(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the engine's loop, from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    # ------------------------------------------------------------------------------------ runs

    def enqueue(self, tickets: Sequence[RunTicket]) -> None:
        self.dispatcher.enqueue(tickets)

    def backlog(self) -> int:
        return self.dispatcher.backlog()

    def pause(self) -> None:
        """Begin no run until `resume`: there would be no room for what it brings back."""
        if not self.is_paused:
            self.is_paused = True
            self.dispatcher.pause()
            log.warning("%s", fields(event="engine_paused"))

    def resume(self) -> None:
        if self.is_paused:
            self.is_paused = False
            self.dispatcher.resume()
            log.warning("%s", fields(event="engine_goes_on"))

    def wake_due(self) -> int:
        """Queue the waiting runs whose moment has come; called every second.  How many."""
        if self.is_paused:
            return 0
        now = self.runtime.clock.now()

        def queue_batch(db: Connection) -> list[progress.OpenRun]:
            runs = progress.due(db, now, limit=_BATCH)
            for run in runs:
                progress.queue_again(db, run[0])
            return runs

        with self.runtime.database.read() as db:
            if not progress.due(db, now, limit=1):
                return 0
        total = 0
        while woken := self.runtime.database.write(queue_batch):
            self.enqueue([RunTicket(*run, fresh=False) for run in woken])
            total += len(woken)
        return total

    def work_orders(self) -> int:
        """Some of what people ordered for many runs; called every second.  With how many runs."""
        return 0 if self.is_paused else self.orders.work()

    def sweep(self) -> int:
        """Queue what the database calls queued and nobody here knows: runs made by another process
        (a command, an import), or where several perform runs, those of one that is gone.  How many."""
        if self._takeover is not None:
            return self._takeover.sweep() + self._mend_turns()
        with self.runtime.database.read() as db:
            open_runs = progress.under_way(db, after="", limit=_BATCH)
        lost = [run for run in open_runs if not self.dispatcher.knows(run[0])]
        self.enqueue([RunTicket(*run, fresh=False) for run in lost])
        return len(lost) + self._mend_turns()

    def lead(self) -> None:
        """From now on this process looks after what others leave."""
        if self._takeover is not None:
            self._takeover.begin()

    def _mend_turns(self) -> int:
        """Nobody waits for a run that is gone."""
        with self.runtime.database.read() as db:
            if not turns.anything(db):
                return 0
        following = self.runtime.database.write(lambda db: turns.fix(db, limit=_BATCH))
        self.runs.pass_on(following)
        return len(following)

    def release_connection(self, connection_id: str) -> int:
        """A person made it work again: its pause ends, and the runs that waited for it go on.  How many."""
        runtime = self.runtime
        runtime.database.write(lambda db: announce(db, ConnectionFreed(connection_id)))
        runtime.changes.tell(ConnectionFreed(connection_id))
        return release_connection(runtime, connection_id)

    def hold_connection(self, connection_id: str, reason: str) -> None:
        """A person holds it: no call goes out with it, and who needs it waits.  What comes in is kept."""

        def mark(db: Connection) -> None:
            set_hold(db, connection_id, reason)
            announce(db, ConnectionChanged(connection_id))

        self.runtime.database.write(mark)
        self.runtime.changes.tell(ConnectionChanged(connection_id))

    def resume_connection(self, connection_id: str) -> int:
        """Who waited for it goes on, at the pace of the service.  How many."""
        runtime = self.runtime

        def mark(db: Connection) -> None:
            set_hold(db, connection_id, None)
            announce(db, ConnectionChanged(connection_id))

        runtime.database.write(mark)
        return resume_connection(runtime, connection_id)

    def try_connection(self, connection_id: str) -> int:
        """A person does not want to wait for the end of a pause, or until a service that failed is tried
        again.  How many runs ask for their turn anew."""
        runtime, now = self.runtime, self.runtime.clock.now()

        def work(db: Connection) -> None:
            free_lanes(db, connection_id, now)
            announce(db, ConnectionFreed(connection_id))

        runtime.database.write(work)
        runtime.changes.tell(ConnectionFreed(connection_id))
        return wake_line(runtime, connection_id)

    def set_pace(self, connection_id: str, pace: Any) -> int:
        """Other numbers for a connection, as `write_pace` makes them.  Who waits in its line asks anew."""
        runtime = self.runtime

        def work(db: Connection) -> None:
            set_pace(db, connection_id, pace)
            announce(db, LimitsChanged(connection_id))

        runtime.database.write(work)
        runtime.changes.tell(LimitsChanged(connection_id))
        return wake_line(runtime, connection_id)

    def drop(self, run_ids: Sequence[str]) -> None:
        """These are cancelled in the database: nothing more of them is performed here."""
        left = [run_id for run_id in run_ids if not self.runs.cancel(run_id)]

        def leave(db: Connection) -> list[progress.OpenRun | None]:
            return [turns.leave(db, run_id) for run_id in left]

        if left:
            self.runs.pass_on(self.runtime.database.write(leave))


async def break_off_the_rest() -> None:
    """Polls, say: the next start looks again from the cursor on record, so nothing is lost."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


def _new_loop() -> asyncio.AbstractEventLoop:
    """uvloop where there is one: it halves the cost of a call."""
    try:
        import uvloop
    except ImportError:  # not made for Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
