"""Runs of one key go one at a time, in the order they came; all others go side by side."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from sqlalchemy import func, select

from app.commands import runs
from app.engine.dispatch.tickets import RunTicket
from app.intake.turns import give_places
from app.storage.history import events
from app.storage.tables.models import Turn
from tests.engine.world import World, http
from tests.fakes.handed import hand_over
from tests.fakes.people import ANA

BY_EMAIL = {"one_by_one": "{{trigger:$.email}}"}


class Line:
    """Accepts events as the intake does and performs runs when the test says so."""

    def __init__(self, world: World, **settings: Any) -> None:
        self.world = world
        self.flow = world.live(http("s1", "/x", retry={"preset": "standard"}, repeat="safe"), **settings)
        self.next: list[RunTicket] = []
        hand_over(world.parts, self.next.extend)

    def accept(self, email: str | None) -> RunTicket:
        document = {} if email is None else {"email": email}
        new = events.arrival(document, orjson.dumps(document), email or "")
        now = self.world.clock.now()

        def work(db: Any) -> None:
            give_places(self.world.parts.engine.runs.versions.get(self.flow[1]).definition, [new])
            facts = {"flow_id": self.flow[0], "version_id": self.flow[1], "delivery_id": None}
            rows = events.arrival_rows([new], **facts, source="webhook", now=now)
            events.write_all(db, rows)

        self.world.parts.database.write(work)
        return RunTicket(new.run_id, *self.flow, new.event_id, new.payload)

    def state(self, ticket: RunTicket) -> tuple[str, str]:
        run = self.world.state(ticket)
        return run.state, run.reason

    def places(self) -> int:
        with self.world.parts.database.read() as db:
            return db.scalar(select(func.count()).select_from(Turn)) or 0

    def sent_to(self) -> list[str]:
        return [got.json["email"] for got in self.world.service.requests]


@pytest.fixture
def line(world: World) -> Line:
    return Line(world, **BY_EMAIL)


def test_a_later_run_waits_while_the_one_before_it_waits_for_a_retry(world: World, line: Line) -> None:
    world.service.answers("POST", "/x", 503, {})
    first, second, other = line.accept("ada@x.org"), line.accept("ADA@x.org "), line.accept("bob@x.org")
    for ticket in (first, second, other):
        world.perform(ticket)
    assert line.state(first) == ("waiting", "retry")
    assert line.state(second) == ("waiting", "turn")
    assert line.state(other) == ("succeeded", "")
    waiting = world.state(second)
    assert (waiting.waits_for, waiting.wake_at) == (first.run_id, None)
    assert "ada@x.org" in waiting.sentence
    world.clock.advance(100)
    world.again(first)
    assert [ticket.run_id for ticket in line.next] == [second.run_id]
    world.perform(line.next.pop())
    assert line.state(second) == ("succeeded", "")
    assert line.sent_to() == ["ada@x.org", "bob@x.org", "ada@x.org", "ADA@x.org "]
    assert line.places() == 0


def test_after_a_restart_the_order_is_still_that_of_arrival(world: World, line: Line) -> None:
    world.service.answers("POST", "/x", {})
    tickets = [line.accept("ada@x.org") for _ in range(3)]
    for ticket in reversed(tickets):
        world.again(ticket)
    assert [line.state(ticket) for ticket in tickets] == [
        ("succeeded", ""),
        ("queued", ""),
        ("waiting", "turn"),
    ]
    while line.next:
        world.perform(line.next.pop(0))
    assert [line.state(ticket)[0] for ticket in tickets] == ["succeeded"] * 3


def test_cancelling_the_first_lets_the_next_one_go(world: World, line: Line) -> None:
    world.service.answers("POST", "/x", 503)
    first, second = line.accept("ada@x.org"), line.accept("ada@x.org")
    world.perform(first)
    world.perform(second)
    assert runs.cancel(ANA, world.parts, first.run_id)
    assert [ticket.run_id for ticket in line.next] == [second.run_id]


def test_a_cancelled_run_leaves_the_middle_of_its_line(world: World, line: Line) -> None:
    first, second, third = (line.accept("ada@x.org") for _ in range(3))
    world.perform(second)
    world.perform(third)
    runs.cancel(ANA, world.parts, second.run_id)
    world.perform(first)
    assert [ticket.run_id for ticket in line.next] == [third.run_id]


def test_a_person_may_let_a_run_go_ahead_of_the_one_it_waits_for(world: World, line: Line) -> None:
    world.service.answers("POST", "/x", 503, {})
    first, second = line.accept("ada@x.org"), line.accept("ada@x.org")
    world.perform(first)
    world.perform(second)
    runs.go_ahead(ANA, world.parts, second.run_id)
    world.perform(line.next.pop())
    assert line.state(second) == ("succeeded", "")
    assert line.state(first) == ("waiting", "retry")
    assert line.places() == 1


def test_a_run_behind_one_that_is_gone_is_found_by_the_sweep(world: World, line: Line) -> None:
    first, second = line.accept("ada@x.org"), line.accept("ada@x.org")
    world.perform(second)

    def end(db: Any) -> None:
        from sqlalchemy import update

        from app.storage.tables.models import Run

        db.execute(update(Run).where(Run.id == first.run_id).values(state="succeeded"))

    world.parts.database.write(end)
    world.parts.engine.sweep()
    assert second.run_id in [ticket.run_id for ticket in line.next]
    assert line.places() == 1


def test_a_dead_letter_does_not_hold_up_the_next_one_and_its_replay_stands_behind(
    world: World, line: Line
) -> None:
    world.service.answers("POST", "/x", 422, 503)
    first, second = line.accept("ada@x.org"), line.accept("ada@x.org")
    world.perform(first)
    world.perform(second)
    assert line.state(second) == ("waiting", "retry")
    new = world.made_again(first.run_id, is_handed_over=False)
    again = RunTicket(new, *line.flow, first.event_id, fresh=False)
    world.perform(again)
    assert line.state(again) == ("waiting", "turn")


def test_events_without_the_key_and_flows_without_one_stand_in_no_line(world: World) -> None:
    keyed = Line(world, **BY_EMAIL)
    keyed.accept(None)
    Line(world).accept("ada@x.org")
    assert keyed.places() == 0


def test_a_fixed_word_puts_all_runs_of_a_flow_into_one_line(world: World) -> None:
    line = Line(world, one_by_one="all")
    first, second = line.accept("ada@x.org"), line.accept("bob@x.org")
    world.perform(second)
    assert line.state(second) == ("waiting", "turn")
    world.perform(first)
    assert [ticket.run_id for ticket in line.next] == [second.run_id]


def test_a_key_of_any_length_and_form_is_a_line(world: World, line: Line) -> None:
    long = "x" * 100_000
    first, second = line.accept(long), line.accept(long)
    world.perform(second)
    assert line.state(second) == ("waiting", "turn")
    assert len(world.state(second).sentence) < 400
    assert line.state(first) == ("queued", "")
