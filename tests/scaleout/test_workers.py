"""Several workers on one database: one is killed, one is stopped for a while; nothing is lost, and what
happened to each run is told once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.faults.flows import STEPS, call, flow_file
from tests.faults.target import Target
from tests.scaleout.installation import Background, Installation, wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(1200)]

ORDERS = 60
Install = Callable[..., Installation]


@pytest.fixture
def burst(install: Install, target: Target) -> Installation:
    """A server, two workers and a scheduler in the middle of a burst: the service has answered nothing
    yet, so that both workers have their hands full however fast or slow they are."""
    target.may_answer.clear()
    one = install(allow_targets=f"127.0.0.1:{target.port}", concurrency="8")
    one.start(workers=2, schedulers=1)
    steps = [call(target.port, name, name=name) for name in STEPS]
    address = one.install(flow_file("chain", steps))
    with ThreadPoolExecutor(8) as senders:
        answers = list(senders.map(lambda order: _send(address, order), range(1, ORDERS + 1)))
    assert set(answers) == {202}, one.told()
    for worker in one.of("worker"):
        wait_until(lambda worker=worker: _busy(one, worker) > 0, "both work", one.told)  # type: ignore[misc]
    return one


def _send(address: str, order: int) -> int:
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.post(address, json={"order": order, "check": str(order)}).status_code


def _busy(one: Installation, worker: Background) -> int:
    """How many runs it has claimed."""
    rows = one.ask(
        "SELECT count(*) FROM claims JOIN processes ON processes.id = process_id WHERE pid = :pid",
        pid=worker.pid,
    )
    return int(rows[0][0])


def _assert_told_as_it_was(one: Installation, target: Target) -> None:
    """Every call came, repeats under their first key only, and the history holds no call twice."""
    places = {(order, name) for order in range(1, ORDERS + 1) for name in STEPS}
    assert set(target.got) == places
    assert [place for place, keys in target.keys.items() if len(keys) > 1] == []
    answered = one.ask(
        "SELECT made_for, step_key FROM calls WHERE status = 200 GROUP BY 1, 2 HAVING count(*) > 1"
    )
    assert answered == []
    assert one.states() == {"succeeded": ORDERS}
    assert one.ask("SELECT count(*) FROM claims")[0][0] == 0


def test_the_runs_of_a_killed_worker_are_finished_by_the_other(burst: Installation, target: Target) -> None:
    victim, _ = burst.of("worker")
    victim.kill()
    target.may_answer.set()
    burst.wait_for_the_end(ORDERS)
    _assert_told_as_it_was(burst, target)
    assert "process_gone" in burst.of("scheduler")[0].log


def test_a_worker_that_was_stopped_for_a_while_writes_nothing_over_its_successor(
    burst: Installation, target: Target
) -> None:
    sleeper, _ = burst.of("worker")
    sleeper.pause()
    target.may_answer.set()
    try:
        burst.wait_for_the_end(ORDERS)
        before = burst.ask("SELECT made_for, number, status FROM calls ORDER BY 1, 2")
    finally:
        sleeper.go_on()
    wait_until(lambda: "runs_left_to_others" in sleeper.log, "the sleeper hears of it", burst.told)
    assert burst.ask("SELECT made_for, number, status FROM calls ORDER BY 1, 2") == before
    _assert_told_as_it_was(burst, target)
    names = burst.ask("SELECT count(*) FROM processes WHERE role = 'worker'")
    assert names[0][0] >= 1


def test_a_worker_that_is_stopped_in_order_hands_its_runs_back_at_once(
    burst: Installation, target: Target
) -> None:
    leaver, _ = burst.of("worker")
    target.may_answer.set()
    assert leaver.stop() == 0
    burst.wait_for_the_end(ORDERS)
    _assert_told_as_it_was(burst, target)
    assert burst.ask("SELECT count(*) FROM runs WHERE crashes > 0")[0][0] == 0
