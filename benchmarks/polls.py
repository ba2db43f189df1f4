"""What ten thousand polls cost the scheduler, and how late they begin.

python benchmarks/polls.py [--polls 10000] [--seconds 60]

Flows with intervals of 1 to 15 minutes in a temporary database, the product's own ticks on the real
clock.  A poll is noted when it would begin; it asks no service: that is the cost of the poll, not of the
scheduler.  The CPU is that of the whole process: ticks, queries, commits.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from app.clock import SystemClock
from app.engine.dispatch.tickets import RunTicket
from app.flows.model import FlowDefinition
from app.ids import new_id
from app.intake.intake import Intake
from app.parts import open_parts
from app.settings import Settings
from app.storage.flows import flows
from app.storage.tables.models import Flow, FlowVersion, Trigger

DEFINITION = FlowDefinition.model_validate(
    {
        "name": "New customers to the newsletter",
        "trigger": {"kind": "poll", "request": {"url": "https://shop.example/customers"}, "every_s": 300},
        "steps": [
            {
                "id": "s1",
                "kind": "http",
                "request": {
                    "method": "POST",
                    "url": "https://mail.example/subscribers",
                    "body_kind": "json",
                    "body": [
                        {"name": name, "mapping": f"{{{{trigger:$['{name}']}}}}"} for name in "abcdefgh"
                    ],
                },
            }
        ],
    }
)


class NotingEngine:
    """Begins no poll; knows when it would have."""

    def __init__(self) -> None:
        self.begun: list[datetime] = []

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.begun.append(SystemClock().now())
        coroutine.close()

    def enqueue(self, tickets: list[RunTicket]) -> None: ...

    def wake_due(self) -> int:
        return 0

    def sweep(self) -> int:
        return 0

    def pause(self) -> None: ...

    def resume(self) -> None: ...


def fill(db: Connection, polls: int, now: datetime) -> dict[str, datetime]:
    """Flow -> when its first poll is due; each somewhere in its own interval."""
    chance, due = random.Random(7), {}
    stored = flows.stored(DEFINITION)
    rows: tuple[list[dict[str, Any]], ...] = ([], [], [])
    for _ in range(polls):
        flow_id, version_id, every_s = new_id("flow"), new_id("ver"), chance.randint(60, 900)
        due[flow_id] = now + timedelta(seconds=chance.uniform(2, every_s + 2))
        times = {"created_at": now, "updated_at": now}
        rows[0].append(
            {"id": flow_id, "name": "Poll", "draft": stored, "is_on": True, "live_version_id": version_id}
            | times
        )
        rows[1].append(
            {"id": version_id, "flow_id": flow_id, "number": 1, "definition": stored, "created_at": now}
        )
        rows[2].append(
            {
                "flow_id": flow_id,
                "kind": "poll",
                "is_on": True,
                "next_due_at": due[flow_id],
                "interval_s": every_s,
            }
        )
    for table, values in zip((Flow, FlowVersion, Trigger), rows, strict=True):
        db.execute(insert(table), values)
    return due


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--polls", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parts = open_parts(Settings(data_dir=Path(folder), min_free_mb=0))
        engine = NotingEngine()
        intake = Intake(parts, engine)  # type: ignore[arg-type]
        begun_at = parts.clock.now()
        due = parts.database.write(lambda db: fill(db, options.polls, begun_at))
        intake.start()
        cpu, begun = time.process_time(), time.perf_counter()
        time.sleep(options.seconds)
        spent, passed = time.process_time() - cpu, time.perf_counter() - begun
        until = parts.clock.now()
        intake.stop()
        report(sorted(at for at in due.values() if at <= until), engine.begun, spent, passed)
        parts.database.close()


def report(due: list[datetime], begun: list[datetime], spent: float, passed: float) -> None:
    """Begun in the order in which they were due, so the n-th of one belongs to the n-th of the other."""
    late = sorted((at - planned).total_seconds() for planned, at in zip(due, begun, strict=False))
    if not late:
        raise SystemExit("No poll was due: give it more --seconds.")
    print(f"{len(begun):,} polls begun in {passed:.0f} s, {len(begun) / passed:.1f} a second")
    print(f"CPU of a core: {100 * spent / passed:.2f} %, {1000 * spent / len(begun):.2f} ms a poll")
    print(
        f"late by p50 {late[len(late) // 2]:.2f} s, p99 {late[len(late) * 99 // 100]:.2f} s, {late[-1]:.2f} s"
    )
    print(f"due and not begun: {max(0, len(due) - len(begun))}")


if __name__ == "__main__":
    main()
