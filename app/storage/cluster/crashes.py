"""How often the server ended while a run was under way without getting any further."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, update

from app.storage.database.writer import Row, Statement
from app.storage.tables.models import Run

GOT_FURTHER = Statement(
    update(Run).where(Run.id == bindparam("of_run")).values(crashes=bindparam("to_crashes")), 39
)


def got_further(run_id: str) -> Row:
    """What ended the server before was not this run: it is past the step at which it stood."""
    return {"of_run": run_id, "to_crashes": 0}


def put_back(db: Connection) -> None:
    """The server stops in good order: what it broke off waits in line again, and counts as no crash.
    Only for a process that has the database to itself."""
    db.execute(update(Run).where(Run.state == "running").values(state="queued"))
