"""What the intake works with: the parts of the server below it, handed in from outside."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from app.calls.connections.book import ConnectionBook
from app.calls.http.client import Caller
from app.catalog.registry import Registry
from app.clock import Clock
from app.engine.dispatch.tickets import RunTicket
from app.settings import Settings
from app.storage.database.db import Database
from app.storage.database.secrets import Vault
from app.storage.database.space import Space


class RunEngine(Protocol):
    """The side of the engine that the intake sees; all of it may be called from any thread."""

    def enqueue(self, tickets: Sequence[RunTicket]) -> None: ...

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]: ...

    def wake_due(self) -> Any:
        """Bring runs whose wait is over to execution."""
        ...

    def work_orders(self) -> Any:
        """Go on with what people ordered for many runs."""
        ...

    def sweep(self) -> Any:
        """Take up runs whose process went away."""
        ...

    def pause(self) -> None:
        """Begin no run: the disk is almost full."""
        ...

    def resume(self) -> None: ...


class Needs(Protocol):
    @property
    def settings(self) -> Settings: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def database(self) -> Database: ...
    @property
    def space(self) -> Space: ...
    @property
    def vault(self) -> Vault: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def connections(self) -> ConnectionBook: ...
    @property
    def caller(self) -> Caller: ...
    @property
    def engine(self) -> RunEngine: ...


class Forgets(Protocol):
    def forget(self, flow_id: str) -> None:
        """What is remembered of the flow's addresses is read anew."""
        ...


class Whole(Needs, Protocol):
    """The needs together with the intake itself: what pages and commands hold."""

    @property
    def intake(self) -> Forgets: ...
