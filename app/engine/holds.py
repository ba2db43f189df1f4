"""Stopped on purpose or by alarm, with everything kept: connections and flows that are held."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection, update

from app.calls.connections.book import ConnectionFacts
from app.changes import ConnectionChanged
from app.engine.dispatch.tickets import RunTicket
from app.engine.runtime import Runtime
from app.storage.connections.connections import is_free
from app.storage.database.executor import Executor
from app.storage.history import progress
from app.storage.history.progress import OpenRun
from app.storage.tables.models import Connection as ConnectionRow
from app.storage.tables.models import Flow

_BATCH = 500


async def hold_connection(runtime: Runtime, connection: ConnectionFacts, sentence: str) -> None:
    """Its credentials no longer work: runs that need it wait from now on, nothing is lost."""

    def mark(db: Connection) -> None:
        db.execute(
            update(ConnectionRow)
            .where(ConnectionRow.id == connection.id)
            .values(state="broken", state_sentence=sentence)
        )

    await runtime.database.writer.awrite(mark, patient=True)
    runtime.changes.tell(ConnectionChanged(connection.id))


def release_connection(runtime: Runtime, connection_id: str) -> int:
    """The connection works again: all runs that waited for it go on, unless a person holds it.  How
    many."""

    def mark(db: Connection) -> None:
        db.execute(
            update(ConnectionRow)
            .where(ConnectionRow.id == connection_id)
            .values(state="ok", state_sentence="")
        )

    runtime.database.write(mark)
    return resume_connection(runtime, connection_id)


def resume_connection(runtime: Runtime, connection_id: str) -> int:
    """Who waits for the connection is queued, unless it is held or broken.  How many."""
    runtime.changes.tell(ConnectionChanged(connection_id))  # or the first of them would find it as it was
    with runtime.database.read() as db:
        if not is_free(db, connection_id):
            return 0
    return _release(runtime, lambda db: progress.waiting_for_connection(db, connection_id, limit=_BATCH))


def wake_line(runtime: Runtime, connection_id: str) -> int:
    """Who waits for a turn at the connection asks anew, each once: some lie down again at once.  How
    many."""

    def queue_batch(db: Connection, after: str) -> list[OpenRun]:
        runs = progress.waiting_for_turn(db, connection_id, after=after, limit=_BATCH)
        progress.queue_all_again(db, [run[0] for run in runs])
        return runs

    woken, last = 0, ""
    while runs := runtime.database.write(partial(queue_batch, after=last)):
        runtime.dispatcher.enqueue([RunTicket(*run, fresh=False) for run in runs])
        woken, last = woken + len(runs), runs[-1][0]
    return woken


def hold_flow(runtime: Runtime, flow_id: str, reason: str = "") -> None:
    """New events are still accepted and stored; their runs wait."""
    runtime.database.write(lambda db: _mark_flow(db, flow_id, held=True, reason=reason))


def release_flow(runtime: Runtime, flow_id: str) -> int:
    """The runs that waited for it go on.  How many."""
    runtime.database.write(lambda db: _mark_flow(db, flow_id, held=False))
    return _release(runtime, lambda db: progress.waiting_for_flow(db, flow_id, limit=_BATCH))


def _mark_flow(db: Connection, flow_id: str, *, held: bool, reason: str = "") -> None:
    values = {"is_held": held, "hold_reason": reason or None}
    db.execute(update(Flow).where(Flow.id == flow_id).values(**values))


def _release(runtime: Runtime, find: Callable[[Executor], list[OpenRun]]) -> int:
    """In batches, oldest first; each batch is queued in the database before it is handed over."""

    def queue_batch(db: Connection) -> list[OpenRun]:
        runs = find(db)
        for run in runs:
            progress.queue_again(db, run[0])
        return runs

    released = 0
    while runs := runtime.database.write(queue_batch):
        runtime.dispatcher.enqueue([RunTicket(*run, fresh=False) for run in runs])
        released += len(runs)
    return released
