"""The process is killed at random moments, again and again: every accepted event is accounted for, and
the history says what the service saw.

PLUMBLINE_KILL_ROUNDS=200 is the long mode; its figures are in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests import needs
from tests.faults import ledger
from tests.faults.flows import install_each_kind
from tests.faults.senders import Senders
from tests.faults.target import Target
from tests.product import Product

ROUNDS = int(needs.GIVEN["KILL_ROUNDS"] or "30")
LEAST, MOST = (8, 30) if ROUNDS < 100 else (60, 180)  # orders accepted in one life of the server
DELAY_S = 0.05
pytestmark = pytest.mark.timeout(300 + 60 * ROUNDS)
SETTLE_S = 180


class Killed:
    """A product that was killed ROUNDS times while orders came in, and has settled since."""

    def __init__(self, folder: Path) -> None:
        self.target = Target(DELAY_S)
        self.product = Product(folder, {"allow_targets": f"127.0.0.1:{self.target.port}"})
        self._chance = random.Random(20261121)
        self.senders = Senders(install_each_kind(self.product, self.target.port))
        self.settled_s = 0.0
        self.in_startup = 0

    def live_through(self) -> None:
        self.product.start()
        for _ in range(ROUNDS):
            self._burst()
            self._kill()
            self._start()
        self.senders.stop()
        self.settled_s = ledger.wait_until_settled(self.product, SETTLE_S)
        self.product.stop()
        self.target.close()

    def _burst(self) -> None:
        """Ends at a random moment after a random number of orders was accepted."""
        wanted = self._chance.randint(LEAST, MOST)
        goal = len(self.senders.accepted) + wanted
        self.senders.allow(wanted + 10)  # some are always under way at the kill
        self.senders.wait_for(goal)
        time.sleep(self._chance.choice((0, 0, 0.05, 0.2)))  # the moment of the kill is the test's own choice

    def _kill(self) -> None:
        """Mostly all processes at once, as when the power is cut; now and then one before the other."""
        how = self._chance.random()
        if how < 0.2:
            self.product.kill_door()
            self._burst()
        if how > 0.7:
            self.product.kill_first()
        else:
            self.product.kill()

    def _start(self) -> None:
        """Now and then the server is killed before it is ready."""
        if self._chance.random() < 0.15:
            self.in_startup += 1
            self.product.start(ready=False)
            time.sleep(self._chance.uniform(0.2, 3))
            self.product.kill()
        self.product.start()

    def figures(self) -> str:
        seen = ledger.read(self.product, self.target, self.senders.accepted)
        return (
            f"killed {ROUNDS} times and {self.in_startup} times in a start; accepted "
            f"{len(self.senders.accepted):,}, runs {seen.runs:,}, calls seen {seen.calls:,}, repeated "
            f"{seen.repeated:,}, missing {len(seen.missing)}, given up after three kills "
            f"{len(seen.given_up)}, unanswered {self.senders.unanswered}, all settled "
            f"{self.settled_s:.1f} s after the last start"
        )


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    killed = Killed(tmp_path_factory.mktemp("killed"))
    killed.live_through()
    print("\n" + killed.figures())
    return killed


def test_killed_again_and_again_nothing_that_was_accepted_is_lost_or_altered(killed: Killed) -> None:
    assert killed.senders.wrong == []
    assert len(killed.senders.accepted) >= LEAST * ROUNDS
    seen = ledger.read(killed.product, killed.target, killed.senders.accepted)
    assert seen.missing == []
    assert seen.altered == []
    assert seen.doubled == []
    assert seen.other_ends == []
    assert len(seen.given_up) <= max(3, ROUNDS // 20)


def test_every_repeated_call_carries_its_first_key_and_the_same_body(killed: Killed) -> None:
    assert ledger.keys_that_changed(killed.target) == []


def test_the_history_says_call_by_call_what_the_service_saw(killed: Killed) -> None:
    assert ledger.history_against(killed.product, killed.target) == {}
    assert ledger.bodies_against(killed.product, killed.target) == []


def test_orders_of_one_person_went_one_after_another_in_the_order_they_came(killed: Killed) -> None:
    assert ledger.out_of_turn(killed.target, killed.senders.times) == []


def test_the_database_is_sound_after_all_of_it(killed: Killed) -> None:
    assert ledger.rows(killed.product, "PRAGMA quick_check") == [("ok",)]


def test_the_ledger_adds_up_after_all_of_it(killed: Killed) -> None:
    assert killed.product.command("ledger").endswith("It adds up.\n")
