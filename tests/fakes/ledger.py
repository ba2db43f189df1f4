"""A history in which records come in, come again, fail and are sent again, on any day."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, update

from app.storage.database.db import Database
from app.storage.history.rows import settle
from app.storage.tables.models import Delivery, Event, Run
from tests.fakes.history import id_at

_MS = timedelta(milliseconds=1)


class Records:
    """Rows as the server writes them, of one flow."""

    def __init__(self, database: Database, flow_id: str, start: int = 0) -> None:
        self.database = database
        self.flow_id = flow_id
        self.number = start
        self.runs: list[tuple[str, str]] = []  # with their events

    def delivery(self, at: datetime, *, records: int = 1, repeated: int = 0, **values: Any) -> list[str]:
        """Accepted, or a duplicate where nothing in it is new.  The ids of its runs."""
        delivery = self._id("dlv", at)
        outcome = "duplicate" if repeated and not records else "accepted"
        row = {"id": delivery, "flow_id": self.flow_id, "received_at": at, "outcome": outcome}
        row |= {"method": "POST", "headers": [], "body_size": 0, "remote_addr": ""}
        row |= {"repeated": repeated or None, "body": b"[]" if records != 1 or repeated else None} | values
        rows: list[tuple[Any, dict[str, Any]]] = [(Delivery, row)]
        runs = []
        for _ in range(records):
            rows += self._event(at, "webhook", delivery, "succeeded", _MS)
            runs.append(self.runs[-1][0])
        self._insert(rows)
        return runs

    def event(
        self,
        at: datetime,
        *,
        source: str = "webhook",
        delivery: str | None = None,
        state: str = "succeeded",
        later: timedelta = _MS,
    ) -> str:
        """`later`: how long after its event the run gets its id.  Returns the run's id."""
        self._insert(self._event(at, source, delivery, state, later))
        return self.runs[-1][0]

    def _event(
        self, at: datetime, source: str, delivery: str | None, state: str, later: timedelta
    ) -> list[tuple[Any, dict[str, Any]]]:
        event = self._id("evt", at)
        row = {"id": event, "flow_id": self.flow_id, "source": source, "label": "", "received_at": at}
        return [
            (Event, row | {"delivery_id": delivery, "payload": b"{}"}),
            (Run, self._run(at + later, event, state, source)),
        ]

    def run(self, at: datetime, event: str, state: str = "succeeded", **values: Any) -> str:
        row = self._run(at, event, state, "webhook") | values
        self._insert([(Run, row)])
        return str(row["id"])

    def replay(self, run_id: str, at: datetime, state: str = "succeeded") -> str:
        return self.run(at, dict(self.runs)[run_id], state, replay_of=run_id)

    def end(self, run_id: str, state: str, at: datetime, reason: str = "") -> None:
        is_over = state not in ("queued", "running", "waiting")
        values = {"state": state, "reason": reason, "finished_at": at if is_over else None}
        self.database.write(lambda db: db.execute(update(Run).where(Run.id == run_id).values(**values)))

    def settle(self, run_id: str, at: datetime) -> None:
        self.database.write(lambda db: settle(db, [run_id], now=at))

    def delete(self, table: Any, made: str) -> None:
        """By hand, as nothing in the product does."""
        self.database.write(lambda db: db.execute(delete(table).where(table.id == made)))

    def _run(self, at: datetime, event: str, state: str, source: str) -> dict[str, Any]:
        run = self._id("run", at)
        self.runs.append((run, event))
        return {
            "id": run,
            "flow_id": self.flow_id,
            "version_id": "ver_1",
            "event_id": event,
            "state": state,
            "label": "",
            "source": source,
            "created_at": at,
            "finished_at": None if state in ("queued", "running", "waiting") else at,
        }

    def _id(self, prefix: str, at: datetime) -> str:
        self.number += 1
        return id_at(prefix, at, self.number)

    def _insert(self, rows: list[tuple[Any, dict[str, Any]]]) -> None:
        def work(db: Connection) -> None:
            for table, row in rows:
                db.execute(insert(table), row)

        self.database.write(work)
