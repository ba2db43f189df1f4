"""What intake and engine work with: the parts of the server below them, put together in `app/parts.py`."""

from __future__ import annotations

from dataclasses import dataclass

from app.calls.connections.book import ConnectionBook
from app.calls.http.client import Caller
from app.catalog.registry import Registry
from app.changes import Changes
from app.clock import Clock
from app.engine.dispatch.tickets import Dispatcher
from app.settings import Settings
from app.storage.database.db import Database
from app.storage.database.secrets import Vault
from app.storage.database.space import Space


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """`dispatcher`: takes the tickets of runs that were committed."""

    settings: Settings
    clock: Clock
    database: Database
    vault: Vault
    registry: Registry
    connections: ConnectionBook
    caller: Caller
    changes: Changes
    space: Space
    dispatcher: Dispatcher
