"""What lookups have found, per connection, for as long as it may be believed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from app.storage.database.executor import Executor
from app.storage.tables.models import LookupCache


def get_found(db: Executor, connection_id: str, name: str, *, since: datetime) -> list[Any] | None:
    """None = never fetched, or before `since`."""
    query = select(LookupCache.items).where(
        LookupCache.connection_id == connection_id,
        LookupCache.name == name,
        LookupCache.fetched_at >= since,
    )
    found = db.execute(query).scalar_one_or_none()
    return found if isinstance(found, list) else None


def keep_found(db: Connection, connection_id: str, name: str, items: list[Any], *, now: datetime) -> None:
    db.execute(
        delete(LookupCache).where(LookupCache.connection_id == connection_id, LookupCache.name == name)
    )
    values = {"connection_id": connection_id, "name": name, "fetched_at": now, "items": items}
    db.execute(insert(LookupCache), values)
