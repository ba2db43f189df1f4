"""The database: one engine for reading, one connection that writes, and the session of pages."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from app.storage.database.private import make_file, make_folder
from app.storage.database.write_lock import WriteLock
from app.storage.database.writer import Writer

T = TypeVar("T")

# A line that is cut shows within seconds, not after the hours the system would wait.
KEEPALIVES = {
    "keepalives_idle": 2,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8000,
    "connect_timeout": 5,
}
# What is written is found by its key.  A plan that is kept from when a table was small must not read all
# of it, and a process that is stopped in mid-transaction must not hold its rows for good.
_POSTGRES_WRITER = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "idle_in_transaction_session_timeout": "'10s'",
}


class Database:
    """Reads see the last commit; every write goes through `writer` (group commit).

    `lock`: where two processes of one server write to the same file.  `gather_s`: see `Writer`.
    """

    def __init__(self, url: str, lock: WriteLock | None = None, *, gather_s: float = 0.0) -> None:
        self.url = url = with_driver(url)
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        self.engine = _sqlite(url, writes=False) if self.is_sqlite else _postgres(url, writes=False)
        self._write_engine = _sqlite(url, writes=True) if self.is_sqlite else _postgres(url, writes=True)
        self._lock = lock
        self.writer = Writer(self._write_engine, lock, gather_s)

    def start(self) -> None:
        if self.is_sqlite:
            # A new file is given its log here, before anybody reads: SQLite refuses two who want to do
            # that at the same time, whatever the time-out.
            self._write_engine.connect().close()
        self.writer.start()

    def close(self, *, fold: bool = True) -> None:
        """Commit what is waiting, fold the write-ahead log into the file, close all connections.
        `fold` False: another process goes on with it."""
        self.writer.close()
        if self.is_sqlite and fold:
            # With no room for it the log stays beside the file, and the next start reads both.
            with contextlib.suppress(OperationalError), self._write_engine.connect() as db:
                db.exec_driver_sql("ROLLBACK")
                db.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        self._write_engine.dispose()
        self.engine.dispose()
        if self._lock is not None:
            self._lock.close()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self.engine.connect() as db:
            yield db

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """As `read`; all its statements see the database as it was at the first of them."""
        with self.engine.connect() as db:
            if not self.is_sqlite:  # which does so anyway
                db = db.execution_options(isolation_level="REPEATABLE READ")
            yield db

    def write(self, work: Callable[[Connection], T]) -> T:
        return self.writer.write(work)


def with_driver(url: str) -> str:
    """`postgres://…` and `postgresql://…`, as hosts hand them out, mean the driver that is installed."""
    scheme, found, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if found and scheme in ("postgres", "postgresql") else url


def libpq_address(url: str) -> str:
    """The same database for what speaks to PostgreSQL without SQLAlchemy."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _sqlite(url: str, *, writes: bool) -> Engine:
    path = make_url(url).database
    if path and path != ":memory:":
        if not Path(path).parent.is_dir():
            make_folder(Path(path).parent)
        if writes and os.access(Path(path).parent, os.W_OK):
            make_file(Path(path))  # its log and the log's index get the same rights from SQLite
    engine = create_engine(url, pool_size=1 if writes else 20, max_overflow=0 if writes else 40)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (
            "busy_timeout=10000",
            "auto_vacuum=INCREMENTAL",  # takes effect in a new file only: see `retention`
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-32000",
            "wal_autocheckpoint=4000",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(db: Connection) -> None:
        db.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres(url: str, *, writes: bool) -> Engine:
    engine = create_engine(
        url,
        pool_size=1 if writes else 10,
        max_overflow=0 if writes else 30,
        pool_pre_ping=not writes,  # the writer notices by itself, and tries again
        connect_args=dict(KEEPALIVES),
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.autocommit = True
        for setting, value in _POSTGRES_WRITER.items() if writes else ():
            connection.execute(f"SET {setting} = {value}")
        connection.autocommit = False

    return engine


class _Sessions(SQLAlchemy):
    """Flask-SQLAlchemy's session per request, over the engine that the process already has."""

    def _make_engine(self, bind_key: str | None, options: dict[str, Any], app: Flask) -> Engine:
        engine = app.extensions["plumbline_database"].engine
        if not isinstance(engine, Engine):
            raise TypeError("init_sessions(app, database) comes first")
        return engine


pages_db = _Sessions()


def init_sessions(app: Flask, database: Database) -> None:
    """Pages read through `db.session`; they write through `database.write`."""
    app.extensions["plumbline_database"] = database
    app.config["SQLALCHEMY_DATABASE_URI"] = database.url
    pages_db.init_app(app)
