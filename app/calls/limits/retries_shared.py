"""How much of the calls to a host are retries, counted over several processes: every few seconds each of
them writes down its own counts and reads those of the others, all in one row.

Between two looks a process goes by what it knows, so no call ever waits for this."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

from app.calls.limits.lanes import Counts, Host
from app.calls.limits.shares import LEASE_S
from app.clock import Clock
from app.log import fields
from app.storage.connections.limits import SharedBudgets

log = logging.getLogger("plumbline.calls")

ROW = "retries"  # beside those of the connections
_EVERY_S = 2.0
_LEAST_CALLS = 5
_MOST_HOSTS = 200
_MOST_CALLS = 10**9


class SharedRetries:
    """Used inside the event loop only; `thread` is the one that uses `rows`."""

    def __init__(self, clock: Clock, rows: SharedBudgets, thread: Executor, name: str) -> None:
        self._clock = clock
        self._rows = rows
        self._thread = thread
        self._name = name
        self._is_written = False
        self.hosts: Callable[[], Mapping[str, Host]] = dict

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.exchange()

    async def exchange(self, *, is_end: bool = False) -> None:
        """The database is left alone where nothing was called and nothing is written down."""
        mine = {} if is_end else _busiest(self.hosts(), self._clock.monotonic())
        if not mine and not self._is_written:
            return
        work = _Exchange(self._name, mine)
        try:
            loop = asyncio.get_running_loop()
            theirs = await loop.run_in_executor(self._thread, self._rows.change, ROW, work)
        except Exception as reason:
            log.warning("%s", fields(event="retries_not_shared", reason=type(reason).__name__))
            return  # what is known of the others runs out by itself
        self._is_written = bool(mine)
        until = self._clock.monotonic() + LEASE_S
        for name, host in self.hosts().items():
            if name in mine:
                host.see(theirs.get(name, (0, 0)), until)


def _busiest(hosts: Mapping[str, Host], now: float) -> dict[str, Counts]:
    counts = {name: host.counts(now) for name, host in hosts.items() if host.is_busy(now)}
    many = [(name, one) for name, one in counts.items() if one[0] >= _LEAST_CALLS]
    return dict(sorted(many, key=lambda item: -item[1][0])[:_MOST_HOSTS])


class _Exchange:
    """What is done while the row is this process's alone."""

    def __init__(self, name: str, mine: Mapping[str, Counts]) -> None:
        self.name = name
        self.mine = mine

    def __call__(self, kept: Any, now: float) -> tuple[Any, dict[str, Counts]]:
        """The counts of the others, of those hosts that this process calls."""
        found = kept.get("processes") if isinstance(kept, dict) else None
        others = {
            name: one
            for name, one in (found.items() if isinstance(found, dict) else ())
            if name != self.name and _is_fresh(one, now)
        }
        totals: dict[str, Counts] = {}
        for one in others.values():
            for host in self.mine:
                calls, retries = totals.get(host, (0, 0))
                more, again = _read(one["hosts"].get(host))
                totals[host] = calls + more, retries + again
        mine = {self.name: {"at": now, "hosts": self.mine}} if self.mine else {}
        return {"processes": others | mine}, totals


def _is_fresh(one: Any, now: float) -> bool:
    """Of a process that has gone silent nothing counts; nor what a clock that was ahead wrote."""
    if not isinstance(one, dict) or not isinstance(one.get("hosts"), dict):
        return False
    at = one.get("at")
    return isinstance(at, int | float) and abs(now - at) <= LEASE_S


def _read(one: Any) -> Counts:
    if not isinstance(one, list) or len(one) != 2:
        return 0, 0
    calls, retries = (number if isinstance(number, int) else 0 for number in one)
    calls = min(max(calls, 0), _MOST_CALLS)
    return calls, min(max(retries, 0), calls)
