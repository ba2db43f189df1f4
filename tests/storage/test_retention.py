"""What history goes when it is old, and what never does."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from app import ids
from app.storage import events, retention
from app.storage.db import Database
from app.storage.models import Call, DedupeKey, Delivery, Event, Run, StepRecord
from app.storage.retention import prune
from app.storage.types import to_ms
from tests.fakes.clock import FakeClock
from tests.storage.test_triggers import live_flow

pytestmark = pytest.mark.postgres


class History:
    """Writes runs as of a moment in the past: ids carry the time they were made."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database = database
        self.clock = clock
        self.made = 0

    def run(self, *, age_days: float, state: str = "succeeded", ended_days: float | None = None) -> str:
        at = self.clock.now() - timedelta(days=age_days)
        ended = self.clock.now() - timedelta(days=age_days if ended_days is None else ended_days)
        delivery, event, run = (self._id(prefix, at) for prefix in ("dlv", "evt", "run"))
        rows: list[tuple[Any, dict[str, Any]]] = [
            (Delivery, {"id": delivery, "received_at": at, "method": "POST", "headers": [], "body_size": 0}),
            (
                Event,
                {"id": event, "flow_id": "f", "delivery_id": delivery, "received_at": at, "payload": b"{}"},
            ),
            (Run, {"id": run, "flow_id": "f", "version_id": "v", "event_id": event, "state": state}),
            (StepRecord, {"run_id": run, "step_key": "s1", "state": "succeeded", "started_at": at}),
            (
                Call,
                {"made_for": run, "number": 1, "step_key": "s1", "attempt": 1, "method": "GET", "url": "u"},
            ),
        ]
        more: dict[Any, dict[str, Any]] = {
            Delivery: {"remote_addr": "", "outcome": "accepted"},
            Event: {"source": "webhook", "label": ""},
            Run: {"label": "", "source": "webhook", "created_at": at, "finished_at": self._end(state, ended)},
            StepRecord: {},
            Call: {"started_at": at},
        }
        for table, row in rows:
            self.database.write(lambda c, t=table, r=row: c.execute(insert(t), r | more[t]))
        return run

    def _end(self, state: str, ended: datetime) -> datetime | None:
        return None if state in ("queued", "running", "waiting") else ended

    def _id(self, prefix: str, at: datetime) -> str:
        self.made += 1
        return ids.id_floor(prefix, to_ms(at))[:-4] + f"{self.made:04d}"

    def prune(self) -> retention.Pruned:
        return prune(self.database, now=self.clock.now(), history_days=30)

    def counts(self) -> dict[str, int]:
        tables = (Run, StepRecord, Call, Event, Delivery)
        with self.database.read() as db:
            return {t.__tablename__: db.scalar(select(func.count()).select_from(t)) or 0 for t in tables}


@pytest.fixture
def history(database: Database, clock: FakeClock) -> History:
    return History(database, clock)


def test_an_old_run_goes_with_everything_that_belongs_to_it(history: History) -> None:
    history.run(age_days=31)
    assert history.prune().runs == 1
    assert set(history.counts().values()) == {0}


def test_what_is_younger_stays_whole(history: History) -> None:
    history.run(age_days=29)
    assert history.prune().runs == 0
    assert set(history.counts().values()) == {1}


@pytest.mark.parametrize("state", ["queued", "running", "waiting"])
def test_a_run_that_has_not_ended_is_never_deleted(history: History, state: str) -> None:
    history.run(age_days=400, state=state)
    history.prune()
    assert set(history.counts().values()) == {1}


def test_a_run_that_waited_for_a_year_counts_from_its_end(history: History) -> None:
    history.run(age_days=365, ended_days=1)
    history.prune()
    assert set(history.counts().values()) == {1}


def test_dead_letters_are_kept_ninety_days(history: History) -> None:
    history.run(age_days=60, state="dead")
    history.run(age_days=91, state="dead")
    assert history.prune().runs == 1
    assert set(history.counts().values()) == {1}


def test_the_event_of_a_replay_stays_with_the_replay(
    history: History, database: Database, clock: FakeClock
) -> None:
    old = history.run(age_days=40)
    with database.read() as db:
        event_id = db.scalar(select(Run.event_id).where(Run.id == old))
    row = {
        "id": ids.new_id("run"),
        "flow_id": "f",
        "version_id": "v",
        "event_id": event_id,
        "state": "queued",
    }
    more = {"label": "", "source": "webhook", "created_at": clock.now(), "replay_of": old}
    database.write(lambda c: c.execute(insert(Run), row | more))
    history.prune()
    assert history.counts() == {"runs": 1, "steps": 0, "calls": 0, "events": 1, "deliveries": 1}


def test_more_than_one_batch_goes(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    for _ in range(10):
        history.run(age_days=50)
    kept = history.run(age_days=45, state="waiting")
    assert history.prune().runs == 10
    assert history.counts() == {"runs": 1, "steps": 1, "calls": 1, "events": 1, "deliveries": 1}
    with history.database.read() as db:
        assert db.scalar(select(Run.id)) == kept


def test_old_keys_go_but_not_those_of_a_flow_that_polls(
    history: History, database: Database, clock: FakeClock
) -> None:
    polls = live_flow(database, clock)
    for flow_id in ("flow_hook", polls):
        database.write(lambda c, f=flow_id: events.seed_keys(c, f, ["k"], now=clock.now()))
    clock.advance(31 * 86400)
    assert history.prune().keys == 1
    with database.read() as db:
        assert list(db.scalars(select(DedupeKey.flow_id))) == [polls]
