"""Rows of a history written straight into the tables: runs as they were months of use later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import insert

from app.flows.model import FlowDefinition
from app.ids import id_floor
from app.storage.database.db import Database
from app.storage.flows.flows import add_version, create_flow
from app.storage.tables.models import Call, Delivery, Event, Poll, Run, StepRecord
from app.storage.tables.types import to_ms

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HTTP = {"kind": "http", "id": "s1", "name": "Tell the CRM", "request": {"url": "https://crm.example"}}
NEXT = {"kind": "http", "id": "s2", "name": "Tell the team", "request": {"url": "https://team.example"}}


def id_at(prefix: str, at: datetime, number: int = 0) -> str:
    """An id as it would have been made at that moment."""
    return id_floor(prefix, to_ms(at))[:-6] + f"{number:06d}"


class History:
    """Each method writes one thing and returns its id."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._number = 0
        self.versions: dict[str, str] = {}

    def flow(self, name: str, steps: list[dict[str, Any]], trigger: dict[str, Any] | None = None) -> str:
        definition = FlowDefinition.model_validate(
            {"name": name, "trigger": trigger or {"kind": "webhook"}, "steps": steps}
        )

        def write(connection: Any) -> str:
            flow_id = create_flow(connection, name=name, definition=definition, owner_id=None, now=NOON)
            version = add_version(connection, flow_id, definition, by=None, now=NOON)
            self.versions[flow_id] = version.id
            return flow_id

        return self._database.write(write)

    def delivery(self, flow_id: str, at: datetime = NOON, **values: Any) -> str:
        row = {
            "id": self._next("dlv", at),
            "flow_id": flow_id,
            "received_at": at,
            "method": "POST",
            "query": "",
            "content_type": "application/json",
            "headers": [["Content-Type", "application/json"]],
            "body": None,
            "body_size": 120,
            "remote_addr": "203.0.113.9",
            "outcome": "accepted",
            "reason": "",
        }
        return self._insert(Delivery, row | values)

    def run(
        self, flow_id: str, state: str = "succeeded", at: datetime = NOON, payload: Any = None, **values: Any
    ) -> str:
        event = self._event(flow_id, at, payload, values.get("label", ""), values.pop("delivery_id", None))
        is_over = state not in ("queued", "running", "waiting")
        row = {
            "id": self._next("run", at),
            "flow_id": flow_id,
            "version_id": self.versions[flow_id],
            "event_id": values.pop("event_id", event),
            "state": state,
            "label": "",
            "source": "webhook",
            "created_at": at,
            "started_at": None if state == "queued" else at,
            "finished_at": at + timedelta(seconds=1.2) if is_over else None,
        }
        return self._insert(Run, row | values)

    def _event(self, flow_id: str, at: datetime, payload: Any, label: str, delivery_id: str | None) -> str:
        body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        row = {
            "id": self._next("evt", at),
            "flow_id": flow_id,
            "delivery_id": delivery_id,
            "source": "webhook",
            "dedupe_key": None,
            "label": label,
            "received_at": at,
            "payload": body,
            "duplicates": 0,
        }
        return self._insert(Event, row)

    def step(
        self, run_id: str, key: str, state: str = "succeeded", at: datetime = NOON, **values: Any
    ) -> None:
        row = {
            "run_id": run_id,
            "step_key": key,
            "state": state,
            "attempt": 1,
            "started_at": at,
            "finished_at": None if state == "started" else at + timedelta(milliseconds=340),
        }
        self._insert(StepRecord, row | values)

    def steps(self, run_id: str, keys: list[str], state: str = "succeeded") -> None:
        """Many at once, without data."""
        rows = [
            {"run_id": run_id, "step_key": key, "state": state, "started_at": NOON, "finished_at": NOON}
            for key in keys
        ]
        self._database.write(lambda db: db.execute(insert(StepRecord), rows))

    def call(self, made_for: str, number: int = 1, step_key: str = "s1", **values: Any) -> None:
        row = {
            "made_for": made_for,
            "number": number,
            "step_key": step_key,
            "attempt": 1,
            "idempotency_key": f"{made_for}:{step_key}",
            "method": "POST",
            "url": "https://api.crm.example/contacts?key={{secret:token}}",
            "request_headers": [
                ["content-type", "application/json"],
                ["authorization", "Bearer {{secret:token}}"],
            ],
            "request_body": b'{"email":"ana@example.com"}',
            "status": 200,
            "answer_headers": [["content-type", "application/json"]],
            "answer_body": b'{"ok":true}',
            "answer_size": 11,
            "started_at": NOON + timedelta(milliseconds=250),
            "duration_ms": 180,
        }
        self._insert(Call, row | values)

    def poll(self, flow_id: str, at: datetime = NOON, **values: Any) -> str:
        row = {
            "id": self._next("poll", at),
            "flow_id": flow_id,
            "started_at": at,
            "finished_at": at + timedelta(seconds=1),
            "state": "succeeded",
        }
        return self._insert(Poll, row | values)

    def _next(self, prefix: str, at: datetime) -> str:
        self._number += 1
        return id_at(prefix, at, self._number)

    def _insert(self, table: Any, row: dict[str, Any]) -> str:
        self._database.write(lambda db: db.execute(insert(table), row))
        return str(row.get("id", ""))
