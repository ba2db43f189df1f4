"""Small facts about this installation, by name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, insert, select

from app.storage.executor import Executor
from app.storage.models import ServerValue


def get_value(db: Executor, name: str) -> Any:
    """None when nothing was kept under that name."""
    return db.execute(select(ServerValue.value).where(ServerValue.name == name)).scalar()


def put_value(connection: Connection, name: str, value: Any) -> None:
    connection.execute(delete(ServerValue).where(ServerValue.name == name))
    connection.execute(insert(ServerValue), {"name": name, "value": value})
