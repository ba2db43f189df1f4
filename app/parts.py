"""Everything a page, a command or the server works with, wired together in one place."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import IO, TYPE_CHECKING

import httpx

from app.calls.connections.book import ConnectionBook
from app.calls.http.client import Caller
from app.calls.limits.keeping import outlive
from app.calls.oauth.renewal import Tokens
from app.catalog.registry import Registry
from app.clock import Clock, SystemClock
from app.engine.context import Means
from app.engine.engine import Engine
from app.errors import SettingInvalid
from app.intake.intake import Intake
from app.settings import Settings
from app.storage.cluster.processes import declare
from app.storage.database.db import Database
from app.storage.database.migrate import migrate
from app.storage.database.private import make_folder
from app.storage.database.secrets import Vault, check_key, has_key, load_key
from app.storage.database.space import Space
from app.storage.database.write_lock import WriteLock
from app.watch.rounds import Rounds
from app.watch.telling import Post

if TYPE_CHECKING:
    from app.intake.leading import Leader
    from app.storage.cluster.presence import Presence

ALL_ROLES = frozenset(("web", "worker", "scheduler"))
_LONGEST_S = 30.0
_DOOR_LOCK = "door.lock"


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
    tokens: Tokens
    presence: Presence | None = None
    leader: Leader | None = None
    door_ended_at: datetime | None = None  # the process for deliveries, which is not to end before this one
    _lock: IO[str] | None = None

    @property
    def space(self) -> Space:
        return self.intake.space

    def start(self) -> None:
        """Take up open runs, then let the ticks begin.  Only one process may do so per data folder;
        where the database is shared, each process does its roles and one scheduler ticks."""
        if self.presence is None:
            self._lock = _hold_lock(self.settings.data_dir)
            self.engine.start()
            self.intake.start()
            return
        make_folder(self.settings.data_dir)
        self.presence.start()
        if not self.presence.wait(_LONGEST_S):
            raise SettingInvalid("The database does not answer.", remedy="Look at PLUMBLINE_DATABASE_URL.")
        self.engine.start()
        if self.leader is not None:
            self.leader.start()

    def stop(self, grace_s: float = 20) -> None:
        """Stop the ticks, let runs under way finish, commit, fold the log into the file."""
        if self.leader is not None:
            self.leader.stop()
        self.intake.stop()
        self.engine.stop(grace_s)
        if self.presence is not None:
            self.presence.stop()
        self.database.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def open_parts(
    settings: Settings,
    *,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    roles: frozenset[str] = ALL_ROLES,
    writes_beside: bool = False,
) -> Parts:
    """Opens (and where it serves, migrates) the database and builds all parts; starts nothing but the
    writer.  `writes_beside`: another process of this server writes to the same file.  Raises
    SettingInvalid when the key or the schema does not fit."""
    clock = clock or SystemClock()
    database = Database(settings.database, WriteLock(settings.data_dir) if writes_beside else None)
    database.start()
    try:
        vault = _prepare(database, settings, roles)
    except Exception:
        database.close()
        raise
    registry = Registry(connector_folders(settings))
    connections = ConnectionBook(database, vault, registry)
    caller = Caller(settings, clock, transport=transport)
    tokens = caller.tokens = Tokens(database, vault, registry, connections, caller, clock)
    outlive(caller.limits, database, clock)
    presence = None if database.is_sqlite else _presence(database.url, roles)
    means = Means(settings, clock, database, registry, connections, caller)
    engine = Engine(means, presence, performs="worker" in roles)
    intake = Intake(settings, clock, database, vault, registry, connections, caller, engine)
    parts = Parts(
        *(settings, clock, database, vault, registry, connections, caller, engine, intake, tokens, presence)
    )
    post = Post(settings, clock, database, vault, caller)
    intake.ticks.more += Rounds(post, registry, intake.space, engine.spawn).jobs()
    if presence is not None and "scheduler" in roles:
        parts.leader = _leader(parts, presence)
    return parts


def _prepare(database: Database, settings: Settings, roles: frozenset[str]) -> Vault:
    """Only what serves brings the schema up to date: a worker of another release refuses to work."""
    if "web" in roles:
        migrate(database)
        if not database.is_sqlite:
            database.write(declare)
    with database.read() as db:
        is_new = not has_key(db)
    vault = Vault(load_key(settings.secret_key, settings.data_dir, database_is_new=is_new))
    database.write(lambda db: check_key(db, vault))
    return vault


def _presence(url: str, roles: frozenset[str]) -> Presence:
    # what only PostgreSQL needs is imported with PostgreSQL alone: it would slow down every start
    from app.storage.cluster.presence import Presence

    return Presence(url, ",".join(sorted(roles)))


def _leader(parts: Parts, presence: Presence) -> Leader:
    from app.intake.leading import Leader

    def gained() -> None:
        parts.engine.lead()
        parts.intake.start()

    return Leader(
        parts.database.url,
        gained=gained,
        lost=parts.intake.stop,
        may_lead=lambda: not presence.misfit and parts.engine.is_started,
    )


def connector_folders(settings: Settings) -> list[tuple[str, Path]]:
    """Where connectors come from; a later folder overrides an earlier one of the same key."""
    folders = [
        (entry.name, Path(str(files(entry.value)))) for entry in entry_points(group="plumbline.connectors")
    ]
    if settings.demo_url:
        folders.append(("demo", Path(str(files("seed_data"))) / "connectors"))
    folders.append(("yours", settings.connectors_folder))
    return folders


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """No server on this data folder for as long as this lasts."""
    lock = _hold_lock(settings.data_dir)
    try:
        yield
    finally:
        lock.close()


def refuse_second(settings: Settings) -> None:
    """Raises SettingInvalid when another process serves this data folder; for what is done before the
    server starts."""
    _hold_lock(settings.data_dir).close()


def _hold_lock(folder: Path) -> IO[str]:
    """An exclusive lock beside the database, released by the system when the process ends."""
    make_folder(folder)
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
    try:
        _wait_for_door(folder)
    except SettingInvalid:
        lock.close()
        raise
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def hold_door(folder: Path) -> IO[str]:
    """Held by the process that takes deliveries for another one: that may be killed first."""
    lock = (folder / _DOOR_LOCK).open("a+")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _wait_for_door(folder: Path) -> None:
    """What an earlier server's door had begun to accept is written before anything else happens here."""
    until = time.monotonic() + _LONGEST_S
    with (folder / _DOOR_LOCK).open("a+") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as reason:
                if time.monotonic() > until:
                    raise SettingInvalid(
                        f"A part of an earlier server still takes deliveries for this folder ({folder}).",
                        remedy="End it first.",
                    ) from reason
            time.sleep(0.02)
