"""What is looked after by the clock: the ledger, what alerts are about, and telling of them.  Only the
process that ticks does so: of several, the one that leads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from app.catalog.registry import Registry
from app.errors import Unavailable
from app.log import fields
from app.storage.cluster.processes import has_role
from app.storage.database.space import Space
from app.storage.upkeep import alerts
from app.storage.upkeep.alerts import Noticed
from app.storage.upkeep.ledger_days import flow_names, forget_old_days
from app.watch.ledger import count_up
from app.watch.ledger_check import check
from app.watch.looks import LOOKS, MOST_CAUSES, View
from app.watch.renamed import forget_mended
from app.watch.telling import Post, tell

log = logging.getLogger("plumbline.watch")

_HALF_A_MINUTE_S, _MINUTE_S, _HOUR_S = 30, 60, 3600
_NO_WORKER_FOR = timedelta(seconds=60)
_TOLD_KEPT = timedelta(days=2)
_SELDOM = {"quiet": timedelta(minutes=10)}  # what asks a question or more of each flow

Spawn = Callable[[Coroutine[Any, Any, Any]], "Future[Any]"]


class Rounds:
    """`spawn`: has something done in the loop that calls are made in."""

    def __init__(self, post: Post, registry: Registry, space: Space, spawn: Spawn) -> None:
        self._post = post
        self._database = post.database
        self._clock = post.clock
        self._registry = registry
        self._space = space
        self._spawn = spawn
        self._alone_since: datetime | None = None
        self._next_look: dict[str, datetime] = {}
        self._telling: Future[Any] | None = None

    def jobs(self) -> list[tuple[str, Callable[[], object], int]]:
        """Name, work, every how many seconds."""
        return [
            ("ledger", self.count, _MINUTE_S),
            ("ledger_check", self.check_ledger, _HOUR_S),
            ("alerts", self.look, _HALF_A_MINUTE_S),
            ("alerts_told", self.tell, _HALF_A_MINUTE_S),
        ]

    # ------------------------------------------------------------------------------ the ledger

    def count(self) -> None:
        count_up(self._database, self._clock.now())

    def check_ledger(self) -> None:
        now = self._clock.now()
        for wrong in check(self._database, now):
            flow, day = wrong.slot
            log.error("%s", fields(event="ledger_differs", flow=flow, day=day, number=wrong.difference))
        self._database.write(lambda db: _forget(db, now))

    # ------------------------------------------------------------------------------- the alerts

    def look(self) -> None:
        """What was found becomes alerts, and those whose cause is gone end."""
        now = self._clock.now()
        with self._database.read() as db:
            found, looked_for = self._look(db, now)
            if not alerts.compare(db, found, looked_for=looked_for):
                return
        self._database.write(lambda db: alerts.bring_up_to_date(db, found, looked_for=looked_for, now=now))

    def _look(self, db: Connection, now: datetime) -> tuple[list[Noticed], set[str]]:
        """A look that fails says so and hides no other."""
        view = View(db, now, self._registry, self._space, flow_names(db))
        found: list[Noticed] = []
        looked_for: set[str] = set()
        for kind, look in LOOKS.items():
            if self._next_look.get(kind, now) > now:
                continue
            try:
                of_kind = list(look(view))
            except Exception:
                log.exception("%s", fields(event="look_failed", kind=kind))
                db.rollback()
                continue
            found += of_kind
            if kind in _SELDOM:
                self._next_look[kind] = now + _SELDOM[kind]
            if kind != "dead_letters" or len(of_kind) < MOST_CAUSES:
                looked_for.add(kind)
        return [*found, *self._without_worker(db, now)], looked_for | {"worker"}

    def _without_worker(self, db: Connection, now: datetime) -> list[Noticed]:
        if self._database.is_sqlite or has_role(db, "worker"):
            self._alone_since = None
            return []
        self._alone_since = self._alone_since or now
        if now - self._alone_since < _NO_WORKER_FOR:
            return []
        sentence = "No worker is there: what comes in is kept, but nothing is done until one is started."
        return [Noticed("worker", "server", "worker", "worker", sentence, "See the server", "/health")]

    # ---------------------------------------------------------------------------------- telling

    def tell(self) -> None:
        """Nobody waits for it: a mail server may be slow, and a stop must not be."""
        if self._telling is None or self._telling.done():
            self._telling = self._spawn(_tell(self._post))


async def _tell(post: Post) -> None:
    try:
        await tell(post)
    except Unavailable as reason:
        log.warning("%s", fields(event="telling_put_off", reason=reason.sentence))
    except Exception:
        log.exception("%s", fields(event="telling_failed"))


def _forget(db: Connection, now: datetime) -> None:
    alerts.forget_old_alerts(db, now)
    alerts.forget_old_mails(db, now - _TOLD_KEPT)
    forget_old_days(db, now)
    forget_mended(db, now)
