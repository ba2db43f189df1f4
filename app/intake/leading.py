"""Which of several schedulers ticks: the one that holds a lock of the database, for as long as it does.

The lock belongs to a session of its own: when that ends, by a stop, a kill or a broken line, the
database gives it to whoever asks next, and everybody asks twice a second.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import psycopg

from app.log import fields
from app.storage.database.db import KEEPALIVES, libpq_address

log = logging.getLogger("plumbline.leader")

ASK_EVERY_S = 0.5
_LOCK = 7_205_759_404


class Leader:
    """`gained` and `lost` are called from one thread, in turn.  `may_lead`: asked before each try."""

    def __init__(
        self, url: str, *, gained: Callable[[], None], lost: Callable[[], None], may_lead: Callable[[], bool]
    ) -> None:
        self._address = libpq_address(url)
        self._gained = gained
        self._lost = lost
        self._may_lead = may_lead
        self._stopping = threading.Event()
        self.leads = False
        self._thread = threading.Thread(target=self._work, name="leader", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                with psycopg.connect(self._address, autocommit=True, **KEEPALIVES) as session:  # type: ignore[arg-type]
                    self._stand(session)
            except Exception as reason:
                log.warning("%s", fields(event="leading_interrupted", reason=type(reason).__name__))
            finally:
                self._step_down()
            self._stopping.wait(ASK_EVERY_S)

    def _stand(self, session: psycopg.Connection[tuple[bool]]) -> None:
        while not self._stopping.is_set():
            if self.leads:
                session.execute("SELECT true")  # raises once the session is gone, and the lock with it
                if not self._may_lead():
                    return
            elif self._may_lead() and self._take(session):
                self.leads = True
                log.info("%s", fields(event="leads"))
                self._gained()
            self._stopping.wait(ASK_EVERY_S)

    def _take(self, session: psycopg.Connection[tuple[bool]]) -> bool:
        row = session.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        return row is not None and row[0]

    def _step_down(self) -> None:
        if self.leads:
            self.leads = False
            log.info("%s", fields(event="leads_no_longer"))
            self._lost()
