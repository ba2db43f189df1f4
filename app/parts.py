"""Everything a page, a command or the server works with, wired together in one place."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import IO

import httpx

from app.calls.client import Caller
from app.calls.connections import ConnectionBook
from app.catalog.registry import Registry
from app.clock import Clock, SystemClock
from app.engine.context import Means
from app.engine.engine import Engine
from app.errors import SettingInvalid
from app.intake.intake import Intake
from app.settings import Settings
from app.storage.db import Database
from app.storage.migrate import migrate
from app.storage.secrets import Vault, check_key, has_key, load_key
from app.storage.space import Space


@dataclass
class Parts:
    settings: Settings
    clock: Clock
    database: Database
    vault: Vault
    registry: Registry
    connections: ConnectionBook
    caller: Caller
    engine: Engine
    intake: Intake
    _lock: IO[str] | None = None

    @property
    def space(self) -> Space:
        return self.intake.space

    def start(self) -> None:
        """Take up open runs, then let the ticks begin.  Only one process may do so per data folder."""
        self._lock = _hold_lock(self.settings.data_dir)
        self.engine.start()
        self.intake.start()

    def stop(self, grace_s: float = 20) -> None:
        """Stop the ticks, let runs under way finish, commit, fold the log into the file."""
        self.intake.stop()
        self.engine.stop(grace_s)
        self.database.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def open_parts(
    settings: Settings,
    *,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Parts:
    """Opens (and where needed migrates) the database and builds all parts; starts nothing but the
    writer.  Raises SettingInvalid when the key or the schema does not fit."""
    clock = clock or SystemClock()
    database = Database(settings.database)
    database.start()
    try:
        migrate(database)
        with database.read() as connection:
            is_new = not has_key(connection)
        vault = Vault(load_key(settings.secret_key, settings.data_dir, database_is_new=is_new))
        database.write(lambda connection: check_key(connection, vault))
    except Exception:
        database.close()
        raise
    registry = Registry(connector_folders(settings))
    connections = ConnectionBook(database, vault, registry)
    caller = Caller(settings, clock, transport=transport)
    engine = Engine(Means(settings, clock, database, registry, connections, caller))
    intake = Intake(settings, clock, database, vault, registry, connections, caller, engine)
    return Parts(settings, clock, database, vault, registry, connections, caller, engine, intake)


def connector_folders(settings: Settings) -> list[tuple[str, Path]]:
    """Where connectors come from; a later folder overrides an earlier one of the same key."""
    folders = [
        (entry.name, Path(str(files(entry.value)))) for entry in entry_points(group="plumbline.connectors")
    ]
    if settings.demo_url:
        folders.append(("demo", Path(str(files("seed_data"))) / "connectors"))
    folders.append(("yours", settings.connectors_folder))
    return folders


def refuse_second(settings: Settings) -> None:
    """Raises SettingInvalid when another process serves this data folder; for what is done before the
    server starts."""
    _hold_lock(settings.data_dir).close()


def _hold_lock(folder: Path) -> IO[str]:
    """An exclusive lock beside the database, released by the system when the process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "server.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as reason:
        lock.seek(0)
        other = lock.read().strip() or "another process"
        lock.close()
        raise SettingInvalid(
            f"Plumbline already serves this data folder ({folder}, process {other}).",
            remedy="Stop it first, or choose another PLUMBLINE_DATA_DIR.",
        ) from reason
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock
