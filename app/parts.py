"""Everything a page, a command or the server works with, put together in one place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from app.calls.connections.book import ConnectionBook
from app.calls.http.client import Caller
from app.calls.limits.keeping import outlive
from app.calls.oauth.renewal import Tokens
from app.catalog.registry import Registry
from app.changes import Changes, ConnectionChanged, ConnectionFreed, ConnectorsChanged, LimitsChanged
from app.clock import Clock, SystemClock
from app.engine.dispatch.embedded import EmbeddedDispatcher
from app.engine.dispatch.tickets import Dispatcher
from app.engine.engine import Engine, RunDispatcher, TakesOver
from app.engine.runtime import Runtime
from app.intake.intake import Intake
from app.settings import Settings
from app.storage.cluster.processes import declare
from app.storage.database.db import Database
from app.storage.database.migrate import migrate
from app.storage.database.secrets import Vault, check_key, has_key, load_key
from app.storage.database.space import Space
from app.storage.database.write_lock import WriteLock
from app.watch.rounds import Rounds
from app.watch.telling import Post

if TYPE_CHECKING:
    from app.intake.leading import Leader
    from app.storage.cluster.presence import Presence

ALL_ROLES = frozenset(("web", "worker", "scheduler"))


@dataclass(frozen=True, kw_only=True)
class Parts(Runtime):
    """`presence` and `leader`: where several processes share the database.  What changes over time, the
    start and the end, is `app/server/lifetime.py`."""

    engine: Engine
    intake: Intake
    presence: Presence | None
    leader: Leader | None

    @property
    def tokens(self) -> Tokens:
        tokens = self.caller.tokens
        assert isinstance(tokens, Tokens)
        return tokens


def open_parts(
    settings: Settings,
    *,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    roles: frozenset[str] = ALL_ROLES,
    writes_beside: bool = False,
    gather_s: float = 0.0,
) -> Parts:
    """Opens (and where it serves, migrates) the database and builds all parts; starts nothing but the
    writer.  `writes_beside`: another process of this server writes to the same file.  `gather_s`: see
    `Writer`.  Raises SettingInvalid when the key or the schema does not fit."""
    clock, changes = clock or SystemClock(), Changes()
    database, vault = _open_database(settings, roles, writes_beside=writes_beside, gather_s=gather_s)
    presence: Presence | None = None
    takeover: TakesOver | None = None
    dispatcher: RunDispatcher = EmbeddedDispatcher(clock, slots=settings.concurrency)
    if not database.is_sqlite:
        # what only PostgreSQL needs is imported with PostgreSQL alone: it would slow down every start
        from app.engine.dispatch.procrastinate_queue import SharedDispatcher
        from app.engine.dispatch.takeover import Takeover
        from app.storage.cluster.presence import Presence

        presence = Presence(database.url, ",".join(sorted(roles)), changes)
        takeover = Takeover(database)
        performs, slots = "worker" in roles, settings.concurrency
        dispatcher = SharedDispatcher(database, presence, changes, clock, slots=slots, performs=performs)
    runtime = build_runtime(settings, clock, database, vault, changes, dispatcher, transport)
    engine = Engine(runtime, dispatcher, takeover)
    post = Post(settings, clock, database, vault, runtime.caller)
    intake = Intake(runtime, engine, Rounds(post, runtime.registry, runtime.space, engine.spawn).jobs())
    leads = presence is not None and "scheduler" in roles
    return Parts(
        **{one.name: getattr(runtime, one.name) for one in fields(Runtime)},
        engine=engine,
        intake=intake,
        presence=presence,
        leader=_leader(database, engine, intake, presence) if presence is not None and leads else None,
    )


def open_runtime(settings: Settings, dispatcher: Dispatcher) -> Runtime:
    """Returns what takes deliveries beside a process that serves: its database is migrated, both write to
    the same file, and the runs are performed there."""
    database, vault = _open_database(settings, frozenset(), writes_beside=True)
    return build_runtime(settings, SystemClock(), database, vault, Changes(), dispatcher)


def build_runtime(
    settings: Settings,
    clock: Clock,
    database: Database,
    vault: Vault,
    changes: Changes,
    dispatcher: Dispatcher,
    transport: httpx.AsyncBaseTransport | None = None,
    registry: Registry | None = None,
) -> Runtime:
    """Builds what intake and engine share, on a database that is open.  `registry`: other connectors than
    those the settings name."""
    registry = registry or Registry(connector_folders(settings))
    connections = ConnectionBook(database, vault, registry)
    tokens = partial(Tokens, database, vault, registry, connections, changes, clock)
    caller = Caller(settings, clock, tokens=tokens, transport=transport)
    outlive(caller.limits, database, clock)
    changes.on(ConnectionChanged, lambda change: connections.forget(change.connection_id))
    changes.on(ConnectionFreed, lambda change: connections.forget(change.connection_id))
    changes.on(LimitsChanged, lambda change: connections.forget(change.connection_id))
    changes.on(ConnectorsChanged, lambda _: registry.reload())
    return Runtime(
        settings=settings,
        clock=clock,
        database=database,
        vault=vault,
        registry=registry,
        connections=connections,
        caller=caller,
        changes=changes,
        space=Space(settings.data_dir, settings.min_free_mb, clock),
        dispatcher=dispatcher,
    )


def _open_database(
    settings: Settings, roles: frozenset[str], *, writes_beside: bool, gather_s: float = 0.0
) -> tuple[Database, Vault]:
    """Only what serves brings the schema up to date: a worker of another release refuses to work."""
    lock = WriteLock(settings.data_dir) if writes_beside else None
    database = Database(settings.database, lock, gather_s=gather_s)
    database.start()
    try:
        if "web" in roles:
            migrate(database)
            if not database.is_sqlite:
                database.write(declare)
        with database.read() as db:
            is_new = not has_key(db)
        vault = Vault(load_key(settings.secret_key, settings.data_dir, database_is_new=is_new))
        database.write(lambda db: check_key(db, vault))
    except Exception:
        database.close()
        raise
    return database, vault


def _leader(database: Database, engine: Engine, intake: Intake, presence: Presence) -> Leader:
    from app.intake.leading import Leader

    def gained() -> None:
        engine.lead()
        intake.start()

    return Leader(
        database.url,
        gained=gained,
        lost=intake.stop,
        may_lead=lambda: not presence.misfit and engine.is_started,
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
