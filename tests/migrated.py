"""Databases with today's tables: made once per test process, then copied, since migrating is dear."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from app.storage.database.db import Database
from app.storage.database.migrate import migrate

_TEMPLATE = "plumbline_template"


@functools.cache
def _file() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="plumbline-migrated-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _migrate(f"sqlite:///{folder / 'plumbline.db'}")
    return folder / "plumbline.db"


def _migrate(url: str) -> None:
    database = Database(url)
    database.start()
    try:
        migrate(database)
    finally:
        database.close()


def put_file(folder: Path) -> None:
    """Puts a migrated, empty database into a data folder that has none."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "plumbline.db").exists():
        shutil.copyfile(_file(), folder / "plumbline.db")


@functools.cache
def _has_template(server: str) -> bool:
    create_database(server, _TEMPLATE, migrated=False)
    _migrate(server.format(name=_TEMPLATE))
    return True


def create_database(server: str, name: str, *, migrated: bool = True) -> str:
    """Creates a PostgreSQL database and returns its address; `server`: one with `{name}` in it."""
    like = f' TEMPLATE "{_TEMPLATE}"' if migrated and _has_template(server) else ""
    admin = create_engine(server.format(name="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as db:
        db.execute(text(f'CREATE DATABASE "{name}"{like}'))
    admin.dispose()
    return server.format(name=name)


def drop_database(server: str, url: str) -> None:
    admin = create_engine(server.format(name="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as db:
        db.execute(text(f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)'))
    admin.dispose()
