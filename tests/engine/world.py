"""A server without web: flows are put live, events run through them, and the history is read back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import insert, select

from app.engine.dispatch.tickets import RunTicket
from app.engine.replay import ReplayWay, run_again
from app.flows.portable.files import dump, load
from app.ids import new_id
from app.parts import Parts
from app.storage.flows import flows
from app.storage.tables.models import Call, Connection, Run, StepRecord
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService

TARGET = "https://api.example.com"


def http(step_id: str, path: str, method: str = "POST", **more: Any) -> dict[str, Any]:
    """A web request that posts the event's email and says it may be repeated."""
    request = {"method": method, "url": TARGET + path}
    if method in ("POST", "PUT", "PATCH"):
        request |= {"body_kind": "json", "body": [{"name": "email", "mapping": "{{trigger:$.email}}"}]}
    return {"kind": "http", "id": step_id, "request": request | more.pop("request", {}), **more}


def when(path: str, operator: str, value: str) -> dict[str, Any]:
    left = "{{trigger:$." + path + "}}"
    return {"groups": [[{"left": left, "operator": operator, "right": value}]]}


@dataclass
class World:
    parts: Parts
    service: FakeService
    clock: FakeClock

    def live(self, *steps: dict[str, Any], **more: Any) -> tuple[str, str]:
        """A flow with these steps, published without review; its id and version."""
        definition = load({"name": "A flow", "trigger": {"kind": "webhook"}, "steps": list(steps), **more})
        now = self.clock.now()

        def work(db: Any) -> tuple[str, str]:
            flow_id = flows.create_flow(db, name="A flow", definition=definition, owner_id=None, now=now)
            version = flows.add_version(db, flow_id, definition, by=None, now=now)
            return flow_id, version.id

        return self.parts.database.write(work)

    def connect(self, **values: Any) -> str:
        """A connection of one's own to the target, with a bearer token."""
        from app.calls.connections.book import seal_secrets

        connection_id = new_id("con")
        row = {
            "id": connection_id,
            "connector": "http",
            "name": "Our CRM",
            "auth": "bearer",
            "public": {"host": "api.example.com"},
            "secrets": seal_secrets(self.parts.vault, connection_id, {"token": "s3cr3t-token-value"}),
            "created_at": self.clock.now(),
            "updated_at": self.clock.now(),
            **values,
        }
        self.parts.database.write(lambda db: db.execute(insert(Connection), row))
        return connection_id

    def made_again(self, run_id: str, *, is_handed_over: bool = True, **how: Any) -> str:
        """The id of the run that a person's replay makes; `how`: of a `ReplayWay`."""
        now = self.clock.now()
        ticket = self.parts.database.write(lambda db: run_again(db, run_id, ReplayWay(**how), now))
        if is_handed_over:
            self.parts.engine.enqueue([ticket])
        return ticket.run_id

    def event(self, flow: tuple[str, str], payload: Any) -> RunTicket:
        """Accepted and on disk, but not begun."""
        ticket = RunTicket(new_id("run"), *flow, new_id("evt"), orjson.dumps(payload))
        run = {"id": ticket.run_id, "flow_id": flow[0], "version_id": flow[1], "event_id": ticket.event_id}
        facts = {"state": "queued", "reason": "", "label": "", "source": "webhook", "sentence": ""}
        event = {"id": ticket.event_id, "flow_id": flow[0], "source": "webhook", "label": ""}
        now = self.clock.now()
        from app.storage.tables.models import Event

        def work(db: Any) -> None:
            db.execute(insert(Event), {**event, "received_at": now, "payload": ticket.payload})
            db.execute(insert(Run), {**run, **facts, "created_at": now})

        self.parts.database.write(work)
        return ticket

    def perform(self, ticket: RunTicket) -> datetime | None:
        """Let the engine do all that can be done now, and wait for it."""
        return self.parts.engine.spawn(self.parts.engine.runs.execute(ticket)).result(60)

    def again(self, ticket: RunTicket) -> datetime | None:
        """As after a wait or a restart: from what is on disk."""
        return self.perform(
            RunTicket(ticket.run_id, ticket.flow_id, ticket.version_id, ticket.event_id, fresh=False)
        )

    def run(self, *steps: dict[str, Any], payload: Any = None, **more: Any) -> RunTicket:
        payload = {"email": "ada@example.com"} if payload is None else payload
        ticket = self.event(self.live(*steps, **more), payload)
        self.perform(ticket)
        return ticket

    # ---------------------------------------------------------------------------- the history

    def _one(self, query: Any) -> Any:
        with self.parts.database.read() as db:
            return db.execute(query).one()

    def state(self, ticket: RunTicket) -> Any:
        return self._one(select(Run.__table__).where(Run.id == ticket.run_id))

    def steps(self, ticket: RunTicket) -> dict[str, Any]:
        with self.parts.database.read() as db:
            rows = db.execute(select(StepRecord.__table__).where(StepRecord.run_id == ticket.run_id))
            return {row.step_key: row for row in rows}

    def calls(self, ticket: RunTicket) -> list[Any]:
        with self.parts.database.read() as db:
            query = select(Call.__table__).where(Call.made_for == ticket.run_id).order_by(Call.number)
            return list(db.execute(query))


def as_dump(definition: Any) -> Any:
    return dump(definition)
