"""Many dead letters are resent or discarded in one go: paced, each once, whatever comes between."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.commands.letters import replay_chosen, replay_group, settle_chosen, settle_group, stop_order
from app.commands.runs import cancel_waiting, replay
from app.engine.dispatch.tickets import RunTicket
from app.engine.orders import MOST_UNDER_WAY, Orders
from app.errors import FlowInvalid, NotFound
from app.storage.letters import orders as bulk_orders
from app.storage.letters.dead_letters import count, discards, get_discard, groups
from app.storage.letters.orders import Order
from app.storage.people import audit
from app.storage.tables.models import OPEN_STATES, Flow, Run, StepRecord, Turn
from tests.engine.world import World, http
from tests.fakes.people import ANA

REFUSED = (422, {"message": "no such list"})


def dead(world: World, number: int, *answers: Any) -> str:
    """So many runs that stopped at the second step; the cause they share."""
    world.service.answers("POST", "/one", {"id": 1})
    world.service.answers("POST", "/two", *[REFUSED] * number, *(answers or ({"id": 2},)))
    flow = world.live(http("s1", "/one"), http("s2", "/two"))
    for one in range(number):
        world.perform(world.event(flow, {"email": f"p{one}@example.com"}))
    return cause_of_all(world)


def cause_of_all(world: World) -> str:
    with world.parts.database.read() as db:
        (group,) = groups(db, limit=5)
    return group.cause


def order(world: World, order_id: str) -> Order:
    with world.parts.database.read() as db:
        return bulk_orders.get_order(db, order_id)


def settled(world: World) -> None:
    """Every run has come to its end."""
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        with world.parts.database.read() as db:
            left = select(func.count()).select_from(Run).where(Run.state.in_(OPEN_STATES))
            if db.execute(left).scalar_one() == 0:
                return
        world.parts.engine.spawn(_nothing()).result(60)
    raise AssertionError("the runs did not end")


async def _nothing() -> None:
    import asyncio

    await asyncio.sleep(0.01)


def work_off(world: World, order_id: str) -> None:
    limit = time.monotonic() + 60
    while order(world, order_id).is_open and time.monotonic() < limit:
        world.parts.engine.work_orders()
        settled(world)


def resend(world: World, cause: str, **how: Any) -> str:
    return replay_group(ANA, world.parts, cause, **how)


def test_all_of_a_cause_are_resent_from_the_failed_step(world: World) -> None:
    cause = dead(world, 7)
    order_id = resend(world, cause)
    work_off(world, order_id)
    done = order(world, order_id)
    assert (done.state, done.total, done.done, done.refused) == ("done", 7, 7, 0)
    assert len(world.service.to("/one")) == 7  # what had succeeded was not sent again
    assert len(world.service.to("/two")) == 14
    with world.parts.database.read() as db:
        assert count(db) == 0
        assert bulk_orders.outcomes(db, [order_id]) == {order_id: {"succeeded": 7}}
        (entry,) = audit.entries(db, noun="flow", noun_id=done.flow_id)
    assert (entry.action, entry.detail["number"]) == ("resent dead letters", 7)


def test_those_that_fail_again_are_dead_letters_again_and_the_order_ends(world: World) -> None:
    cause = dead(world, 3, REFUSED)
    order_id = resend(world, cause)
    work_off(world, order_id)
    with world.parts.database.read() as db:
        (group,) = groups(db, limit=5)
        assert bulk_orders.outcomes(db, [order_id]) == {order_id: {"dead": 3}}
    assert (group.cause, group.count) == (cause, 3)
    assert len(world.service.to("/two")) == 6


def test_only_so_many_are_on_their_way_at_once(world: World) -> None:
    number = MOST_UNDER_WAY + 30
    cause = dead(world, number)
    resend(world, cause)
    tickets: list[RunTicket] = []
    slow = Orders(world.parts.database, world.clock, tickets.extend)
    assert slow.work() == MOST_UNDER_WAY
    assert slow.work() == 0  # none of them has ended
    for ticket in tickets[:10]:
        world.perform(ticket)
    assert slow.work() == 10
    for ticket in tickets[10:]:
        world.perform(ticket)
    assert slow.work() == 20
    assert len({ticket.run_id for ticket in tickets}) == number


def test_runs_that_wait_for_the_budget_of_a_service_hold_the_order_back(world: World) -> None:
    resend(world, dead(world, MOST_UNDER_WAY + 5))
    tickets: list[RunTicket] = []
    orders = Orders(world.parts.database, world.clock, tickets.extend)
    orders.work()

    def wait(reason: str) -> None:
        later = world.clock.now() + timedelta(hours=1)
        waits = update(Run).where(Run.id.in_([one.run_id for one in tickets]))
        values = {"state": "waiting", "reason": reason, "wake_at": later}
        world.parts.database.write(lambda db: db.execute(waits.values(**values)))

    wait("rate_limit")
    assert orders.work() == 0
    wait("delay")  # a flow's own wait of a day is nobody's budget
    assert orders.work() == 5


@pytest.mark.parametrize("is_chosen", [False, True])
def test_a_stop_in_the_middle_repeats_nothing_and_leaves_nothing_out(
    world: World, monkeypatch: pytest.MonkeyPatch, is_chosen: bool
) -> None:
    cause = dead(world, 60)
    if is_chosen:
        with world.parts.database.read() as db:
            ids = list(db.execute(select(Run.id)).scalars())
        order_id = replay_chosen(ANA, world.parts, ids)
    else:
        order_id = resend(world, cause)

    def dies(*_args: object, **_more: object) -> None:
        raise RuntimeError("the process ended here")

    lost: list[RunTicket] = []  # the process ends before these have been handed over
    Orders(world.parts.database, world.clock, lost.extend).work()
    with monkeypatch.context() as patch:
        patch.setattr(bulk_orders, "advance", dies)  # in the middle of a portion's transaction
        for ticket in lost[:30]:
            world.perform(ticket)
        with pytest.raises(RuntimeError):
            Orders(world.parts.database, world.clock, lost.extend).work()
    world.parts.engine.sweep()  # what a start does with runs that are queued
    settled(world)
    work_off(world, order_id)
    assert order(world, order_id).done == 60
    sent = [got.json["email"] for got in world.service.to("/two")]
    assert sorted(sent) == sorted([f"p{one}@example.com" for one in range(60)] * 2)


def test_an_order_can_be_stopped(world: World) -> None:
    cause = dead(world, MOST_UNDER_WAY + 5)
    order_id = resend(world, cause)
    world.parts.engine.orders._work_on(order_id)
    assert stop_order(ANA, world.parts, order_id)
    settled(world)
    assert world.parts.engine.work_orders() == 0
    stopped = order(world, order_id)
    assert (stopped.state, stopped.done) == ("stopped", MOST_UNDER_WAY)
    with world.parts.database.read() as db:
        assert count(db) == 5
    assert not stop_order(ANA, world.parts, order_id)


def test_the_same_group_is_not_ordered_twice(world: World) -> None:
    cause = dead(world, 2)
    resend(world, cause)
    with pytest.raises(FlowInvalid, match="being worked off already"):
        resend(world, cause)
    with pytest.raises(NotFound):
        resend(world, "flow_x|s1|gone|")


def test_a_run_that_a_person_resent_meanwhile_is_not_sent_a_third_time(world: World) -> None:
    cause = dead(world, 3)
    order_id = resend(world, cause)
    with world.parts.database.read() as db:
        first = db.execute(select(func.min(Run.id))).scalar_one()
    replay(ANA, world.parts, first, mode="failed")
    work_off(world, order_id)
    settled(world)
    assert order(world, order_id).done == 2
    assert len(world.service.to("/two")) == 6


def test_chosen_ones_are_resent_and_those_dealt_with_are_counted_apart(world: World) -> None:
    dead(world, 3)
    with world.parts.database.read() as db:
        ids = list(db.execute(select(Run.id).order_by(Run.id)).scalars())
    settle_chosen(ANA, world.parts, ids[:1], reason="A test")
    world.parts.engine.work_orders()
    order_id = replay_chosen(ANA, world.parts, ids[:2])
    work_off(world, order_id)
    done = order(world, order_id)
    assert (done.done, done.refused) == (1, 1)
    assert "dealt with" in done.sentence
    assert len(world.service.to("/two")) == 4
    with pytest.raises(FlowInvalid, match="No run was selected"):
        replay_chosen(ANA, world.parts, [])


def test_one_that_cannot_be_resent_stays_and_the_order_says_why(world: World) -> None:
    cause = dead(world, 2)
    world.parts.database.write(lambda db: db.execute(update(Flow).values(live_version_id=None)))
    order_id = resend(world, cause, version="current")
    work_off(world, order_id)
    done = order(world, order_id)
    assert (done.state, done.done, done.refused) == ("done", 0, 2)
    assert "no live version" in done.sentence
    with world.parts.database.read() as db:
        assert count(db) == 2


def test_a_held_flow_keeps_its_order_waiting(world: World) -> None:
    cause = dead(world, 2)
    order_id = resend(world, cause)
    world.parts.database.write(lambda db: db.execute(update(Flow).values(is_held=True)))
    assert world.parts.engine.work_orders() == 0
    assert order(world, order_id).is_open
    world.parts.database.write(lambda db: db.execute(update(Flow).values(is_held=False)))
    work_off(world, order_id)
    assert order(world, order_id).done == 2


def test_discarding_keeps_the_run_and_says_who_and_why(world: World) -> None:
    cause = dead(world, 3)
    with pytest.raises(FlowInvalid, match="Say why"):
        settle_group(ANA, world.parts, cause, reason="  ")
    order_id = settle_group(ANA, world.parts, cause, reason="Old test leads")
    work_off(world, order_id)
    with world.parts.database.read() as db:
        assert count(db) == 0
        kept = discards(db)
        assert get_discard(db, kept[0].run_id) == kept[0]
        assert discards(db, before=(kept[1].at, kept[1].run_id)) == kept[2:]
        assert db.execute(select(func.count()).select_from(StepRecord)).scalar_one() == 6
    assert [one.reason for one in kept] == ["Old test leads"] * 3
    assert all(one.is_there and one.flow_name == "A flow" for one in kept)
    assert len(world.service.to("/two")) == 3


def test_a_whole_run_is_made_anew_when_that_is_asked_for(world: World) -> None:
    cause = dead(world, 2)
    work_off(world, resend(world, cause, mode="whole"))
    assert len(world.service.to("/one")) == 4


def test_old_orders_are_forgotten(world: World) -> None:
    cause = dead(world, 1)
    order_id = resend(world, cause)
    work_off(world, order_id)
    now = world.clock.advance(86400 * 91)

    def forget(db: Any) -> int:
        return bulk_orders.forget_old(db, before=now - bulk_orders.KEPT)

    assert world.parts.database.write(forget) == 1
    with pytest.raises(NotFound):
        order(world, order_id)


def test_cancelled_runs_in_line_are_never_performed_and_their_turn_passes_on(world: World) -> None:
    """Of a flow that takes the records of one key one at a time."""
    world.service.answers("POST", "/one", {"id": 1})
    keyed = {"one_by_one": "{{trigger:$.email}}"}
    delay = {"kind": "delay", "id": "s0", "amount": "1", "unit": "days"}
    flow = world.live(delay, http("s1", "/one"), **keyed)
    tickets = [world.event(flow, {"email": "ada@example.com"}) for _ in range(3)]
    for ticket in tickets:
        world.perform(ticket)
    order_id = cancel_waiting(ANA, world.parts, {"flow_id": flow[0]})
    _until_over(world, order_id)
    assert {world.state(ticket).state for ticket in tickets} == {"cancelled"}
    world.clock.advance(86_400 * 2)
    world.parts.engine.wake_due()
    settled(world)
    assert world.service.requests == []
    with world.parts.database.read() as db:
        assert db.execute(select(func.count()).select_from(Turn)).scalar_one() == 0


def _until_over(world: World, order_id: str) -> None:
    for _ in range(20):
        world.parts.engine.work_orders()
    assert not order(world, order_id).is_open
