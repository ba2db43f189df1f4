"""Looks of poll triggers: nothing missed, nothing twice, nothing moved by a look that failed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.errors import Stale
from app.intake.polls.polling import Looked
from app.storage.flows import flows, polls, triggers
from app.storage.flows.triggers import TriggerRow
from app.storage.tables.models import Call
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService, Received
from tests.intake.conftest import Server

URL = "https://shop.example/orders"


def poll(**more: Any) -> dict[str, Any]:
    return {"kind": "poll", "request": {"url": URL}, "every_s": 300, **more}


def orders(ids: Iterable[int]) -> list[dict[str, Any]]:
    return [{"id": number, "email": f"{number}@b.c"} for number in ids]


def row(server: Server, flow_id: str) -> TriggerRow:
    with server.database.read() as db:
        found = triggers.get_trigger(db, flow_id)
    assert found is not None
    return found


def ids(server: Server) -> list[int]:
    return [event["id"] for event in server.events()]


def look(server: Server, flow_id: str) -> Looked:
    return server.poll_now(flow_id)


# -------------------------------------------------------------------------------- what is new


def test_the_first_look_remembers_and_starts_nothing(server: Server) -> None:
    flow_id = server.live(poll())
    server.service.answers("GET", "/orders", orders([1, 2]), orders([3, 2, 1]))
    first = look(server, flow_id)
    assert (first.state, first.found, first.seeded, first.new) == ("succeeded", 2, 2, 0)
    assert ids(server) == []
    second = look(server, flow_id)
    assert (second.found, second.new) == (3, 1)
    assert ids(server) == [3]
    assert [ticket.payload for ticket in server.engine.tickets] == [b'{"id":3,"email":"3@b.c"}']


def test_an_empty_first_look_is_a_first_look_too(server: Server) -> None:
    flow_id = server.live(poll())
    server.service.answers("GET", "/orders", [], orders([1]))
    look(server, flow_id)
    look(server, flow_id)
    assert ids(server) == [1]


def test_a_record_that_leaves_and_comes_back_is_not_new(server: Server) -> None:
    flow_id = server.live(poll())
    server.service.answers("GET", "/orders", orders([1]), orders([1, 2]), orders([]), orders([2, 1, 3]))
    for _ in range(4):
        look(server, flow_id)
    assert ids(server) == [2, 3]


def test_the_oldest_record_runs_first(server: Server) -> None:
    flow_id = server.live(poll(cursor="$.at"))
    newest_first = [{"id": n, "at": f"2026-03-02T10:0{n}:00Z"} for n in (3, 2, 1)]
    server.service.answers("GET", "/orders", [], newest_first)
    look(server, flow_id)
    look(server, flow_id)
    assert ids(server) == [1, 2, 3]
    assert row(server, flow_id).cursor == "2026-03-02T10:03:00Z"


def test_a_feed_is_read_without_being_told_how(server: Server) -> None:
    def feed(*names: str) -> httpx.Response:
        items = "".join(f"<item><title>{name}</title><guid>{name}</guid></item>" for name in names)
        text = f'<?xml version="1.0"?><rss version="2.0"><channel>{items}</channel></rss>'
        return httpx.Response(200, text=text, headers={"Content-Type": "application/rss+xml"})

    flow_id = server.live(poll())
    server.service.answers("GET", "/orders", feed("a"), feed("b", "a"), feed())
    for _ in range(3):
        assert look(server, flow_id).state == "succeeded"
    assert [event["title"] for event in server.events()] == ["b"]


# ------------------------------------------------------------------------------------ failures


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((500, {"message": "no"}), "500"),
        ("<html>maintenance", "not a list"),
        ({"orders": []}, "not a list"),
        (httpx.ConnectError("refused"), ""),
        (httpx.Response(200, content=b"{", headers={"Content-Type": "application/json"}), ""),
    ],
)
def test_a_look_that_fails_moves_nothing_and_says_why(server: Server, answer: Any, words: str) -> None:
    flow_id = server.live(poll(cursor="$.id"))
    server.service.answers("GET", "/orders", orders([1]), answer, orders([1, 2]))
    look(server, flow_id)
    before = row(server, flow_id)
    failed = look(server, flow_id)
    after = row(server, flow_id)
    assert failed.state == "failed"
    assert words in failed.sentence
    assert (after.cursor, after.seeded_at, after.fail_count) == (before.cursor, before.seeded_at, 1)
    assert after.last_error == failed.sentence
    with server.database.read() as db:
        kept = db.execute(select(Call.method, Call.url).where(Call.made_for == failed.poll_id)).all()
    assert kept == [("GET", URL)]
    assert look(server, flow_id).state == "succeeded"
    assert ids(server) == [2]
    assert (row(server, flow_id).fail_count, row(server, flow_id).last_error) == (0, "")


def test_while_it_fails_it_looks_less_often_but_never_stops(server: Server) -> None:
    flow_id = server.live(poll())
    server.service.answers("GET", "/orders", 503)
    waits = []
    for _ in range(6):
        look(server, flow_id)
        due = row(server, flow_id).next_due_at
        assert due is not None
        waits.append((due - server.clock.now()).total_seconds() / 300)
    assert waits == [1, 2, 4, 8, 10, 10]


def test_a_service_that_names_its_wait_is_left_alone_so_long(server: Server) -> None:
    flow_id = server.live(poll())
    server.service.answers("GET", "/orders", (429, {"message": "slow"}, {"Retry-After": "7200"}))
    look(server, flow_id)
    due = row(server, flow_id).next_due_at
    assert due is not None
    assert due - server.clock.now() >= timedelta(seconds=7200)


def test_records_that_cannot_be_told_apart_by_the_path_fail_with_a_sentence(server: Server) -> None:
    flow_id = server.live(poll())
    server.service.answers("GET", "/orders", orders([1]))
    server.database.write(lambda db: _set_trigger(db, flow_id, {"items": "$["}))
    assert look(server, flow_id).state == "failed"
    assert ids(server) == []


def _set_trigger(connection: Any, flow_id: str, change: dict[str, Any]) -> None:
    version = flows.live_version(connection, flow_id)
    assert version is not None
    trigger = version.definition.trigger.model_copy(update=change)
    flows.add_version(
        connection,
        flow_id,
        version.definition.model_copy(update={"trigger": trigger}),
        by=None,
        now=version.created_at,
    )


# ------------------------------------------------------------------------- change while looking


def test_a_flow_switched_off_while_it_is_asked_keeps_its_records_for_later(server: Server) -> None:
    flow_id = server.live(poll())

    def off(_received: Received) -> Any:
        flow_commands.switch_off(SHELL, server, flow_id)
        return orders([1, 2])

    server.service.answers("GET", "/orders", orders([1]), off, orders([1, 2, 3]))
    look(server, flow_id)
    assert look(server, flow_id).state == "skipped"
    assert ids(server) == []
    flow_commands.switch_on(SHELL, server, flow_id)
    look(server, flow_id)
    assert ids(server) == [2, 3]


def test_publishing_another_source_meanwhile_does_not_mix_the_two(server: Server) -> None:
    flow_id = server.live(poll())

    def publish(_received: Received) -> Any:
        server.edit(flow_id, poll(request={"url": "https://other.example/things"}))
        return orders([1, 2])

    server.service.answers("GET", "shop.example/orders", orders([1]), publish)
    server.service.answers("GET", "other.example/things", orders([1, 2, 7]), orders([8, 7]))
    look(server, flow_id)
    assert look(server, flow_id).state == "skipped"
    assert look(server, flow_id).seeded == 3  # an order 1 says nothing about a thing 1
    look(server, flow_id)
    assert ids(server) == [8]


def test_a_held_flow_reads_on_and_lets_its_runs_wait(server: Server) -> None:
    flow_id = server.live(poll())
    server.service.answers("GET", "/orders", [], orders([1]))
    look(server, flow_id)
    server.database.write(lambda db: flows.set_held(db, flow_id, True, now=server.clock.now()))
    look(server, flow_id)
    assert server.runs() == [("waiting", "held_flow")]
    assert server.engine.tickets == []


def test_only_one_look_at_a_time(server: Server) -> None:
    flow_id = server.live(poll())
    now = server.clock.now()
    server.database.write(
        lambda db: triggers.take_lease(db, flow_id, now=now, until=now + timedelta(minutes=1))
    )
    with pytest.raises(Stale):
        look(server, flow_id)
    with pytest.raises(Stale):
        look(server, server.live({"kind": "webhook"}))


# ---------------------------------------------------------------------------------- the cursor


class Shop:
    """Orders that can be asked for by `since`, oldest first, some to a page."""

    def __init__(self, page: int) -> None:
        self.page = page
        self.orders: list[dict[str, Any]] = []

    def answer(self, received: Received) -> Any:
        since = received.query.get("since") or ""
        found = sorted((order for order in self.orders if order["at"] >= since), key=lambda o: o["at"])
        return found[: self.page]


def by_cursor(every_s: int = 300) -> dict[str, Any]:
    request = {"url": URL, "query": [{"name": "since", "mapping": "{{cursor}}"}]}
    return poll(request=request, cursor="$.at", every_s=every_s)


def test_a_burst_larger_than_a_page_is_read_to_its_end(server: Server) -> None:
    shop = Shop(page=10)
    server.service.answers("GET", "/orders", shop.answer)
    flow_id = server.live(by_cursor())
    shop.orders = [{"id": n, "at": f"2026-03-02T08:{n // 60:02}:{n % 60:02}Z"} for n in range(35)]
    assert look(server, flow_id).seeded == 35
    shop.orders += [{"id": n, "at": f"2026-03-02T09:{n // 60:02}:{n % 60:02}Z"} for n in range(35, 80)]
    assert look(server, flow_id).new == 45
    assert ids(server) == list(range(35, 80))


def test_a_full_page_inside_the_overlap_does_not_hide_what_is_new(server: Server) -> None:
    shop = Shop(page=5)
    server.service.answers("GET", "/orders", shop.answer)
    flow_id = server.live(by_cursor())
    shop.orders = [{"id": n, "at": f"2026-03-02T08:00:{n:02}Z"} for n in range(20)]
    look(server, flow_id)
    shop.orders += [{"id": 20, "at": "2026-03-02T08:00:30Z"}]
    look(server, flow_id)
    assert ids(server) == [20]


class Polling(RuleBasedStateMachine):
    """Orders with equal moments, late arrivals within the overlap, failures, publishing, pausing."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        Polling.made = getattr(Polling, "made", 0) + 1
        self.service = FakeService()
        place = Polling.folder / str(Polling.made)
        place.mkdir()
        self.server = Server(place, FakeClock(), self.service)
        self.shop = Shop(page=1000)
        self.service.answers("GET", "/orders", self._answer)
        self.fails = False
        self.flow_id = self.server.live(by_cursor())
        look(self.server, self.flow_id)
        self.expected: set[int] = set()

    def _answer(self, received: Received) -> Any:
        return 500 if self.fails else self.shop.answer(received)

    @rule(age_s=st.sampled_from([0, 0, 1, 30, 290]), count=st.integers(1, 4))
    def orders_come(self, age_s: int, count: int) -> None:
        at = self.server.clock.now() - timedelta(seconds=age_s)
        for _ in range(count):
            number = len(self.shop.orders)
            self.shop.orders.append({"id": number, "at": at.isoformat().replace("+00:00", "Z")})
            self.expected.add(number)

    @rule(seconds=st.integers(1, 200))
    def time_passes(self, seconds: int) -> None:
        self.server.clock.advance(seconds)

    @rule(fails=st.booleans())
    def it_looks(self, fails: bool) -> None:
        self.fails = fails
        look(self.server, self.flow_id)
        self.fails = False

    @rule()
    def it_is_published_anew(self) -> None:
        self.server.edit(self.flow_id, by_cursor(), description="Other words")

    @rule()
    def it_is_switched_off_and_on(self) -> None:
        flow_commands.switch_off(SHELL, self.server, self.flow_id)
        flow_commands.switch_on(SHELL, self.server, self.flow_id)

    @invariant()
    def nothing_is_there_twice(self) -> None:
        found = ids(self.server)
        assert len(found) == len(set(found))

    def teardown(self) -> None:
        look(self.server, self.flow_id)
        found = ids(self.server)
        assert set(found) == self.expected
        assert len(found) == len(self.expected)
        self.server.close()


