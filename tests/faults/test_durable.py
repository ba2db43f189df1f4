"""What is answered 2xx is on the disk, not only in the system's memory: watched at the system calls."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests import needs
from tests.faults.flows import flow_file, install
from tests.faults.trace import Asked, read, traced
from tests.product import Product

DELIVERIES, SENDERS = 200, 8
_STOP = [{"kind": "stop", "id": "end", "message": "Done."}]
_SOCKET = re.compile(r"\d+<(TCP:\[[^\]]+\])>")


@pytest.fixture
def trace(start_product: Callable[..., Product], tmp_path: Path) -> tuple[list[Asked], list[int]]:
    """The system calls of a server that takes 200 deliveries, and what it answered to them."""
    needs.strace()
    product = start_product()
    [address] = install(product, flow_file("Durable", _STOP))
    file, statuses = tmp_path / "trace", [0] * DELIVERIES

    def send(first: int) -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            for number in range(first, DELIVERIES, SENDERS):
                statuses[number] = client.post(address, json={"mark": _mark(number)}).status_code

    with traced(product.pids, file):
        threads = [threading.Thread(target=send, args=(first,)) for first in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return read(file), statuses


def _mark(number: int) -> str:
    return f"mark-{number:04d}-"


def test_each_2xx_is_written_after_the_log_that_holds_the_event_was_flushed(
    trace: tuple[list[Asked], list[int]],
) -> None:
    asked, statuses = trace
    assert statuses == [202] * DELIVERIES
    without = [problem for number in range(DELIVERIES) if (problem := _unproven(asked, _mark(number)))]
    assert without == []


def _unproven(asked: list[Asked], mark: str) -> str:
    """Empty when the trace shows: body read, then written to the log, then flushed, then answered."""
    came = _first(
        asked, -1, lambda one: one.name in ("recvfrom", "read", "recvmsg", "readv") and mark in one.text
    )
    if came is None or (socket := _SOCKET.match(came.text)) is None:
        return f"{mark}: its body was not seen on a socket"
    kept = _first(asked, came.ended, lambda one: one.name.startswith("pwrite") and mark in one.text)
    if kept is None or "-wal>" not in kept.text:
        return f"{mark}: it was not written to the log"
    flushed = _first(
        asked, kept.ended, lambda one: one.name in ("fsync", "fdatasync") and "-wal>" in one.text
    )
    if flushed is None or not flushed.text.endswith("= 0"):
        return f"{mark}: the log was not flushed after it"
    answered = _first(
        asked,
        came.ended,
        lambda one: (
            one.name in ("write", "writev", "sendto", "sendmsg")
            and socket[1] in one.text
            and "HTTP/1.1 2" in one.text
        ),
    )
    if answered is None or answered.begun <= flushed.ended:
        return f"{mark}: it was answered before the log was flushed"
    return ""


def _first(asked: list[Asked], after: int, wanted: Callable[[Asked], bool]) -> Asked | None:
    return next((one for one in asked if one.begun > after and wanted(one)), None)
