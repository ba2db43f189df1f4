"""One run from its ticket to its end: take it up, walk its steps, put the outcome on record."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import orjson
from sqlalchemy.exc import OperationalError

from app.engine.context import RunContext
from app.engine.dispatch.tickets import RunTicket
from app.engine.interpret import run_steps
from app.engine.runtime import Runtime
from app.engine.signals import BranchEnds, RunEnds, RunWaits
from app.engine.steps.renamed import RenamedFields
from app.engine.turns import lie_down
from app.engine.versions import Version, VersionBook
from app.errors import AppError, Unavailable
from app.log import fields
from app.storage.flows import callbacks
from app.storage.history import gathered, progress, resends, turns
from app.storage.history.events import delivery_scope
from app.storage.history.progress import OpenRun, RunFacts, StepFacts

T = TypeVar("T")
log = logging.getLogger("plumbline.engine")

_MOST_CRASHES = 3
_MOST_CANCELLED = 10_000
# What a run waits for may come while it lies down.
_MET_HALFWAY = {
    callbacks.REASON: callbacks.called_meanwhile,
    gathered.REASON: gathered.settled_meanwhile,
    "held_connection": progress.released_meanwhile,
}
_SUSPECT = 2  # after so many crashes a run is performed with no other suspect beside it


class Runs:
    """Executes tickets; `active` holds the runs under way in this process."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.versions = VersionBook(runtime.database)
        self.renamed = RenamedFields(runtime.database, self._read)
        self.active: dict[str, RunContext | None] = {}
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="engine-read")
        self._one_suspect = asyncio.Lock()
        self._cancelled: OrderedDict[str, None] = OrderedDict()  # perhaps in line here, not to be performed

    def close(self) -> None:
        self._readers.shutdown(wait=False)

    async def execute(self, ticket: RunTicket) -> datetime | None:
        """Perform what can be performed now.  The moment to come back, if there is one."""
        self.active[ticket.run_id] = None
        try:
            ctx = await self._take_up(ticket)
            if ctx is None or (ctx.is_one_by_one and not await self._is_its_turn(ctx)):
                return None
            if ticket.run_id in self._cancelled:
                return None
            self.active[ticket.run_id] = ctx
            if ticket.after_stop:
                return await self._perform_after_stop(ctx)
            return await self._perform(ctx)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("%s", fields(event="run_broke", run=ticket.run_id))
            raise
        finally:
            self.active.pop(ticket.run_id, None)
            self._cancelled.pop(ticket.run_id, None)

    def cancel(self, run_id: str) -> bool:
        """What this process has of it, in line or under way, makes no further call.  True = it is under
        way, and will itself leave the line of its key."""
        ctx = self.active.get(run_id)
        if ctx is not None:
            ctx.cancelled = True
            return True
        self._cancelled[run_id] = None
        while len(self._cancelled) > _MOST_CANCELLED:
            self._cancelled.popitem(last=False)
        return False

    def most_at_once(self, version_id: str) -> int | None:
        """The flow's own setting; 0 = it has none, None = nobody here has read it yet."""
        version = self.versions.kept(version_id)
        return None if version is None else version.definition.most_at_once or 0

    # ------------------------------------------------------------------------------ taking up

    async def _take_up(self, ticket: RunTicket) -> RunContext | None:
        version = self.versions.kept(ticket.version_id)
        if version is None:
            version = await self._read(lambda: self.versions.get(ticket.version_id))
            self.runtime.dispatcher.look_again()
        known = version
        if ticket.fresh and ticket.payload is not None:
            scope = _scope(version, ticket.run_id, ticket.payload, self.runtime.clock.now())
            if version.wants_delivery:
                scope["delivery"] = ticket.delivery
            return RunContext(self.runtime, ticket.run_id, version, scope, renames=self.renamed)
        return await self._read(lambda: self._take_up_again(ticket, known))

    def _take_up_again(self, ticket: RunTicket, version: Version) -> RunContext | None:
        """From what is on record; None when the run has ended or waits for something else."""
        with self.runtime.database.read() as db:
            facts = progress.run_facts(db, ticket.run_id)
            if facts is None or facts.state not in ("queued", "running", "waiting"):
                return None
            again = resends.facts(db, facts.id) if facts.replay_of is not None else resends.AS_IT_CAME
            payload = again.payload or progress.event_payload(db, facts.event_id)
            scope = _scope(version, facts.id, payload, facts.started_at or facts.created_at)
            if version.wants_delivery and (delivery := progress.delivery_of(db, facts.event_id)):
                scope["delivery"] = delivery_scope(delivery.method, delivery.headers, delivery.query)
            ctx = RunContext(
                self.runtime,
                facts.id,
                version,
                scope,
                records=progress.step_facts(db, facts.id),
                calls=progress.count_calls(db, facts.id),
                findings=facts.findings,
                started_at=facts.started_at,
                crashes=facts.crashes,
                position=facts.position,
                kept_keys=again.keys,
                renames=self.renamed,
            )
        return self._unless_poison(ctx, facts)

    def _unless_poison(self, ctx: RunContext, facts: RunFacts) -> RunContext | None:
        if facts.crashes < _MOST_CRASHES:
            return ctx
        sentence = (
            f"Plumbline stopped {facts.crashes} times while this run was under way, "
            "so it is not tried again by itself."
        )
        for key in [key for key, record in ctx.records.items() if _is_call_under_way(record)]:
            ctx.end_step(
                key, "unknown", sentence="Plumbline stopped while this was sent: it may have arrived."
            )
        ctx.end(RunEnds("dead", sentence, step_key=facts.position, error_kind="unavailable", about="stopped"))
        self.runtime.database.writer.write_rows(ctx.take_rows())
        if ctx.is_one_by_one:
            self.pass_on([self.runtime.database.write(lambda db: turns.leave(db, ctx.run_id))])
        return None

    async def _read(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    # ------------------------------------------------------------------------------ performing

    async def _is_its_turn(self, ctx: RunContext) -> bool:
        """Where a flow takes records of one key one at a time: else the run lies down as a row."""
        return not await self.runtime.database.writer.awrite(
            lambda db: lie_down(db, ctx.run_id), patient=True
        )

    def pass_on(self, following: Sequence[OpenRun | None]) -> None:
        self.runtime.dispatcher.enqueue(
            [RunTicket(*run, fresh=False) for run in following if run is not None]
        )

    async def _perform_after_stop(self, ctx: RunContext) -> datetime | None:
        """It may be why the server ended.  So it is on disk as under way before anything is done, and
        counts if it happens again; one that is suspected is performed apart from the others, so that
        those do not count with it."""
        if ctx.crashes < _SUSPECT:
            await ctx.mark_under_way()
            return await self._perform(ctx)
        async with self._one_suspect:
            await ctx.mark_under_way()
            return await self._perform(ctx)

    async def _perform(self, ctx: RunContext) -> datetime | None:
        try:
            waits = await self._perform_steps(ctx)
            if ctx.missed:
                await self.renamed.note(ctx)
        finally:
            await ctx.commit()
        if (waits is None or ctx.cancelled) and ctx.is_one_by_one:
            leave = self.runtime.database.writer.awrite(lambda db: turns.leave(db, ctx.run_id), patient=True)
            self.pass_on([await leave])
        if waits is not None and waits.reason in _MET_HALFWAY:
            if waits.waits_for:
                self.runtime.connections.forget(waits.waits_for)
            met = partial(_MET_HALFWAY[waits.reason], run_id=ctx.run_id, step_key=waits.step_key)
            self.pass_on([await self.runtime.database.writer.awrite(met, patient=True)])
        return waits.wake_at if waits is not None else None

    async def _perform_steps(self, ctx: RunContext) -> RunWaits | None:
        """None = the run has ended."""
        try:
            await run_steps(ctx, ctx.version.definition.steps, ctx.scope)
            ctx.end(RunEnds("succeeded"))
        except BranchEnds as ends:
            ctx.end(RunEnds("filtered", ends.sentence))
        except RunEnds as ends:
            ctx.end(ends)
        except RunWaits as waits:
            ctx.wait(waits)
            return waits
        except (Unavailable, OperationalError):  # the database's trouble, not the run's: it is swept up
            raise
        except AppError as reason:
            ctx.end(RunEnds("dead", reason.sentence, error_kind=reason.kind))
        except Exception as reason:
            log.exception("%s", fields(event="step_broke", run=ctx.run_id))
            sentence = f"Plumbline itself made a mistake ({type(reason).__name__}). Nothing more was sent."
            about = type(reason).__name__
            ctx.end(RunEnds("dead", sentence, error_kind="unavailable", about=about))
        return None


def _is_call_under_way(record: StepFacts) -> bool:
    """What paths and loops decided is kept with their beginning; a call has nothing yet."""
    return record.state == "started" and record.output is None


def _scope(version: Version, run_id: str, payload: bytes, started_at: datetime) -> dict[str, Any]:
    definition = version.definition
    run = {
        "id": run_id,
        "flow": definition.name,
        "started_at": started_at.isoformat(),
        "time_zone": definition.time_zone,
    }
    data = orjson.loads(payload)
    return {
        "trigger": data,
        definition.trigger.id: data,
        "run": run,
    }  # {{$.x}} means the trigger, whatever its id
