"""The processes that share one database: who is there, who has gone silent, who fits."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, literal_column, select, text, update

from app import __version__
from app.ids import new_id
from app.storage.database.executor import Executor
from app.storage.database.migrate import schema_head, schema_of
from app.storage.database.server_values import get_value, put_value
from app.storage.tables.models import Process
from app.storage.tables.types import Moment

# How runs, claims and jobs are to be understood.  A worker performs runs only beside a server of the
# same number: raise it whenever an older worker would misunderstand what a newer server writes.
PROTOCOL = 1

HEARTBEAT_S = 2.0
SILENT_AFTER = timedelta(seconds=10)

_DATABASE_NOW: Any = literal_column("(extract(epoch FROM clock_timestamp()) * 1000)::bigint", Moment())
_STAND_FAST = "SELECT true FROM processes WHERE id = %(id)s FOR KEY SHARE"  # part of each group


@dataclass(frozen=True, slots=True)
class ProcessRow:
    id: str
    role: str
    host: str
    pid: int
    release: str
    started_at: datetime
    seen_at: datetime
    sentence: str


class Fenced(Exception):
    """This process was taken for dead, and others do its work: it may write nothing more under its id."""


def register(db: Connection, role: str) -> str:
    """The id this process has from now on; a new one each time."""
    process_id = new_id("proc")
    values: dict[str, Any] = {
        "id": process_id,
        "role": role,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "release": __version__,
        "sentence": "",
    }
    db.execute(insert(Process).values(**values, started_at=_DATABASE_NOW, seen_at=_DATABASE_NOW))
    return process_id


def unregister(db: Connection, process_id: str) -> None:
    db.execute(delete(Process).where(Process.id == process_id))


def beat(db: Connection, process_id: str, *, sentence: str = "") -> bool:
    """False = this process was taken for dead."""
    alive = update(Process).where(Process.id == process_id)
    return db.execute(alive.values(seen_at=_DATABASE_NOW, sentence=sentence)).rowcount == 1


def stand_fast(db: Connection, process_id: str) -> None:
    """Until this transaction ends nobody can take this process for dead.  Raises Fenced when somebody
    has.  The heartbeat does not wait for this lock, but whoever takes over does."""
    if db.exec_driver_sql(_STAND_FAST, {"id": process_id}).one_or_none() is None:
        raise Fenced(process_id)


def list_processes(db: Executor) -> list[ProcessRow]:
    rows = db.execute(select(*Process.__table__.columns).order_by(Process.id))
    return [ProcessRow(**row._mapping) for row in rows]


def has_role(db: Executor, role: str) -> bool:
    """Whether some process that can be heard has it and performs it."""
    quiet = {row.id for row in silent(db)}
    there = (row for row in list_processes(db) if row.id not in quiet and not row.sentence)
    return any(role in row.role.split(",") for row in there)


def silent(db: Executor) -> list[ProcessRow]:
    """Those not heard of for longer than a heartbeat may take, by the database's clock."""
    oldest = text(
        f"(extract(epoch FROM clock_timestamp()) * 1000)::bigint - {int(SILENT_AFTER.total_seconds() * 1000)}"
    )
    rows = db.execute(select(*Process.__table__.columns).where(Process.seen_at < oldest))
    return [ProcessRow(**row._mapping) for row in rows]


# ------------------------------------------------------------------------------------ fitting


def declare(db: Connection) -> None:
    """The server says what workers beside it have to understand."""
    declared = {"protocol": PROTOCOL, "release": __version__}
    if get_value(db, "declared") != declared:
        put_value(db, "declared", declared)


def misfit(db: Connection) -> str:
    """Why this code must not perform runs of this database, as a sentence; empty when it may."""
    schema = schema_of(db)
    if schema is None:
        return "The database is empty: start `plumbline serve` once, so that it is set up."
    declared = get_value(db, "declared") or {}
    release = declared.get("release", "another release")
    if schema != schema_head():
        return (
            f"This is Plumbline {__version__} (schema {schema_head()}), but the database has schema "
            f"{schema} and belongs to {release}. Install the same release everywhere."
        )
    if declared.get("protocol") != PROTOCOL:
        return (
            f"This is Plumbline {__version__} (protocol {PROTOCOL}), but the server runs {release} "
            f"(protocol {declared.get('protocol')}). Install the same release everywhere."
        )
    return ""
