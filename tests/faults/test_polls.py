"""A poll over a hostile source: whatever happens to it, each order becomes exactly one event.

PLUMBLINE_LONG=1 takes ten thousand orders; its figures are in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import connectors
from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.errors import Stale
from app.intake.polls.polling import Looked
from app.storage.flows import triggers
from tests import needs
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService, Received
from tests.faults.shop import LATE_S, HostileShop
from tests.intake.conftest import Server
from tests.intake.test_verification import connect, trigger

LONG = needs.GIVEN["LONG"] == "1"
EXAMPLES, STEPS, MOST_AT_ONCE = (120, 50, 60) if LONG else (15, 25, 12)
pytestmark = pytest.mark.timeout(3600 if LONG else 300)
SHOPIFY = Path(connectors.__file__).parent / "shopify"
PAUSE_S, LEFT_ALONE_S = 3, 900  # after a 429, and after many failures
FAILURES = (500, (429, {"errors": "slow down"}), "<html>sorry</html>", httpx.ReadTimeout("too slow"))


class BrokenOff(asyncio.CancelledError):
    """The process ended while it was looking."""


class Polling(RuleBasedStateMachine):
    folder: Path
    made = orders = looks = 0

    def __init__(self) -> None:
        super().__init__()
        Polling.made += 1
        self.place = Polling.folder / str(Polling.made)
        shutil.copytree(SHOPIFY, self.place / "connectors" / "shopify")
        self.clock = FakeClock()
        self.service = FakeService()
        self.server = Server(self.place, self.clock, self.service)
        self.shop = HostileShop(self.clock.now)
        self.service.answers("GET", "*", self._answer)
        self.breaks_off = False
        self.is_on = True
        self.trigger = self._trigger()
        self.flow_id = self.server.live(self.trigger)
        assert self._look().state == "succeeded"

    def _trigger(self) -> dict[str, Any]:
        connection = connect(self.server, "shopify", {"shop": "acme"}, access_token="t0ken-of-the-shop")
        return trigger("shopify", "new_order", connection)

    def _answer(self, received: Received) -> Any:
        if self.breaks_off:
            raise BrokenOff
        self.clock.advance(1)  # each page takes its time
        return self.shop.answer(received)

    def _look(self) -> Looked:
        Polling.looks += 1
        return self.server.poll_now(self.flow_id)

    def _look_until_it_is_heard(self) -> Looked:
        """A shop that failed again and again is left alone for a while."""
        looked = self._look()
        for _ in range(10):
            if "left alone" not in looked.sentence:
                break
            self.clock.advance(LEFT_ALONE_S)
            looked = self._look()
        return looked

    # ------------------------------------------------------------------------- what may happen

    @rule(age_s=st.sampled_from([0, 0, 0, 1, 60, LATE_S]), count=st.integers(1, MOST_AT_ONCE))
    def orders_of_one_moment_come(self, age_s: int, count: int) -> None:
        self.shop.add(count, age_s)

    @rule(seconds=st.sampled_from([0, 1, 59, 300, 4000, 200_000]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.is_on)
    @rule(inserts=st.integers(0, 3))
    def it_looks_while_orders_come(self, inserts: int) -> None:
        self.shop.inserts = inserts
        assert self._look_until_it_is_heard().state == "succeeded"
        self.shop.inserts = 0

    @precondition(lambda self: self.is_on)
    @rule(page=st.integers(0, 3), failure=st.sampled_from(FAILURES), inserts=st.integers(0, 2))
    def a_page_fails(self, page: int, failure: Any, inserts: int) -> None:
        self.shop.fails_at, self.shop.failure, self.shop.inserts = page, failure, inserts
        assert self._look().state in ("failed", "succeeded")  # it may have had fewer pages
        self.shop.fails_at, self.shop.inserts = None, 0
        self.clock.advance(PAUSE_S)

    @precondition(lambda self: self.is_on)
    @rule()
    def the_process_ends_while_it_looks_and_is_started_again(self) -> None:
        self.breaks_off = True
        with contextlib.suppress(CancelledError):
            self._look()
        self.breaks_off = False
        self._restart()

    @rule()
    def the_process_is_started_again(self) -> None:
        self._restart()

    def _restart(self) -> None:
        self.server.close()
        self.server = Server(self.place, self.clock, self.service)
        self.server.database.write(lambda db: triggers.end_leases(db, self.clock.now()))

    @rule()
    def it_is_published_anew(self) -> None:
        self.server.edit(self.flow_id, self.trigger, description="Other words")

    @rule()
    def it_is_switched(self) -> None:
        switch = flow_commands.switch_off if self.is_on else flow_commands.switch_on
        switch(SHELL, self.server, self.flow_id)
        self.is_on = not self.is_on

    # ------------------------------------------------------------------------- what must hold

    @invariant()
    def nothing_is_there_twice(self) -> None:
        found = [event["id"] for event in self.server.events()]
        assert len(found) == len(set(found))

    def teardown(self) -> None:
        if not self.is_on:
            self.it_is_switched()
        assert self._look_until_it_is_heard().state == "succeeded"
        found = [event["id"] for event in self.server.events()]
        assert sorted(found) == [order["id"] for order in self.shop.orders]
        Polling.orders += len(found)
        self.server.close()


def test_over_any_history_of_a_hostile_shop_each_order_is_one_event(tmp_path: Path) -> None:
    Polling.folder = tmp_path
    run_state_machine_as_test(
        Polling,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, derandomize=not LONG
        ),
    )
    print(f"\n{Polling.orders:,} orders in {Polling.looks:,} looks: 0 missed, 0 double")
    assert not LONG or Polling.orders >= 10_000


def test_after_a_long_absence_all_pages_are_read_however_many_there_are(tmp_path: Path) -> None:
    """Twenty pages are usual for this trigger; the newest come first, so the oldest are on the last."""
    Polling.folder = tmp_path
    machine = Polling()
    machine.clock.advance(86_400)
    for _ in range(40):
        machine.shop.add(7, age_s=0)
        machine.clock.advance(3600)
    machine.teardown()
    assert len(machine.shop.orders) == 280


def test_only_one_look_is_made_at_a_time_after_one_was_broken_off(tmp_path: Path) -> None:
    Polling.folder = tmp_path
    machine = Polling()
    machine.breaks_off = True
    with pytest.raises(CancelledError):
        machine._look()
    with pytest.raises(Stale):
        machine._look()
    machine.breaks_off = False
    machine._restart()
    assert machine._look().state == "succeeded"
    machine.server.close()
