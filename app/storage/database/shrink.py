"""Giving the room of deleted rows back to the disk.  SQLite only: PostgreSQL has its own cleaner."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from app.storage.database.db import Database
from app.storage.database.executor import Executor

_INCREMENTAL = 2
_KEPT_PAGES = 1024  # for what is written next
_PAGES_AT_ONCE = 64
_PAUSE = 3  # times what a batch took


@dataclass(frozen=True, slots=True)
class FileFacts:
    """`shrinks`: the file was made so that it can give room back while it is used."""

    page_size: int
    pages: int
    free_pages: int
    shrinks: bool

    @property
    def size(self) -> int:
        return self.page_size * self.pages

    @property
    def used(self) -> int:
        return self.page_size * (self.pages - self.free_pages)


def file_facts(db: Executor) -> FileFacts:
    connection = db if isinstance(db, Connection) else db.connection()

    def pragma(name: str) -> int:
        return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)

    return FileFacts(
        pragma("page_size"),
        pragma("page_count"),
        pragma("freelist_count"),
        pragma("auto_vacuum") == _INCREMENTAL,
    )


def give_back(database: Database, wait: Callable[[float], bool] = lambda _seconds: False) -> int:
    """Pages given back, in small batches; 0 where the file cannot shrink."""
    if not database.is_sqlite:
        return 0
    given, began = 0, time.monotonic()
    while (freed := database.write(_give_back_some)) > 0:
        given += freed
        if wait((time.monotonic() - began) * _PAUSE):
            break
        began = time.monotonic()
    return given


def _give_back_some(db: Connection) -> int:
    facts = file_facts(db)
    wanted = min(facts.free_pages - _KEPT_PAGES, _PAGES_AT_ONCE)
    if not facts.shrinks or wanted <= 0:
        return 0
    for _ in range(wanted):  # Python's module goes one step into this statement, which is one page
        db.exec_driver_sql("PRAGMA incremental_vacuum(1)")
    return facts.free_pages - file_facts(db).free_pages


def compact(path: Path) -> tuple[int, int]:
    """Write the whole file anew, so that from then on it can shrink.  Its size before and after.
    Nothing else may use the database meanwhile; it needs twice the room of what is in it."""
    before = path.stat().st_size
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return before, path.stat().st_size
