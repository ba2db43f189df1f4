"""A worker of another release performs nothing, says so, and works once it fits."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import orjson
import pytest

from app.storage.cluster.processes import PROTOCOL
from tests.faults.flows import STEPS, call, flow_file
from tests.faults.target import Target
from tests.scaleout.installation import Installation, wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(1200)]


def _declare(one: Installation, protocol: int) -> None:
    declared = orjson.dumps({"protocol": protocol, "release": "9.9"}).decode()
    one.ask("UPDATE server_values SET value = :value WHERE name = 'declared'", value=declared)


def test_a_worker_that_does_not_fit_the_server_refuses_with_a_sentence(
    install: Callable[..., Installation], target: Target
) -> None:
    one = install(allow_targets=f"127.0.0.1:{target.port}")
    one.start()
    address = one.install(flow_file("one", [call(target.port, STEPS[0], name="one")]))
    _declare(one, PROTOCOL + 1)
    worker = one.add("worker")
    wait_until(lambda: "refuses_to_work" in worker.log, "it refuses", one.told)
    assert (
        httpx.post(address, json={"order": 1, "check": "1"}, trust_env=False, timeout=60).status_code == 202
    )
    (sentence,) = one.ask("SELECT sentence FROM processes WHERE role = 'worker'")[0]
    assert "but the server runs 9.9" in sentence
    assert "Install the same release everywhere" in sentence
    assert one.ask("SELECT count(*) FROM claims")[0][0] == 0
    assert one.states() == {"queued": 1}
    _declare(one, PROTOCOL)
    one.wait_for_the_end(1)
