"""The process is killed in the middle of a burst, again and again: every accepted event is accounted
for, and the history says what the service saw."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import orjson
import pytest

from tests import needs
from tests.faults.target import Target
from tests.product import Product

ROUNDS = int(needs.GIVEN["KILL_ROUNDS"] or "6")
SENDERS, STEPS = 8, ("one", "two", "three")
DELAY_S = 0.05
SETTLE_S = 60


def _flow(port: int) -> bytes:
    body = [{"name": "order", "mapping": "{{trigger:$['order']}}"}]
    steps = [
        {
            "kind": "http",
            "id": name,
            "repeat": "safe",
            "request": {
                "method": "POST",
                "url": f"http://127.0.0.1:{port}/{name}",
                "body_kind": "json",
                "body": body,
            },
        }
        for name in STEPS
    ]
    return orjson.dumps({"format": 1, "name": "Ledger", "trigger": {"kind": "webhook"}, "steps": steps})


class Senders:
    """Posts orders until told to stop; an order is accepted when its 2xx was read."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._numbers = iter(range(1, 1_000_000))
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.accepted: set[int] = set()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        with httpx.Client(trust_env=False, timeout=10) as client:
            while not self._stopped.is_set():
                with self._lock:
                    order = next(self._numbers)
                try:
                    answer = client.post(self._address, json={"order": order})
                except httpx.TransportError:
                    self._stopped.wait(0.02)
                    continue
                assert answer.status_code in (202, 503), answer.text
                if answer.status_code == 202:
                    with self._lock:
                        self.accepted.add(order)

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(15)


def _rows(product: Product, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(product.data_dir / "plumbline.db", timeout=10) as connection:
        return connection.execute(query).fetchall()


def _wait_until_settled(product: Product) -> None:
    until = time.monotonic() + SETTLE_S
    while time.monotonic() < until:
        open_runs = _rows(product, "SELECT count(*) FROM runs WHERE state IN ('queued','running','waiting')")
        if open_runs == [(0,)]:
            return
        time.sleep(0.2)  # looking from outside, at another process
    raise AssertionError(_rows(product, "SELECT state, reason, count(*) FROM runs GROUP BY 1, 2"))


@pytest.fixture
def killed(tmp_path: Path) -> tuple[Product, Target, set[int]]:
    """A product that was killed ROUNDS times while orders came in, and has settled since."""
    target = Target(DELAY_S)
    product = Product(tmp_path, {"allow_targets": f"127.0.0.1:{target.port}"})
    (tmp_path / "flow.json").write_bytes(_flow(target.port))
    printed = product.command("flows", "import", str(tmp_path / "flow.json"), "--publish", "--on", "--json")
    product.start()
    senders = Senders(orjson.loads(printed)[0]["hook_url"])
    chance = random.Random(20261121)
    for _ in range(ROUNDS):
        time.sleep(chance.uniform(0.2, 1.5))  # the moment of the kill is the test's own choice
        product.kill()
        product.start()
    senders.stop()
    _wait_until_settled(product)
    product.stop()
    target.close()
    return product, target, senders.accepted


def test_killed_again_and_again_nothing_accepted_is_lost_or_sent_twice_unknowingly(
    killed: tuple[Product, Target, set[int]],
) -> None:
    product, target, accepted = killed
    assert len(accepted) > 20 * ROUNDS
    _nothing_is_lost(product, target, accepted)
    _repeats_carry_the_first_key(target)
    _history_says_what_the_service_saw(product, target)
    assert _rows(product, "PRAGMA quick_check") == [("ok",)]


def _nothing_is_lost(product: Product, target: Target, accepted: set[int]) -> None:
    missing = [order for order in accepted if any(target.got[order, step] == 0 for step in STEPS)]
    assert missing == []
    assert _rows(product, "SELECT DISTINCT state FROM runs") == [("succeeded",)]


def _repeats_carry_the_first_key(target: Target) -> None:
    assert [place for place, keys in target.keys.items() if len(keys) > 1] == []
    owners = Counter(key for keys in target.keys.values() for key in keys)
    assert [key for key, number in owners.items() if number > 1] == []


def _history_says_what_the_service_saw(product: Product, target: Target) -> None:
    """A call on record without an answer may or may not have arrived; one with an answer has."""
    recorded: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    for key, status in _rows(product, "SELECT idempotency_key, status FROM calls"):
        recorded[str(key)] += 1
        answered[str(key)] += status is not None
    seen = {key: target.got[place] for place, keys in target.keys.items() for key in keys}
    wrong = {k: (answered[k], n, recorded[k]) for k, n in seen.items() if not answered[k] <= n <= recorded[k]}
    assert wrong == {}
    assert set(recorded) >= set(seen)
