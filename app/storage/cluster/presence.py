"""This process among those that share the database: its heartbeat, and what the others tell it.

One thread, one connection of its own: a busy pool or a long transaction must not look like death.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time

import psycopg
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from app.changes import Changes, ProcessGone, from_words
from app.log import fields
from app.storage.cluster import processes
from app.storage.cluster.messages import CHANNEL
from app.storage.database.db import KEEPALIVES, libpq_address
from app.storage.database.migrate import schema_of

log = logging.getLogger("plumbline.processes")

_AGAIN_S = 0.5


class Presence:
    """`process_id` is this process's now; empty until it is registered.  `misfit`: why it must not
    perform runs.  `changes`: told what other processes announce, in this thread of its own."""

    def __init__(self, url: str, role: str, changes: Changes) -> None:
        self.role = role
        self.process_id = ""
        self.misfit = ""
        self._changes = changes
        self._url = url
        self._engine = create_engine(url, poolclass=NullPool, connect_args=dict(KEEPALIVES))
        self._stopping = threading.Event()
        self._registered = threading.Event()
        self._wants_new_id = True
        self._thread = threading.Thread(target=self._work, name="presence", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Until this process is registered."""
        return self._registered.wait(timeout_s)

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10)
        if self.process_id:
            with contextlib.suppress(SQLAlchemyError), self._engine.begin() as db:
                processes.unregister(db, self.process_id)
        self._engine.dispose()

    def begin_anew(self) -> None:
        """What was done under the old id has been broken off: a new id may be taken."""
        self._wants_new_id = True

    # ------------------------------------------------------------------------------ the thread

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self._attend()
            except (SQLAlchemyError, psycopg.Error) as reason:
                log.warning("%s", fields(event="database_away", reason=type(reason).__name__))
                self._stopping.wait(_AGAIN_S)

    def _attend(self) -> None:
        """Beats and listens until the connection breaks or the process stops."""
        address = libpq_address(self._url)
        with (
            psycopg.connect(address, autocommit=True, **KEEPALIVES) as ears,  # type: ignore[arg-type]
            self._engine.connect() as db,
        ):
            ears.execute(f"LISTEN {CHANNEL}")
            while not self._stopping.is_set():
                self._beat(db)
                until = time.monotonic() + processes.HEARTBEAT_S
                while (left := until - time.monotonic()) > 0 and not self._stopping.is_set():
                    for heard in ears.notifies(timeout=min(left, 0.25)):
                        self._hear(heard.payload)
                    if self._wants_new_id:
                        break

    def _beat(self, db: Connection) -> None:
        with db.begin():
            is_empty = schema_of(db) is None
            misfit = processes.misfit(db)
            if misfit and misfit != self.misfit:
                log.error("%s", fields(event="refuses_to_work", reason=misfit))
            elif self.misfit and not misfit:
                log.info("%s", fields(event="works_again"))
            self.misfit = misfit
        if is_empty:
            return
        with db.begin():
            if self._wants_new_id:
                self.process_id = processes.register(db, self.role)
                self._wants_new_id = False
            alive = processes.beat(db, self.process_id, sentence=self.misfit)
        self._registered.set()
        if not alive:
            log.error("%s", fields(event="taken_for_dead", process=self.process_id))
            self._changes.tell(ProcessGone(self.process_id))

    def _hear(self, payload: str) -> None:
        change = from_words(payload)
        try:
            if change is not None:
                self._changes.tell(change)
        except Exception:
            log.exception("%s", fields(event="message_failed", message=payload[:80]))
