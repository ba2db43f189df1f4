"""Places in line, gathered records and callbacks, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.engine.turns import lie_down
from app.ids import new_id
from app.storage.database.db import Database
from app.storage.flows import callbacks
from app.storage.history import gathered, turns
from app.storage.tables.models import Gathered, Run, Turn
from tests.fakes.history import History

pytestmark = pytest.mark.postgres
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Rows:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.history = History(database)
        self.flow = self.history.flow("A flow", [])

    def run(self, state: str = "queued", **values: Any) -> str:
        return self.history.run(self.flow, state, **values)

    def state(self, run_id: str) -> tuple[str, str]:
        with self.database.read() as db:
            row = db.execute(select(Run.state, Run.reason).where(Run.id == run_id)).one()
        return row[0], row[1]


@pytest.fixture
def rows(database: Database) -> Rows:
    return Rows(database)


# ---------------------------------------------------------------------------------------- turns


def _stand(rows: Rows, *runs: str, key: str = "ada") -> None:
    rows.database.write(
        lambda db: turns.TURN.execute(db, [turns.turn_row(one, rows.flow, key) for one in runs])
    )


def test_the_first_of_a_line_goes_and_calls_the_next(rows: Rows) -> None:
    first, second, third = rows.run("running"), rows.run(), rows.run()
    _stand(rows, first, second, third)
    assert rows.database.write(lambda db: lie_down(db, first)) is False
    assert rows.database.write(lambda db: lie_down(db, second)) is True
    assert rows.state(second) == ("waiting", "turn")
    following = rows.database.write(lambda db: turns.leave(db, first))
    assert following is not None
    assert following[0] == second
    assert rows.state(second)[0] == "queued"
    assert rows.database.write(lambda db: turns.leave(db, first)) is None


def test_places_of_runs_that_have_ended_are_cleared(rows: Rows) -> None:
    gone, waits = rows.run("succeeded"), rows.run("waiting", reason="turn")
    _stand(rows, gone, "run_00000000000000000000", waits)
    assert [run[0] for run in rows.database.write(lambda db: turns.fix(db, limit=10))] == [waits]
    with rows.database.read() as db:
        assert list(db.scalars(select(Turn.run_id))) == [waits]
        assert turns.behind(db, waits) == 0


def test_stepping_out_of_line_is_for_runs_that_wait_in_one(rows: Rows) -> None:
    first, second = rows.run("running"), rows.run("waiting", reason="turn")
    _stand(rows, first, second)
    assert rows.database.write(lambda db: turns.step_out(db, first)) is None
    assert rows.database.write(lambda db: turns.step_out(db, second)) is not None
    assert rows.database.write(lambda db: turns.step_out(db, "run_nothing")) is None


# -------------------------------------------------------------------------------------- gathered


def _join(rows: Rows, run_id: str, match: str) -> int:
    row = {"run_id": run_id, "step_key": "s1", "line": "L", "match": match, "record": {"id": match}}
    return rows.database.write(lambda db: gathered.join(db, row))


def _member(rows: Rows, run_id: str) -> gathered.Member:
    with rows.database.read() as db:
        found = gathered.member(db, run_id, "s1")
    assert found is not None
    return found


def test_a_batch_takes_the_oldest_of_its_line_and_each_match_once(rows: Rows) -> None:
    runs = [rows.run("waiting", reason="batch") for _ in range(5)]
    for run_id, match in zip(runs, ("a", "b", "a", "c", "d"), strict=True):
        count = _join(rows, run_id, match)
    assert count == 5
    own, batch = _member(rows, runs[3]), new_id("bat")
    assert rows.database.write(lambda db: gathered.make_up(db, own, batch, most=3, now=NOW))
    with rows.database.read() as db:
        assert [one.run_id for one in gathered.members(db, batch)] == [runs[0], runs[1], runs[3]]
    assert _member(rows, runs[0]).leader == f"{runs[3]}:s1"
    assert _member(rows, runs[2]).batch_id is None


def test_each_run_goes_on_with_its_outcome(rows: Rows) -> None:
    waits, works = rows.run("waiting", reason="batch"), rows.run("running")
    for run_id in (waits, works):
        _join(rows, run_id, run_id)
    told = {(waits, "s1"): {"what": "done", "document": 1}, (works, "s1"): {"what": "alone"}}
    assert [run[0] for run in rows.database.write(lambda db: gathered.settle(db, told))] == [waits]
    assert rows.state(waits)[0] == "queued"
    assert _member(rows, works).outcome == {"what": "alone"}
    assert rows.database.write(lambda db: gathered.settled_meanwhile(db, works, "s1")) is None


def test_a_batch_whose_run_is_gone_may_be_taken_over_once_its_lease_is_over(rows: Rows) -> None:
    leader, other = rows.run("waiting", reason="retry"), rows.run("waiting", reason="batch")
    for run_id in (leader, other):
        _join(rows, run_id, run_id)
    own = _member(rows, leader)
    rows.database.write(lambda db: gathered.make_up(db, own, "bat_1", most=2, now=NOW))
    rows.database.write(lambda db: gathered.lease(db, "bat_1", NOW))
    later = NOW + timedelta(seconds=1)
    with rows.database.read() as db:
        assert gathered.is_led(db, _member(rows, other), later)
    assert [run[0] for run in rows.database.write(lambda db: gathered.pass_on(db, "bat_1", leader))] == [
        other
    ]
    with rows.database.read() as db:
        assert db.execute(select(Gathered.run_id, Gathered.batch_id)).all() == [(other, None)]


# ------------------------------------------------------------------------------------- callbacks


def test_a_callback_wakes_the_run_that_waits_for_it_and_counts_once(rows: Rows) -> None:
    run_id = rows.run("waiting", reason="callback")
    first, woken = rows.database.write(lambda db: callbacks.keep(db, run_id, "s1", {"ok": True}, now=NOW))
    assert (first, woken is not None and woken[0]) == (True, run_id)
    assert rows.database.write(lambda db: callbacks.keep(db, run_id, "s1", {}, now=NOW)) == (False, None)
    with rows.database.read() as db:
        assert callbacks.found(db, run_id, "s1") == ({"ok": True},)


def test_a_callback_that_came_while_the_run_lay_down_wakes_it_after_all(rows: Rows) -> None:
    run_id = rows.run("running")
    rows.database.write(lambda db: callbacks.keep(db, run_id, "s1", None, now=NOW))
    called = rows.database.write(lambda db: callbacks.called_meanwhile(db, run_id, "s1"))
    assert called is None, "it has not lain down yet"
    waits = rows.run("waiting", reason="callback")
    rows.database.write(lambda db: callbacks.keep(db, waits, "s2", None, now=NOW))
    assert rows.state(waits)[0] == "queued"
