"""The last runs of each flow, for the list of flows."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, insert, text

from app.storage.database.db import Database
from app.storage.history.counts import LastRun, last_runs
from app.storage.tables.models import Flow, Run
from tests.fakes.clock import START


def _fill(db: Connection) -> None:
    times = {"created_at": START, "updated_at": START}
    for name in ("a", "b", "quiet"):
        db.execute(insert(Flow), {"id": f"flow_{name}", "name": name, "draft": {}, **times})
    states = ["succeeded", "dead", "filtered", "waiting", "succeeded"]
    for number, state in enumerate(states):
        for flow in ("a", "b") if number else ("a",):
            values = {
                "flow_id": f"flow_{flow}",
                "version_id": "v",
                "event_id": "e",
                "label": "",
                "source": "poll",
            }
            reason = "delay" if state == "waiting" else ""
            row = {"id": f"run_{number}{flow}", "state": state, "reason": reason, "created_at": START}
            db.execute(insert(Run), {**values, **row})


@pytest.mark.postgres
def test_each_flow_has_its_last_runs_the_oldest_first(database: Database) -> None:
    database.write(_fill)
    with database.read() as db:
        found = last_runs(db, limit=3)
    expected = [LastRun("filtered", ""), LastRun("waiting", "delay"), LastRun("succeeded", "")]
    assert found == {"flow_a": expected, "flow_b": expected}


def test_the_history_is_not_read_through(database: Database) -> None:
    with database.read() as db:
        statement = "EXPLAIN QUERY PLAN SELECT r.id FROM flows f JOIN runs r ON r.id IN "
        inner = "(SELECT n.id FROM runs n WHERE n.flow_id = f.id ORDER BY n.id DESC LIMIT 12)"
        plan = [row[3] for row in db.execute(text(statement + inner))]
    assert not any(line.startswith(("SCAN r", "SCAN n")) for line in plan), plan
