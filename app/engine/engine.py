"""The engine of this process: its event loop in a thread of its own, and all that runs on it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection

from app.engine.context import Means
from app.engine.dispatch.embedded import EmbeddedDispatcher
from app.engine.dispatch.reconcile import take_up_after_start
from app.engine.dispatch.tickets import RunTicket
from app.engine.holds import release_connection, resume_connection, wake_line
from app.engine.orders import Orders
from app.engine.runs import Runs
from app.errors import AppError
from app.log import fields
from app.storage.cluster.crashes import put_back
from app.storage.cluster.messages import tell
from app.storage.connections.connections import set_hold
from app.storage.connections.limits import free_lanes, set_pace
from app.storage.database.db import Database
from app.storage.history import progress, turns

if TYPE_CHECKING:
    from app.engine.dispatch.procrastinate_queue import SharedDispatcher
    from app.engine.dispatch.takeover import Takeover
    from app.storage.cluster.presence import Presence

T = TypeVar("T")
log = logging.getLogger("plumbline.engine")

_BATCH = 500


class Engine:
    """Thread-safe from outside.  `loop` exists from `start` on."""

    def __init__(self, means: Means, presence: Presence | None = None, *, performs: bool = True) -> None:
        """`presence`: where others share the database.  `performs`: this process performs runs."""
        self.means = means
        self.runs = Runs(means)
        self.dispatcher: EmbeddedDispatcher | SharedDispatcher = self._embedded()
        self._takeover: Takeover | None = None
        if presence is not None:
            self.dispatcher = self._shared(presence, performs)
            self._takeover = _takeover(means.database)
            presence.on_message = self._hear
        self.runs.version_known = self.dispatcher.look_again
        self.runs.stand_aside = self.dispatcher.stand_aside
        self.runs.hand_over = self.enqueue
        self.orders = Orders(means.database, means.clock, self.enqueue, self.drop)
        self.is_paused = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def _embedded(self) -> EmbeddedDispatcher:
        means, runs = self.means, self.runs
        slots = means.settings.concurrency
        return EmbeddedDispatcher(runs.execute, means.clock, slots=slots, most_at_once=runs.most_at_once)

    def _shared(self, presence: Presence, performs: bool) -> SharedDispatcher:
        # with PostgreSQL alone: the libraries behind it take a fifth of a second to import
        from app.engine.dispatch.procrastinate_queue import SharedDispatcher

        means, runs = self.means, self.runs
        return SharedDispatcher(
            means.database,
            presence,
            runs.execute,
            means.clock,
            slots=means.settings.concurrency,
            performs=performs,
            most_at_once=runs.most_at_once,
        )

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
        self.spawn(self.means.caller.start()).result(30)
        if take_up and self._takeover is None:
            take_up_after_start(self.means.database, self.dispatcher)
            self._mend_turns()
        self.dispatcher.start(self.loop)

    def stop(self, grace_s: float = 20) -> None:
        if self._loop is None or self._thread is None:
            return
        broken_off = self.spawn(self.dispatcher.stop(grace_s)).result(grace_s + 5)
        if broken_off:
            log.warning("%s", fields(event="runs_broken_off", number=broken_off))
            if self._takeover is None:
                with contextlib.suppress(AppError):  # the next start counts one stop too many
                    self.means.database.write(put_back)
        self.spawn(break_off_the_rest()).result(10)
        self.spawn(self.means.caller.close()).result(10)
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
        now = self.means.clock.now()

        def queue_batch(db: Connection) -> list[progress.OpenRun]:
            runs = progress.due(db, now, limit=_BATCH)
            for run in runs:
                progress.queue_again(db, run[0])
            return runs

        with self.means.database.read() as db:
            if not progress.due(db, now, limit=1):
                return 0
        total = 0
        while woken := self.means.database.write(queue_batch):
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
        with self.means.database.read() as db:
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
        with self.means.database.read() as db:
            if not turns.anything(db):
                return 0
        following = self.means.database.write(lambda db: turns.fix(db, limit=_BATCH))
        self.runs.pass_on(following)
        return len(following)

    def release_connection(self, connection_id: str) -> int:
        """A person fixed it: its pause ends, and the runs that waited for it go on.  How many."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.means.caller.limits.lift, connection_id)
        means = self.means
        means.database.write(lambda db: tell(db, "fixed", connection_id))
        return release_connection(means.database, means.connections, self.dispatcher, connection_id)

    def hold_connection(self, connection_id: str, reason: str) -> None:
        """A person holds it: no call goes out with it, and who needs it waits.  What comes in is kept."""
        means = self.means

        def mark(db: Connection) -> None:
            set_hold(db, connection_id, reason)
            tell(db, "changed", connection_id)

        means.database.write(mark)
        means.connections.forget(connection_id)

    def resume_connection(self, connection_id: str) -> int:
        """Who waited for it goes on, at the pace of the service.  How many."""
        means = self.means

        def mark(db: Connection) -> None:
            set_hold(db, connection_id, None)
            tell(db, "changed", connection_id)

        means.database.write(mark)
        return resume_connection(means.database, means.connections, self.dispatcher, connection_id)

    def try_connection(self, connection_id: str) -> int:
        """A person does not want to wait for the end of a pause, or until a service that failed is tried
        again.  How many runs ask for their turn anew."""
        means, now = self.means, self.means.clock.now()

        def work(db: Connection) -> None:
            free_lanes(db, connection_id, now)
            tell(db, "fixed", connection_id)

        means.database.write(work)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(means.caller.limits.lift, connection_id)
        return wake_line(means.database, self.dispatcher, connection_id)

    def set_pace(self, connection_id: str, pace: Any) -> int:
        """Other numbers for a connection, as `write_pace` makes them.  Who waits in its line asks anew."""
        means = self.means

        def work(db: Connection) -> None:
            set_pace(db, connection_id, pace)
            tell(db, "pace", connection_id)

        means.database.write(work)
        means.connections.forget(connection_id)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(means.caller.limits.renumber, connection_id)
        return wake_line(means.database, self.dispatcher, connection_id)

    def drop(self, run_ids: Sequence[str]) -> None:
        """These are cancelled in the database: nothing more of them is performed here."""
        left = [run_id for run_id in run_ids if not self.runs.cancel(run_id)]

        def leave(db: Connection) -> list[progress.OpenRun | None]:
            return [turns.leave(db, run_id) for run_id in left]

        if left:
            self.runs.pass_on(self.means.database.write(leave))

    def _hear(self, word: str, value: str) -> None:
        """Another process tells what it did."""
        if self._loop is None:
            return
        if word == "cancel":
            self._loop.call_soon_threadsafe(self.runs.cancel, value)
        elif word == "changed":
            self.means.connections.forget(value)
        elif word == "fixed":
            self.means.connections.forget(value)
            self._loop.call_soon_threadsafe(self.means.caller.limits.lift, value)
        elif word == "pace":
            self.means.connections.forget(value)
            self._loop.call_soon_threadsafe(self.means.caller.limits.renumber, value)
        elif word == "lane":
            self._loop.call_soon_threadsafe(self.means.caller.limits.hear, value)


def _takeover(database: Database) -> Takeover:
    from app.engine.dispatch.takeover import Takeover

    return Takeover(database)


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
