"""What history goes when it is old, and what never does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select

from app import ids
from app.errors import FlowInvalid
from app.storage.database.db import Database
from app.storage.history import events
from app.storage.tables.models import Call, DedupeKey, Delivery, Event, Run, StepRecord
from app.storage.tables.types import to_ms
from app.storage.upkeep import retention
from app.storage.upkeep.keep_rules import Rule, Rules, default_rule, read_rules, save_rule
from app.storage.upkeep.retention import prunable, prune
from tests.fakes.clock import FakeClock
from tests.storage.test_triggers import live_flow

pytestmark = pytest.mark.postgres


class History:
    """Writes runs as of a moment in the past: ids carry the time they were made."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database = database
        self.clock = clock
        self.made = 0
        self.rules = Rules(default_rule(30))

    def run(
        self,
        *,
        age_days: float,
        state: str = "succeeded",
        ended_days: float | None = None,
        flow: str = "f",
        payload: bytes = b"{}",
    ) -> str:
        at = self.clock.now() - timedelta(days=age_days)
        ended = self.clock.now() - timedelta(days=age_days if ended_days is None else ended_days)
        delivery, event, run = (self._id(prefix, at) for prefix in ("dlv", "evt", "run"))
        rows: list[tuple[Any, dict[str, Any]]] = [
            (Delivery, {"id": delivery, "received_at": at, "method": "POST", "headers": [], "body_size": 0}),
            (
                Event,
                {
                    "id": event,
                    "flow_id": flow,
                    "delivery_id": delivery,
                    "received_at": at,
                    "payload": payload,
                },
            ),
            (Run, {"id": run, "flow_id": flow, "version_id": "v", "event_id": event, "state": state}),
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
            self.database.write(lambda db, t=table, r=row: db.execute(insert(t), r | more[t]))
        return run

    def _end(self, state: str, ended: datetime) -> datetime | None:
        return None if state in ("queued", "running", "waiting") else ended

    def _id(self, prefix: str, at: datetime) -> str:
        self.made += 1
        return ids.id_floor(prefix, to_ms(at))[:-4] + f"{self.made:04d}"

    def prune(self, **more: Any) -> retention.Pruned:
        return prune(self.database, now=self.clock.now(), rules=self.rules, **more)

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
    database.write(lambda db: db.execute(insert(Run), row | more))
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
        database.write(lambda db, f=flow_id: events.seed_keys(db, f, ["k"], now=clock.now()))
    clock.advance(31 * 86400)
    assert history.prune().keys == 1
    with database.read() as db:
        assert list(db.scalars(select(DedupeKey.flow_id))) == [polls]


# ------------------------------------------------------------------------- rules of one's own


def kept(history: History) -> list[str]:
    with history.database.read() as db:
        return list(db.scalars(select(Run.id).order_by(Run.id)))


def test_a_flow_may_keep_its_runs_shorter_or_longer_than_the_others(history: History) -> None:
    history.run(age_days=5, flow="short")
    stays = [history.run(age_days=300, flow="long"), history.run(age_days=5)]
    history.rules = Rules(Rule(30, 90), {"short": Rule(3, 90), "long": Rule(365, 365)})
    assert history.prune().runs == 1
    assert kept(history) == sorted(stays)
    assert history.counts()["deliveries"] == 2


def test_of_a_flow_with_a_limit_the_oldest_runs_go_but_no_failure_before_its_time(history: History) -> None:
    failed = history.run(age_days=20, state="dead")
    for age in (9, 8, 7):
        history.run(age_days=age)
    newest = [history.run(age_days=age) for age in (3, 2)]
    other = history.run(age_days=25, flow="g")
    history.rules = Rules(Rule(30, 90), {"f": Rule(30, 90, most_runs=2)})
    assert history.prune().runs == 3
    assert kept(history) == sorted([failed, other, *newest])


def test_failures_are_kept_ninety_days_whatever_was_written_into_the_database(history: History) -> None:
    failed = history.run(age_days=89, state="failed")
    history.rules = Rules(Rule(1, 1, most_runs=1))
    assert history.prune().runs == 0
    assert kept(history) == [failed]


def test_whoever_counts_runs_sees_them_before_they_go(history: History) -> None:
    old = history.run(age_days=40)
    tables: dict[str, Any] = {"runs": Run, "events": Event, "deliveries": Delivery}
    seen: list[tuple[str, list[str], int]] = []

    def look(db: Connection, what: str, ids: Sequence[str]) -> None:
        table = tables[what]
        there = db.scalar(select(func.count()).select_from(table).where(table.id.in_(ids))) or 0
        seen.append((what, list(ids), there))

    history.prune(before_pruning=look)
    assert [(what, there) for what, _, there in seen] == [("runs", 1), ("events", 1), ("deliveries", 1)]
    assert seen[0][1] == [old]


def test_what_cannot_be_counted_does_not_go(history: History) -> None:
    old = history.run(age_days=40)

    def fails(_connection: Connection, _what: str, _ids: Sequence[str]) -> None:
        raise ValueError("not counted")

    with pytest.raises(ValueError, match="not counted"):
        history.prune(before_pruning=fails)
    assert kept(history) == [old]
    assert set(history.counts().values()) == {1}


def test_pruning_stops_between_two_batches_and_leaves_the_writer_alone_meanwhile(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for _ in range(6):
        history.run(age_days=50)
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) == 2

    assert history.prune(wait=wait).runs == 4
    assert all(pause > 0 for pause in pauses)
    assert history.counts()["runs"] == 2


def test_what_would_go_is_counted_without_deleting_anything(history: History, clock: FakeClock) -> None:
    for age in (40, 50, 10):
        history.run(age_days=age)
    with history.database.read() as db:
        flows = retention.flows_with_runs(db)
        found = prunable(db, history.rules, clock.now(), flow_ids=flows, bytes_per_run=1000)
    assert (found.runs, found.size) == (2, 2000)
    assert history.counts()["runs"] == 3


def test_rules_are_kept_and_one_of_a_flow_can_be_taken_back(database: Database) -> None:
    database.write(lambda db: save_rule(db, Rule(7, 120, 500)))
    database.write(lambda db: save_rule(db, Rule(2, 90), flow_id="flow_a"))
    with database.read() as db:
        rules = read_rules(db, 30)
    assert rules.of("flow_a") == Rule(2, 90)
    assert rules.of("flow_b") == Rule(7, 120, 500)
    database.write(lambda db: save_rule(db, None, flow_id="flow_a"))
    database.write(lambda db: save_rule(db, None))
    with database.read() as db:
        assert read_rules(db, 40) == Rules(Rule(40, 90))


@pytest.mark.parametrize(
    ("rule", "field"),
    [(Rule(0, 90), "well_days"), (Rule(30, 89), "failed_days"), (Rule(30, 90, 0), "most_runs")],
)
def test_a_rule_that_would_delete_too_much_is_refused(database: Database, rule: Rule, field: str) -> None:
    with pytest.raises(FlowInvalid) as reason:
        database.write(lambda db: save_rule(db, rule))
    assert reason.value.where == field


def test_runs_that_take_long_to_delete_go_fewer_at_a_time(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("BATCH", 8), ("_FEWEST", 2), ("_SLOW_S", -1.0)):
        monkeypatch.setattr(retention, name, value)
    for _ in range(18):
        history.run(age_days=50)
    sizes: list[int] = []

    def look(_connection: Connection, what: str, ids: Sequence[str]) -> None:
        sizes.extend([len(ids)] if what == "runs" else [])

    history.prune(before_pruning=look)
    assert sizes == [8, 4, 2, 2, 2]