def test_over_any_history_each_order_runs_exactly_once(tmp_path: Path) -> None:
    Polling.folder = tmp_path
    run_state_machine_as_test(
        Polling, settings=settings(max_examples=25, stateful_step_count=20, deadline=None)
    )


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    answers=st.lists(
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda i: (
                st.lists(i, max_size=4)
                | st.dictionaries(st.sampled_from(["id", "data", "rss", "guid", "date"]), i, max_size=3)
            ),
            max_leaves=8,
        ),
        min_size=1,
        max_size=3,
    )
)
def test_whatever_the_service_answers_the_look_ends_on_record(
    tmp_path_factory: pytest.TempPathFactory, answers: list[Any]
) -> None:
    service = FakeService()
    server = Server(tmp_path_factory.mktemp("poll"), FakeClock(), service)
    flow_id = server.live(poll())
    service.answers("GET", "/orders", *[httpx.Response(200, json=answer) for answer in answers])
    for number in range(1, len(answers) + 2):
        assert look(server, flow_id).state in ("succeeded", "failed")
        with server.database.read() as db:
            assert len(polls.list_polls(db, flow_id)) == number
    server.close()


# ------------------------------------------------------------------------------------ the tick


def test_a_poll_is_begun_once_and_its_next_moment_is_near_the_interval(server: Server) -> None:
    flow_id = server.live(poll())
    server.service.answers("GET", "/orders", orders([1]))
    assert server.intake.ticks.start_due() == 1
    assert server.intake.ticks.start_due() == 0
    due = row(server, flow_id).next_due_at
    assert due is not None
    assert 285 <= (due - server.clock.now()).total_seconds() <= 315


def test_after_downtime_it_looks_once_at_once(server: Server) -> None:
    server.live(poll())
    server.service.answers("GET", "/orders", orders([1]))
    server.clock.advance(7 * 86400)
    assert [server.intake.ticks.start_due() for _ in range(3)] == [1, 0, 0]


def test_a_look_still_under_way_is_not_joined_by_another(server: Server) -> None:
    flow_id = server.live(poll())
    now = server.clock.now()
    server.database.write(
        lambda db: triggers.take_lease(db, flow_id, now=now, until=now + timedelta(hours=1))
    )
    server.intake.ticks.start_due()
    assert server.service.requests == []
    due = row(server, flow_id).next_due_at
    assert due is not None
    assert due > now
