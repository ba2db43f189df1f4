"""How long the pages of the history take: fills a temporary database and prints milliseconds per query.

python benchmarks/history_pages.py [--runs 1000000] [--repeats 20]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from app.ids import id_floor
from app.storage.database.db import Database
from app.storage.history.counts import counts_by_flow, hours, waits_for_people
from app.storage.history.runs import runs_page
from app.storage.tables.models import Base, Delivery, Event, Flow, Run
from app.storage.tables.types import to_ms
from app.watch.ledger import by_day, of_day, of_flow
from app.watch.ledger_check import check, verdicts

FLOWS = 40
DAYS = 30
END = datetime(2026, 11, 20, 12, tzinfo=UTC)
NAMES = ("Ana Silva", "João Pires", "Lea Kurz", "Mara Ito", "Tom Baker", "Zoë Quinn")
_HEADERS = [["content-type", "application/json"], ["user-agent", "shop/2.1"], ["host", "p.example"]]
_PAYLOAD = b'{"email":"ana@example.com","first_name":"Ana","items":[{"sku":"TEA-EARL","price":3.5}]}'
WEIGHTS = {"succeeded": 900, "filtered": 60, "failed": 20, "dead": 4, "cancelled": 5, "waiting": 11}


def make(database: Database, runs: int) -> list[str]:
    """Most runs belong to one busy flow; the last flow is quiet and always fails."""
    rng = random.Random(7)
    flow_ids = [id_floor("flow", to_ms(END - timedelta(days=DAYS)) + n) for n in range(FLOWS)]
    rows = _rows(rng, runs, flow_ids)
    database.write(lambda db: _add_flows(db, flow_ids))
    while batch := list(islice(rows, 20_000)):
        database.write(partial(_add_runs, batch=batch))
    return flow_ids


def _add_runs(db: Connection, batch: list[dict[str, Any]]) -> None:
    """With the events and deliveries that they are from."""
    db.execute(insert(Delivery), [_delivery(row) for row in batch])
    db.execute(insert(Event), [_event(row) for row in batch])
    db.execute(insert(Run), batch)


def _delivery(run: dict[str, Any]) -> dict[str, Any]:
    sent = {"method": "POST", "headers": _HEADERS, "body_size": len(_PAYLOAD), "remote_addr": "203.0.113.7"}
    came = {"id": run["id"].replace("run_", "dlv_"), "received_at": run["created_at"]}
    return came | sent | {"flow_id": run["flow_id"], "outcome": "accepted"}


def _event(run: dict[str, Any]) -> dict[str, Any]:
    row = {"id": run["event_id"], "delivery_id": run["id"].replace("run_", "dlv_"), "payload": _PAYLOAD}
    row |= {name: run[name] for name in ("flow_id", "source", "label")}
    return row | {"received_at": run["created_at"]}


def _add_flows(db: Connection, flow_ids: list[str]) -> None:
    values = {"draft": {}, "created_at": END, "updated_at": END}
    db.execute(insert(Flow), [values | {"id": key, "name": f"Flow {n}"} for n, key in enumerate(flow_ids)])


def _rows(rng: random.Random, runs: int, flow_ids: list[str]) -> Iterator[dict[str, Any]]:
    start = END - timedelta(days=DAYS)
    gap = timedelta(days=DAYS) / runs
    states, weights = list(WEIGHTS), list(WEIGHTS.values())
    for n in range(runs):
        at = start + gap * n
        flow = flow_ids[0] if rng.random() < 0.5 else rng.choice(flow_ids[1:-1])
        state = rng.choices(states, weights)[0]
        if n % 5000 == 0:
            flow, state = flow_ids[-1], "failed"
        reason = rng.choice(("delay", "retry", "unknown")) if state == "waiting" else ""
        run_id = id_floor("run", to_ms(at))[:-5] + f"{n % 99999:05d}"
        yield {
            "id": run_id,
            "flow_id": flow,
            "version_id": "ver_1",
            "event_id": run_id.replace("run_", "evt_"),
            "state": state,
            "reason": reason,
            "label": f"{rng.choice(NAMES)} · order #{n}",
            "source": "webhook",
            "created_at": at,
            "started_at": at,
            "finished_at": None if state == "waiting" else at + timedelta(seconds=1),
            "sentence": "" if state == "succeeded" else "Mailchimp said: the phone is not valid.",
            "settled_at": END if state in ("failed", "dead") and rng.random() < 0.98 else None,
        }


def questions(db: Connection, flow_ids: list[str], runs: int) -> dict[str, Callable[[], object]]:
    busy, other, rare = flow_ids[0], flow_ids[7], flow_ids[-1]
    week, day = END - timedelta(days=7), END - timedelta(days=1)
    middle = runs_page(db, until=END - timedelta(days=DAYS / 2), limit=1).rows[0].id
    pages: dict[str, dict[str, Any]] = {
        "everything": {},
        "page in the middle": {"before": middle},
        "one day, two weeks ago": {"since": END - timedelta(days=15), "until": END - timedelta(days=14)},
        "busy flow": {"flow_id": busy},
        "other flow": {"flow_id": other},
        "rare flow": {"flow_id": rare},
        "failed or stopped": {"states": ("failed", "dead")},
        "under way": {"states": ("queued", "running", "waiting")},
        "succeeded of busy flow": {"flow_id": busy, "states": ("succeeded",)},
        "failed of other flow": {"flow_id": other, "states": ("failed",)},
        "failed of rare flow, one week": {"flow_id": rare, "states": ("failed",), "since": week},
        "succeeded of rare flow": {"flow_id": rare, "states": ("succeeded",)},
        "waiting of other flow": {"flow_id": other, "states": ("waiting",)},
        "needs a person": {"needs_person": True},
        "needs a person, other flow": {"needs_person": True, "flow_id": other},
        "text: a common name": {"text": "ana silva"},
        "text: an order of today": {"text": f"#{runs - 4321}"},
        "text: nothing, 150,000 rows": {"text": "no such thing"},
        "text: nothing, busy flow": {"text": "no such thing", "flow_id": busy},
        "text: nothing, failed": {"text": "no such thing", "states": ("failed",)},
        "text: id of a run": {"text": middle},
    }
    asked: dict[str, Callable[[], object]] = {
        name: partial(runs_page, db, **filters) for name, filters in pages.items()
    }
    asked["counts of one day, all flows"] = lambda: counts_by_flow(db, since=day)
    asked["counts of one day, busy flow"] = lambda: counts_by_flow(db, flow_id=busy, since=day)
    asked["runs per hour, one day"] = lambda: hours(db, until=END)
    asked["runs per hour, busy flow"] = lambda: hours(db, until=END, flow_id=busy)
    asked["how many need a person"] = lambda: waits_for_people(db)
    return asked


def ledger_questions(database: Database, flow_ids: list[str]) -> dict[str, Callable[[], object]]:
    """The three pages of the ledger, as they are after the first hourly check."""
    check(database, END + timedelta(minutes=1))
    yesterday = (END - timedelta(days=1)).date().isoformat()
    return {
        "ledger, 30 days": lambda: by_day(database, END),
        "ledger, 30 days of the busy flow": lambda: of_flow(database, END, flow_ids[0]),
        "ledger, all flows of one day": lambda: of_day(database, yesterday),
        "hourly check of the ledger": lambda: list(verdicts(database, END)),
    }


def measure(ask: Callable[[], object], repeats: int) -> list[float]:
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        ask()
        times.append((time.perf_counter() - begun) * 1000)
    return sorted(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="a database to make once and use again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.keep or Path(folder) / "history.db"
        is_new = not path.exists()
        database = Database(f"sqlite:///{path}")
        database.start()
        if is_new:
            database.write(Base.metadata.create_all)
            begun = time.perf_counter()
            make(database, options.runs)
            print(f"{options.runs:,} runs made in {time.perf_counter() - begun:.0f} s")
        flow_ids = [id_floor("flow", to_ms(END - timedelta(days=DAYS)) + n) for n in range(FLOWS)]
        with database.read() as db:
            print(f"{'milliseconds':36} {'median':>8} {'p95':>8}")
            asked = questions(db, flow_ids, options.runs) | ledger_questions(database, flow_ids)
            for name, ask in asked.items():
                times = measure(ask, options.repeats)
                print(f"{name:36} {statistics.median(times):8.1f} {times[int(len(times) * 0.95) - 1]:8.1f}")
        database.close()


if __name__ == "__main__":
    main()
