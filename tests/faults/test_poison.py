"""A run that brings the whole server down each time it is performed: it is given up after three times,
and nobody else suffers for it.  Here the service that it calls kills the server."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import httpx
import orjson
import pytest

from tests.faults import ledger
from tests.faults.flows import STEPS, flow_file, install, steps_of
from tests.faults.target import Place, Target
from tests.product import Product

POISON, NEIGHBOURS = 666, 25
_PATIENCE_S = 180  # a start of the server is part of it
pytestmark = pytest.mark.timeout(900)


class Poisoned:
    def __init__(self, folder: Path) -> None:
        self.kills = 0
        self._is_accepted = threading.Event()
        self.target = Target(0.3, self._seen)
        self.product = Product(folder, {"allow_targets": f"127.0.0.1:{self.target.port}"})
        [self.address] = install(self.product, flow_file("Chain", steps_of("chain", self.target.port)))

    def _seen(self, place: Place) -> None:
        if place == (POISON, STEPS[1]):
            self._is_accepted.wait(_PATIENCE_S)  # or its sender might be left without an answer
            self.kills += 1
            os.killpg(self.product.pid, signal.SIGKILL)

    def send(self, order: int) -> None:
        answer = httpx.post(self.address, json={"order": order, "check": "c"}, trust_env=False, timeout=60)
        assert answer.status_code == 202

    def live_through(self) -> None:
        """Started again by its service manager, as often as it ends."""
        self.product.start()
        for order in range(NEIGHBOURS):
            self.send(order)
        self.send(POISON)
        self._is_accepted.set()
        for kill in range(1, 4):
            self._wait_for(kill)
            self.product.start(ready=kill == 3)  # before that it may end before it is ready
        ledger.wait_until_settled(self.product, _PATIENCE_S)

    def _wait_for(self, kill: int) -> None:
        until = time.monotonic() + _PATIENCE_S
        while self.kills < kill or self.product.is_running:
            assert time.monotonic() < until, f"killed {self.kills} times, not {kill}"
            time.sleep(0.05)  # looking from outside, at another process

    def close(self) -> None:
        self.product.stop()
        self.target.close()


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Poisoned:
    poisoned = Poisoned(tmp_path_factory.mktemp("poisoned"))
    poisoned.live_through()
    poisoned.send(NEIGHBOURS)  # life goes on
    ledger.wait_until_settled(poisoned.product, _PATIENCE_S)
    poisoned.close()
    return poisoned


def _ends(product: Product) -> dict[int, tuple[str, str]]:
    query = "SELECT e.payload, r.state, r.sentence FROM runs r JOIN events e ON e.id = r.event_id"
    found = ledger.rows(product, query)
    return {orjson.loads(ledger.unpack(payload))["order"]: (state, why) for payload, state, why in found}


def test_a_run_that_ends_the_server_three_times_is_not_tried_a_fourth_time(poisoned: Poisoned) -> None:
    assert poisoned.kills == 3
    state, sentence = _ends(poisoned.product)[POISON]
    assert state == "dead"
    assert "3 times" in sentence


def test_no_other_run_suffers_for_it(poisoned: Poisoned) -> None:
    ends = _ends(poisoned.product)
    assert {order: state for order, (state, _) in ends.items() if order != POISON} == dict.fromkeys(
        range(NEIGHBOURS + 1), "succeeded"
    )


def test_its_history_says_how_often_the_service_may_have_been_called(poisoned: Poisoned) -> None:
    assert poisoned.target.got[POISON, STEPS[1]] == 3
    assert ledger.keys_that_changed(poisoned.target) == []
    assert ledger.history_against(poisoned.product, poisoned.target) == {}
