"""Dead letters, the orders about them and what is kept of them, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.commands.letters import replay_group, settle_group
from app.engine.dispatch.tickets import RunTicket
from app.engine.orders import MOST_UNDER_WAY, Orders
from app.storage.database.db import Database
from app.storage.history.resends import get_resend
from app.storage.history.rows import settle
from app.storage.letters import dead_letters
from app.storage.letters import orders as bulk_orders
from app.storage.letters.dead_letters import cause_of, discard, discards, get_discard, take_back
from app.storage.letters.orders import Order
from app.storage.tables.models import BulkOrder, Flow, OrderedRun, Resend, Run
from app.storage.upkeep.keep_rules import Rule, Rules
from app.storage.upkeep.retention import prune
from tests.fakes.clock import START, FakeClock
from tests.fakes.history import History
from tests.fakes.people import ANA, rows_of

pytestmark = pytest.mark.postgres

STEP = {"kind": "http", "id": "s1", "request": {"url": "https://crm.example"}}


@pytest.fixture
def history(database: Database) -> History:
    return History(database)


@pytest.fixture
def flow(history: History) -> str:
    return history.flow("Leads", [STEP])


def stopped(history: History, flow: str, number: int = 1, about: str = "crm.example 422", **more: Any) -> str:
    cause = cause_of(flow, "s1", "invalid_payload", about)
    facts = {"position": "s1", "error_kind": "invalid_payload", "sentence": "No.", "cause": cause}
    for one in range(number):
        at = START - timedelta(hours=1) + timedelta(seconds=one)
        run = history.run(flow, "dead", more.get("at", at), label=f"Lead {one}", **facts)
        history.step(run, "s1", "failed", at)
    return cause


def order_of(database: Database, order_id: str) -> Order:
    with database.read() as db:
        return bulk_orders.get_order(db, order_id)


def test_groups_are_counted_by_cause_with_the_newest_first(
    database: Database, history: History, flow: str
) -> None:
    stopped(history, flow, 3)
    other = history.flow("Orders", [STEP])
    stopped(history, other, 1, "crm.example 404", at=START)
    with database.read() as db:
        found = dead_letters.groups(db, limit=10)
        assert [(one.flow_name, one.count) for one in found] == [("Orders", 1), ("Leads", 3)]
        assert found[1].last_at - found[1].first_at == timedelta(seconds=2)
        assert dead_letters.groups(db, limit=1) == found[:1]
        assert dead_letters.groups(db, limit=10, flow_id=flow) == found[1:]
        assert dead_letters.count(db) == 4
        rows, older = dead_letters.letters(db, found[1].cause, limit=2)
        assert [row.label for row in rows] == ["Lead 2", "Lead 1"]
        rows, older = dead_letters.letters(db, found[1].cause, before=older, limit=2)
        assert ([row.label for row in rows], older) == (["Lead 0"], None)


def test_groups_are_read_from_their_index(database: Database) -> None:
    """However long the history of what went well is."""
    if not database.is_sqlite:
        return  # a table this small is simply read
    counted = dead_letters._counted().group_by(Run.cause).compile(compile_kwargs={"literal_binds": True})
    with database.read() as db:
        plan = db.exec_driver_sql(f"EXPLAIN QUERY PLAN {counted}").all()
    assert all("INDEX ix_runs_cause" in row[3] for row in plan), plan


def test_a_failure_that_was_settled_is_no_dead_letter(
    database: Database, history: History, flow: str
) -> None:
    cause = stopped(history, flow, 2)
    with database.read() as db:
        ids = list(db.execute(select(Run.id)).scalars())
    database.write(lambda db: settle(db, ids, now=START))
    with database.read() as db:
        assert dead_letters.get_group(db, cause) is None
        assert dead_letters.count(db) == 0


def test_two_workers_on_one_order_send_each_letter_once(
    database: Database, history: History, flow: str
) -> None:
    """Whoever works on an order has its row; a second one goes away with nothing."""
    clock = FakeClock()
    number = MOST_UNDER_WAY + 20
    cause = stopped(history, flow, number)
    order_id = replay_group(ANA, rows_of(database, clock), cause)
    second = Database(database.url) if not database.is_sqlite else database
    if second is not database:
        second.start()
    tickets: list[RunTicket] = []
    failed: list[BaseException] = []
    begin = threading.Barrier(2)

    def work(mine: Database) -> None:
        orders = Orders(mine, clock, tickets.extend)
        begin.wait(60)
        try:
            for _ in range(40):
                orders.work()
                mine.write(_all_done)
        except BaseException as reason:  # told by the test
            failed.append(reason)

    threads = [threading.Thread(target=work, args=(one,)) for one in (database, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if second is not database:
        second.close()
    assert not failed
    order = order_of(database, order_id)
    assert (order.state, order.done, order.refused) == ("done", number, 0)
    assert len({ticket.run_id for ticket in tickets}) == len(tickets) == number
    with database.read() as db:
        again = select(func.count(), func.count(Run.replay_of.distinct())).where(Run.replay_of.is_not(None))
        assert tuple(db.execute(again).one()) == (number, number)


def _all_done(db: Any) -> None:
    db.execute(update(Run).where(Run.state == "queued").values(state="succeeded", finished_at=START))


def test_an_order_never_takes_up_what_it_has_made_itself(
    database: Database, history: History, flow: str
) -> None:
    """Of several processes one's clock may be behind: ids then do not tell which run came first."""
    clock = FakeClock()
    cause = stopped(history, flow, 2)
    order_id = replay_group(ANA, rows_of(database, clock), cause)

    def fails_again(db: Any) -> None:
        db.execute(
            update(Run)
            .where(Run.state == "queued")
            .values(state="dead", cause=cause, finished_at=clock.now())
        )

    later = update(BulkOrder).values(upto="run_zzzzzzzzzzzzzzzzzzzz")
    database.write(lambda db: db.execute(later))
    orders = Orders(database, clock, lambda tickets: None)
    for _ in range(5):
        orders.work()
        database.write(fails_again)
    order = order_of(database, order_id)
    assert (order.state, order.done) == ("done", 2)
    with database.read() as db:
        assert dead_letters.count(db) == 2


