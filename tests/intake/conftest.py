"""The intake over a real database, with an engine that notes what it is handed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from app.catalog.registry import Registry
from app.changes import Changes
from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.engine.dispatch.tickets import RunTicket
from app.engine.engine import break_off_the_rest
from app.engine.runtime import Runtime
from app.flows.model import FlowDefinition
from app.intake.deliveries.inbound import Accepted
from app.intake.intake import Intake
from app.intake.polls.polling import Looked
from app.parts import build_runtime
from app.settings import Settings
from app.storage.database.db import Database
from app.storage.database.secrets import Vault
from app.storage.flows import flows
from app.storage.tables.models import Delivery, Event, Run
from tests.fakes.clock import FakeClock
from tests.fakes.handed import accept, poll_now
from tests.fakes.service import FakeService
from tests.migrated import put_file


class NotingEngine:
    """A dispatcher and an engine: takes tickets, runs coroutines in a loop of its own, executes no run."""

    def __init__(self) -> None:
        self.tickets: list[RunTicket] = []
        self.woken = 0
        self.is_paused = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def enqueue(self, tickets: Sequence[RunTicket]) -> None:
        self.tickets += tickets

    def stand_aside(self, flow_id: str, number: int) -> None:
        pass

    def look_again(self) -> None:
        pass

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def wake_due(self) -> None:
        self.woken += 1

    def work_orders(self) -> None:
        pass

    def sweep(self) -> None:
        pass

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def close(self) -> None:
        self.spawn(break_off_the_rest()).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Server(Runtime):
    """What a page or a command would hold, and short words for what tests do with it."""

    clock: FakeClock
    service: FakeService
    engine: NotingEngine
    intake: Intake

    def __init__(
        self, folder: Path, clock: FakeClock, service: FakeService, *, database_url: str = ""
    ) -> None:
        settings = Settings(
            data_dir=folder,
            min_free_mb=0,
            max_body_mb=1,
            public_url="https://p.example",
            database_url=database_url,
        )
        if not database_url:
            put_file(folder)
        database, engine = Database(settings.database), NotingEngine()
        database.start()
        vault, changes = Vault(b"k" * 32), Changes()
        registry = Registry([("test", folder / "connectors")])
        runtime = build_runtime(
            settings, clock, database, vault, changes, engine, service.transport, registry=registry
        )
        super().__init__(**{one.name: getattr(runtime, one.name) for one in fields(Runtime)})
        vars(self).update(service=service, engine=engine, intake=Intake(self, engine))

    def set(self, **settings: Any) -> None:
        """As after a start with other settings."""
        vars(self).update(settings=replace(self.settings, **settings))

    def close(self) -> None:
        self.engine.close()
        self.database.close()

    # ------------------------------------------------------------------------------------ flows

    def definition(self, trigger: dict[str, Any], **more: Any) -> FlowDefinition:
        steps = [{"id": "s1", "kind": "stop", "message": "Done."}]
        return FlowDefinition.model_validate({"name": "Welcome", "trigger": trigger, "steps": steps, **more})

    def draft(self, trigger: dict[str, Any], **more: Any) -> str:
        """A flow that was never published."""
        definition = self.definition(trigger, **more)
        return self.database.write(
            lambda db: flows.create_flow(
                db, name="Welcome", definition=definition, owner_id=None, now=self.clock.now()
            )
        )

    def edit(self, flow_id: str, trigger: dict[str, Any], **more: Any) -> int:
        with self.database.read() as db:
            revision = flows.get_flow(db, flow_id).draft_revision
        definition = self.definition(trigger, **more)
        self.database.write(
            lambda db: flows.save_draft(db, flow_id, definition, revision=revision, now=self.clock.now())
        )
        return flow_commands.publish(SHELL, self, flow_id)

    def live(self, trigger: dict[str, Any], **more: Any) -> str:
        """A flow that is published and on."""
        flow_id = self.draft(trigger, **more)
        flow_commands.publish(SHELL, self, flow_id)
        flow_commands.switch_on(SHELL, self, flow_id)
        return flow_id

    def hook(self, **trigger: Any) -> str:
        """The token of a live webhook flow."""
        return self.token(self.live({"kind": "webhook", **trigger}))

    def token(self, flow_id: str) -> str:
        return flow_commands.create_address(SHELL, self, flow_id).rpartition("/")[2]

    # --------------------------------------------------------------------------------- requests

    def send(
        self,
        token: str,
        body: Any = b"{}",
        *,
        method: str = "POST",
        content_type: str = "application/json",
        query: str = "",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Accepted:
        return accept(
            self.intake,
            token,
            method=method,
            path_url=f"/hooks/{token}",
            query=query,
            headers=[("Content-Type", content_type), *(headers or {}).items()],
            body=body if isinstance(body, bytes) else orjson.dumps(body),
            remote_addr="203.0.113.7",
            **more,
        )

    def poll_now(self, flow_id: str) -> Looked:
        return poll_now(self, self.engine, flow_id)

    # ---------------------------------------------------------------------------------- history

    def events(self) -> list[Any]:
        with self.database.read() as db:
            return [orjson.loads(payload) for payload in db.scalars(select(Event.payload).order_by(Event.id))]

    def runs(self) -> list[tuple[str, str]]:
        """State and reason of each."""
        with self.database.read() as db:
            return [tuple(row) for row in db.execute(select(Run.state, Run.reason).order_by(Run.id))]

    def deliveries(self) -> list[tuple[str, str]]:
        """Outcome and reason of each."""
        with self.database.read() as db:
            query = select(Delivery.outcome, Delivery.reason).order_by(Delivery.id)
            return [tuple(row) for row in db.execute(query)]

    def last_delivery(self) -> Any:
        with self.database.read() as db:
            return db.execute(select(*Delivery.__table__.columns).order_by(Delivery.id.desc()).limit(1)).one()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def server(tmp_path: Path, clock: FakeClock, service: FakeService) -> Iterator[Server]:
    server = Server(tmp_path, clock, service)
    yield server
    server.close()
