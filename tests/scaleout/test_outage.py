"""PostgreSQL itself is stopped in the middle of a burst and started again."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx
import pytest

from tests.faults.flows import STEPS, call, flow_file
from tests.faults.target import Target
from tests.scaleout.conftest import Postgres
from tests.scaleout.installation import Installation, wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(1200)]


class Sender:
    """Sends one order after the other; who is told 503 sends the same again, as services do."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.accepted: list[int] = []
        self.told: set[int] = set()
        self.without_advice = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        order = 0
        with httpx.Client(trust_env=False, timeout=60) as client:
            while not self._stopping.is_set():
                order += 1
                while not self._send(client, order) and not self._stopping.is_set():
                    self._stopping.wait(0.05)

    def _send(self, client: httpx.Client, order: int) -> bool:
        answer = client.post(self._address, json={"order": order, "check": str(order)})
        self.told.add(answer.status_code)
        if answer.status_code == 202:
            self.accepted.append(order)
            return True
        self.without_advice += "Retry-After" not in answer.headers
        return False

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(90)


def test_senders_are_told_to_come_again_and_nothing_accepted_is_lost(
    install: Callable[..., Installation], own_postgres: Postgres, target: Target
) -> None:
    one = install(allow_targets=f"127.0.0.1:{target.port}", concurrency="8")
    one.start(workers=2, schedulers=1)
    pids = [worker.pid for worker in one.of("worker")]
    steps = [call(target.port, name, name=name) for name in STEPS]
    sender = Sender(one.install(flow_file("chain", steps)))
    wait_until(lambda: len(sender.accepted) >= 20, "orders come in", one.told)
    own_postgres.stop_at_once()
    try:
        wait_until(lambda: 503 in sender.told, "senders are refused", one.told)
    finally:
        own_postgres.start()
    before = len(sender.accepted)
    wait_until(lambda: len(sender.accepted) >= before + 10, "orders come in again", one.told)
    sender.stop()
    assert sender.told == {202, 503}
    assert sender.without_advice == 0
    wait_until(lambda: _all_ended(one), "all runs end", one.told)
    assert set(one.states()) == {"succeeded"}
    assert {(order, name) for order in sender.accepted for name in STEPS} <= set(target.got)
    assert all(len(keys) == 1 for place, keys in target.keys.items() if place[0] in _sent_once(sender))
    assert [worker.pid for worker in one.of("worker")] == pids


def _all_ended(one: Installation) -> bool:
    return not set(one.states()) & {"queued", "running", "waiting"}


def _sent_once(sender: Sender) -> set[int]:
    """An order whose 503 came after all had been written is there twice, under two keys."""
    return set(sender.accepted[:10])
