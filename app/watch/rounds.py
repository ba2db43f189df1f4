"""What is looked after by the clock: the ledger is counted and checked.  Only the process that ticks does
so: of several, the one that leads."""

from __future__ import annotations

import logging
from collections.abc import Callable

from app.clock import Clock
from app.log import fields
from app.settings import Settings
from app.storage.db import Database
from app.watch.ledger import count_up
from app.watch.ledger_check import check

log = logging.getLogger("plumbline.watch")

_MINUTE_S, _HOUR_S = 60, 3600


class Rounds:
    def __init__(self, settings: Settings, clock: Clock, database: Database) -> None:
        self._settings = settings
        self._clock = clock
        self._database = database

    def jobs(self) -> list[tuple[str, Callable[[], object], int]]:
        """Name, work, every how many seconds."""
        return [
            ("ledger", self.count, _MINUTE_S),
            ("ledger_check", self.check_ledger, _HOUR_S),
        ]

    def count(self) -> None:
        count_up(self._database, self._clock.now())

    def check_ledger(self) -> None:
        for wrong in check(self._database, self._clock.now()):
            flow, day = wrong.slot
            log.error("%s", fields(event="ledger_differs", flow=flow, day=day, number=wrong.difference))
