"""Bring the schema to what this release needs: on start, in one transaction, one process at a time."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from app.errors import SettingInvalid
from app.storage.db import Database

_LOCK = 7_205_759_403
_FOLDER = Path(__file__).parent / "migrations"


def migrate(database: Database) -> bool:
    """True if the database was empty before."""
    return database.write(lambda connection: _migrate(connection, is_sqlite=database.is_sqlite))


def _migrate(connection: Connection, *, is_sqlite: bool) -> bool:
    if not is_sqlite:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    was_empty = not inspect(connection).has_table("flows")
    _refuse_newer(connection, config)
    command.upgrade(config, "head")
    return was_empty


def _refuse_newer(connection: Connection, config: Config) -> None:
    if not inspect(connection).has_table("alembic_version"):
        return
    current = connection.scalar(text("SELECT version_num FROM alembic_version"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise SettingInvalid(
            f"This database was written by a newer release of Plumbline (schema {current}).",
            remedy="Install that release again, or restore the backup made before the upgrade.",
        )
