"""Bring the schema to what this release needs: on start, in one transaction, one process at a time."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import make_url

from app.errors import SettingInvalid
from app.log import fields
from app.storage.database.backup import copy_database
from app.storage.database.db import Database
from app.storage.database.server_values import get_value, put_value

log = logging.getLogger("plumbline.storage")

_LOCK = 7_205_759_403
_JOBS = "job_queue_schema"
_FOLDER = Path(__file__).parent / "migrations"
_KNOWN = sorted(path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*_*.py"))


def migrate(database: Database) -> bool:
    """True if the database was empty before.  A file that is brought to another schema is copied before."""
    if database.is_sqlite:
        keep_before_upgrade(database)
    return database.write(lambda db: _migrate(db, is_sqlite=database.is_sqlite))


def keep_before_upgrade(database: Database) -> Path | None:
    """Where the copy is; None when the file needs none.  One a day: a server that does not get past its
    upgrade and starts again and again must not fill the disk.  Raises SettingInvalid without room."""
    with database.read() as db:
        schema = schema_of(db)
    if schema is None or schema == schema_head() or schema not in _KNOWN:
        return None
    now, source = datetime.now(UTC), Path(make_url(database.url).database or "")
    target = source.with_name(f"before-upgrade-{schema}-{now:%Y%m%d}.db")
    if target.exists():
        return target
    copy = copy_database(source, target, now=now, release="")
    log.warning("%s", fields(event="copied_before_upgrade", path=copy.path, schema=schema))
    return copy.path


def schema_head() -> str:
    """The schema this code works with: the number that the newest migration's file begins with."""
    return _KNOWN[-1]


def schema_of(db: Connection) -> str | None:
    """The schema the database has; None while it is empty."""
    if not inspect(db).has_table("alembic_version"):
        return None
    schema: str | None = db.scalar(text("SELECT version_num FROM alembic_version"))
    return schema


def _migrate(db: Connection, *, is_sqlite: bool) -> bool:
    if not is_sqlite:
        db.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    was_empty = not inspect(db).has_table("flows")
    current = schema_of(db)
    if current is not None and current not in _KNOWN:
        raise SettingInvalid(
            f"This database was written by a newer release of Plumbline (schema {current}).",
            remedy="Install that release again, or restore the backup made before the upgrade.",
        )
    if schema_of(db) != schema_head():
        from alembic import command  # a tenth of a second that a start without an upgrade does not need
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_FOLDER))
        config.attributes["connection"] = db
        command.upgrade(config, "head")
    if not is_sqlite:
        # The job queue's own tables: made by its package, and brought on by the files it ships.
        from procrastinate.schema import (
            SchemaManager,  # with PostgreSQL alone: it would slow down every start
        )

        files = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
        known = get_value(db, _JOBS)
        if known is None:
            _run_script(db, SchemaManager.get_schema())
        for file in files if known is not None else ():
            if file.name > known:
                _run_script(db, file.read_text())
        if files and known != files[-1].name:
            put_value(db, _JOBS, files[-1].name)
    return was_empty


def _run_script(db: Connection, script: str) -> None:
    db.exec_driver_sql(script, execution_options={"no_parameters": True})