def test_a_discarded_letter_keeps_its_reason_longer_than_its_run(
    database: Database, history: History, flow: str
) -> None:
    clock = FakeClock()
    cause = stopped(history, flow, 2)
    settle_group(ANA, rows_of(database, clock), cause, reason="Test data\x00 \ud800")
    Orders(database, clock, lambda tickets: None).work()
    clock.advance(86_400 * 89)
    rules = Rules(Rule(1, 1))  # whatever somebody wrote into the database
    assert prune(database, now=clock.now(), rules=rules).runs == 0
    clock.advance(86_400 * 2)
    assert prune(database, now=clock.now(), rules=rules).runs == 2
    with database.read() as db:
        kept = discards(db)
        assert [(one.reason, one.is_there, one.flow_name) for one in kept] == [
            ("Test data ?", False, "Leads")
        ] * 2
        assert get_discard(db, kept[0].run_id) == kept[0]
        assert db.execute(select(func.count()).select_from(BulkOrder)).scalar_one() == 0


def test_what_was_discarded_can_be_taken_up_and_discarded_again(
    database: Database, history: History, flow: str
) -> None:
    stopped(history, flow)
    with database.read() as db:
        run = db.execute(select(Run.id)).scalar_one()

    def put_away(reason: str) -> list[str]:
        return database.write(lambda db: discard(db, [run], reason=reason, by=None, now=START))

    assert put_away("First") == [run]
    assert put_away("Second") == []
    database.write(lambda db: db.execute(update(Run).values(settled_at=None)))
    assert put_away("Third") == [run]
    with database.read() as db:
        assert [one.reason for one in discards(db)] == ["Third"]
    database.write(lambda db: take_back(db, run))
    with database.read() as db:
        assert discards(db) == []


def test_how_a_run_was_resent_goes_with_the_run(database: Database, history: History, flow: str) -> None:
    from app.engine.replay import ReplayWay, run_again

    clock = FakeClock()
    stopped(history, flow)
    with database.read() as db:
        run = db.execute(select(Run.id)).scalar_one()
    way = ReplayWay("failed", "same", "usr_1", b'{"a": "\xc3\xa9"}')
    ticket = database.write(lambda db: run_again(db, run, way, clock.now()))
    with database.read() as db:
        resend = get_resend(db, ticket.run_id)
    assert resend is not None
    assert (resend.by, resend.payload) == ("usr_1", b'{"a": "\xc3\xa9"}')
    done = update(Run).where(Run.id == ticket.run_id).values(state="succeeded", finished_at=clock.now())
    database.write(lambda db: db.execute(done))
    clock.set(clock.now() + timedelta(days=400 * 10))
    prune(database, now=clock.now(), rules=Rules(Rule(1, 90)))
    with database.read() as db:
        for table in (Run, Resend, OrderedRun):
            assert db.execute(select(func.count()).select_from(table)).scalar_one() == 0
        assert db.execute(select(func.count()).select_from(Flow)).scalar_one() == 1
