"""How events come in: the door for deliveries, the ticks for polls and schedules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from app.calls.connections.book import ConnectionBook
from app.calls.http.client import Caller
from app.catalog.registry import Registry
from app.clock import Clock
from app.errors import FlowInvalid, Stale
from app.intake.deliveries.inbound import Accepted
from app.intake.deliveries.webhooks import Door
from app.intake.needs import RunEngine
from app.intake.polls.polling import LEASE, Looked, poll_once
from app.intake.ticks import Ticks
from app.settings import Settings
from app.storage.database.db import Database
from app.storage.database.secrets import Vault
from app.storage.database.space import Space
from app.storage.flows import triggers


class Intake:
    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        database: Database,
        vault: Vault,
        registry: Registry,
        connections: ConnectionBook,
        caller: Caller,
        engine: RunEngine,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.database = database
        self.vault = vault
        self.registry = registry
        self.connections = connections
        self.caller = caller
        self.engine = engine
        self.space = Space(settings.data_dir, settings.min_free_mb, clock)
        self.door = Door(self)
        self.ticks = Ticks(self)
        self.on_forget: Callable[[str], None] | None = None

    def start(self) -> None:
        """Begin to tick; only one process per data folder may."""
        self.ticks.start()

    def stop(self) -> None:
        """Waits for the tick under way, not for polls: those run in the engine's loop."""
        self.ticks.stop()

    def accept(self, token: str, **request: Any) -> Accepted:
        """`request`: see `Arriving`.  Returns after the commit.  Raises DeliveryRefused, NotFound (no
        such address) or Unavailable."""
        return self.door.accept(token, **request)

    async def accept_soon(self, token: str, **request: Any) -> Accepted:
        """As `accept`, in an event loop."""
        return await self.door.accept_soon(token, **request)

    def forget(self, flow_id: str) -> None:
        """The flow was switched, held, published or got a new address."""
        self.door.addresses.forget(flow_id)
        if self.on_forget is not None:
            self.on_forget(flow_id)

    def poll_now(self, flow_id: str) -> Looked:
        """Look at once, besides the plan, and wait for the outcome."""
        now = self.clock.now()
        taken = self.database.write(lambda db: triggers.take_lease(db, flow_id, now=now, until=now + LEASE))
        if not taken:
            raise Stale("This flow is being polled right now, or does not poll.", flow=flow_id)
        looked: Looked | None = self.engine.spawn(poll_once(self, flow_id)).result(
            timeout=(LEASE + timedelta(minutes=1)).total_seconds()
        )
        if looked is None:
            raise FlowInvalid("This flow does not poll.", flow=flow_id)
        return looked
