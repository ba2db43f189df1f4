"""Small facts about this installation, by name."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from app.storage.database.executor import Executor
from app.storage.tables.models import ServerValue

_TIME = "latest time seen"


def get_value(db: Executor, name: str) -> Any:
    """None when nothing was kept under that name."""
    return db.execute(select(ServerValue.value).where(ServerValue.name == name)).scalar()


def put_value(db: Connection, name: str, value: Any) -> None:
    db.execute(delete(ServerValue).where(ServerValue.name == name))
    db.execute(insert(ServerValue), {"name": name, "value": value})


def note_the_time(db: Connection, now: datetime) -> None:
    """Kept now and then by the server: a clock that goes back is noticed by it."""
    seen = latest_time(db)
    if seen is None or seen < now:
        put_value(db, _TIME, now.isoformat())


def latest_time(db: Executor) -> datetime | None:
    kept = get_value(db, _TIME)
    return datetime.fromisoformat(kept) if kept else None
