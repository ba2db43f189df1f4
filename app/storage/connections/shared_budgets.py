"""The row of a connection's budget, where several processes take places from it: one at a time, and for
a moment only.

It has a database connection of its own: a row that others wait for must not stay locked while a group
of other writes is gathered and flushed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, create_engine, event, text

from app.storage.database.db import KEEPALIVES
from app.storage.tables.types import to_ms

T = TypeVar("T")
Change = Callable[[Any, float], tuple[Any, T]]

_LOOK = text("SELECT windows FROM budgets WHERE connection_id = :id FOR UPDATE")
_NOW = text("SELECT extract(epoch FROM clock_timestamp())::float8")
_NEW = text(
    "INSERT INTO budgets (connection_id, windows, saved_at) VALUES (:id, '{}', 0)"
    " ON CONFLICT (connection_id) DO NOTHING"
)
_KEEP = text("UPDATE budgets SET windows = :kept, saved_at = :at WHERE connection_id = :id")
# A lost second of counting is worth less than waiting for the disk at each group of calls; and a process
# that is stopped in the middle must not keep the others out.
_SETTINGS = ("synchronous_commit = off", "idle_in_transaction_session_timeout = '5s'", "lock_timeout = '8s'")


class SharedBudgets:
    """Used by one thread."""

    def __init__(self, url: str, now: Callable[[Connection], float] | None = None) -> None:
        """`now`: seconds since 1970; by default those of the database, which all processes see."""
        self._now = now or (lambda connection: float(connection.execute(_NOW).scalar_one()))
        self._engine = create_engine(
            url, pool_size=1, max_overflow=0, pool_pre_ping=True, connect_args=dict(KEEPALIVES)
        )

        @event.listens_for(self._engine, "connect")
        def prepare(connection: Any, _record: Any) -> None:
            connection.autocommit = True
            for setting in _SETTINGS:
                connection.execute(f"SET {setting}")
            connection.autocommit = False

    def change(self, connection_id: str, work: Change[T]) -> T:
        """`work` gets what is kept and the moment, and gives what is to be kept and its own result."""
        with self._engine.begin() as db:
            kept = db.execute(_LOOK, {"id": connection_id}).scalar()
            if kept is None:
                db.execute(_NEW, {"id": connection_id})
                kept = db.execute(_LOOK, {"id": connection_id}).scalar_one()
            now = self._now(db)
            changed, result = work(orjson.loads(kept), now)
            row = {"id": connection_id, "kept": orjson.dumps(changed).decode()}
            db.execute(_KEEP, {**row, "at": to_ms(datetime.fromtimestamp(now, UTC))})
        return result

    def close(self) -> None:
        self._engine.dispose()
