"""The clock's work: what is due is handed on once a second; nothing is ever done in the tick itself.

What is due lies in the database, so a restart loses nothing and one tick looks after all flows.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Connection

from app.engine.dispatch.tickets import RunTicket
from app.engine.runtime import Runtime
from app.errors import Unavailable
from app.intake import firing
from app.intake.polls.polling import LEASE, poll_once
from app.intake.subscriptions.rows import settle_all
from app.intake.subscriptions.work import LEASE as TALK
from app.intake.subscriptions.work import look_after
from app.log import fields
from app.storage.database.server_values import note_the_time, put_value
from app.storage.database.shrink import give_back
from app.storage.flows import subscriptions, triggers
from app.storage.flows.standstill import stands_still
from app.storage.flows.triggers import DueTrigger
from app.storage.upkeep.keep_rules import read_rules
from app.storage.upkeep.retention import prune

T = TypeVar("T")
log = logging.getLogger("plumbline.ticks")

_AT_ONCE = 200
_SERVICES_AT_ONCE = 20
_PROBE = "last written after trouble"
_JITTER = (0.95, 1.05)

Job = tuple[str, Callable[[], object], int]  # name, work, every how many seconds


class RunEngine(Protocol):
    """What the clock asks of the engine; all of it may be called from any thread."""

    def spawn(self, work: Coroutine[Any, Any, T]) -> Future[T]: ...

    def wake_due(self) -> object:
        """Brings runs whose wait is over to execution."""

    def work_orders(self) -> object:
        """Goes on with what people ordered for many runs."""

    def sweep(self) -> object:
        """Takes up runs whose process went away."""

    def pause(self) -> None:
        """Begins no run: the disk is almost full."""

    def resume(self) -> None: ...


class Ticks:
    """`jobs`: what the layers above want done, besides what is due here."""

    def __init__(self, runtime: Runtime, engine: RunEngine, jobs: Sequence[Job] = ()) -> None:
        self._runtime = runtime
        self._engine = engine
        self._jobs = jobs
        self._scheduler: BackgroundScheduler | None = None
        self._stopping = threading.Event()
        self._has_settled = False

    def start(self) -> None:
        """Leases of polls that an earlier process left behind are void: the caller holds the lock of
        the data folder."""
        now = self._runtime.clock.now()
        self._runtime.database.write(lambda db: triggers.end_leases(db, now))
        self._runtime.database.write(subscriptions.void_leases)
        self._has_settled = False
        self._stopping.clear()
        scheduler = BackgroundScheduler(
            timezone="UTC",
            executors={"default": ThreadPoolExecutor(8)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        jobs: list[Job] = [
            ("poll_tick", self.start_due, 1),
            ("subscription_tick", self.tell_services, 1),
            ("timer_tick", self._engine.wake_due, 1),
            ("lease_sweep", self._engine.sweep, 2),
            ("orders", self._engine.work_orders, 1),
            ("disk", self.look_at_disk, 1),
            ("retention", self.prune, 3600),
            *self._jobs,
        ]
        for name, work, every_s in jobs:
            # whoever takes over from another scheduler looks at once what is due
            first = {"next_run_time": datetime.now(UTC)} if every_s == 1 else {}
            scheduler.add_job(self._guarded(name, work), "interval", seconds=every_s, id=name, **first)
        scheduler.start()
        self._scheduler = scheduler

    def stop(self) -> None:
        self._stopping.set()
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=True)
            self._scheduler = None

    def _guarded(self, name: str, work: Callable[[], object]) -> Callable[[], None]:
        """A tick that fails says so and comes again."""

        def tick() -> None:
            try:
                work()
            except Unavailable as reason:
                log.warning("%s", fields(event="tick_put_off", tick=name, reason=reason.sentence))
            except Exception:
                log.exception("%s", fields(event="tick_failed", tick=name))

        return tick

    # ------------------------------------------------------------------------------ what is due

    def start_due(self) -> int:
        """Polls are begun and schedules fire; how many.  What is due while the disk is almost full
        stays due, and is caught up with."""
        if self._is_in_need():
            return 0
        now = self._runtime.clock.now()
        with self._runtime.database.read() as db:
            due = triggers.due(db, now, limit=_AT_ONCE, without=stands_still(db))
        self._begin_polls([one for one in due if one.kind != "schedule"], now)
        for one in due:
            if self._stopping.is_set():
                break
            if one.kind == "schedule":
                self._try_to_fire(one, now)
        return len(due)

    def _try_to_fire(self, one: DueTrigger, now: datetime) -> None:
        """A flow that cannot be started must not keep the others from it."""
        try:
            self._fire(one, now)
        except Exception:
            log.exception("%s", fields(event="trigger_failed", flow=one.flow_id))

    def _fire(self, one: DueTrigger, now: datetime) -> None:
        fire = firing.plan_fire(one, now)
        ticket: RunTicket | None = self._runtime.database.write(
            lambda db: firing.write_fire(db, one, fire, now)
        )
        if ticket is not None:
            self._runtime.dispatcher.enqueue([ticket])

    def _begin_polls(self, due: list[DueTrigger], now: datetime) -> None:
        """The next moment and the lease of each are on disk before any of them begins: one commit for
        all that one second brings."""
        if not due or self._stopping.is_set():
            return

        def work(db: Connection) -> list[str]:
            return [one.flow_id for one in due if _take_poll(db, one, now)]

        for flow_id in self._runtime.database.write(work):
            self._engine.spawn(poll_once(self._runtime, flow_id))

    # ------------------------------------------------------------------------------ services

    def tell_services(self) -> list[Future[None]]:
        """What services have to be told, flow by flow, besides everything else."""
        if self._is_in_need() or self._stopping.is_set():
            return []
        now = self._runtime.clock.now()
        if not self._has_settled:
            settle_all(self._runtime, now)
            self._has_settled = True
        with self._runtime.database.read() as db:
            due = subscriptions.flows_with_work(db, now, limit=_SERVICES_AT_ONCE, without=stands_still(db))
        taken = [flow_id for flow_id in due if self._take_talk(flow_id, now)]
        return [self._engine.spawn(look_after(self._runtime, flow_id)) for flow_id in taken]

    def _take_talk(self, flow_id: str, now: datetime) -> bool:
        until = now + TALK
        return self._runtime.database.write(
            lambda db: subscriptions.take_leases(db, flow_id, now=now, until=until)
        )

    # ------------------------------------------------------------------------ room on the disk

    def look_at_disk(self) -> None:
        """Without room for what runs bring back none is begun; with it they go on by themselves."""
        space = self._runtime.space
        if self._is_in_need():
            self._engine.pause()
        else:
            self._engine.resume()
        space.keep_reserve()
        if self._runtime.database.writer.trouble is not None:
            space.give_up_reserve()
            now = self._runtime.clock.now().isoformat()
            self._runtime.database.write(lambda db: put_value(db, _PROBE, now))  # is it over?

    def _is_in_need(self) -> bool:
        return self._runtime.space.is_low or self._runtime.database.writer.trouble is not None

    # ------------------------------------------------------------------------------- retention

    def prune(self) -> None:
        """What is old goes, and the room it took goes back to the disk."""
        database, now = self._runtime.database, self._runtime.clock.now()
        database.write(lambda db: note_the_time(db, now))
        with database.read() as db:
            rules = read_rules(db, self._runtime.settings.history_days)
        gone = prune(database, now=now, rules=rules, wait=self._stopping.wait)
        pages = give_back(database, self._stopping.wait)
        if gone.runs or gone.deliveries or pages:
            log.info("%s", fields(event="pruned", runs=gone.runs, deliveries=gone.deliveries, pages=pages))


def _take_poll(db: Connection, one: DueTrigger, now: datetime) -> bool:
    """False = another tick has it, or the look before is not over."""
    wait = timedelta(seconds=one.interval_s * random.uniform(*_JITTER))  # noqa: S311
    busy = one.lease_until is not None and one.lease_until > now
    lease = None if busy else now + LEASE
    taken = triggers.advance(db, one.flow_id, due_at=one.due_at, next_due_at=now + wait, lease_until=lease)
    return taken and not busy
