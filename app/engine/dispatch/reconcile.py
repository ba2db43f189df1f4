"""After a start: every run that an earlier process left open is taken up again."""

from __future__ import annotations

import logging

from app.engine.dispatch.tickets import Enqueue, RunTicket
from app.log import fields
from app.storage.database.db import Database
from app.storage.history import progress

log = logging.getLogger("plumbline.engine")

_BATCH = 5000


def take_up_after_start(database: Database, dispatcher: Enqueue) -> int:
    """Queues them oldest first; counts the stop for each run that was under way, so that a run which
    brings the server down is given up after three.  How many were queued."""
    crashed = database.write(progress.count_crash)
    taken, last = 0, ""
    while True:
        with database.read() as db:
            runs = progress.under_way(db, after=last, limit=_BATCH)
        if not runs:
            break
        dispatcher.enqueue([RunTicket(*run, fresh=False, after_stop=True) for run in runs])
        taken, last = taken + len(runs), runs[-1][0]
    if taken:
        log.info("%s", fields(event="runs_taken_up", number=taken, under_way=crashed))
    return taken
