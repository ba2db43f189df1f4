"""The limits of a connection where several processes share a database: calls ask in groups, and each group
takes its places in one short transaction; retries of a host are counted over all processes.

While one group is at the database the next one gathers, so that the number of statements follows the
time a transaction takes and not the number of calls.  All moments are the database's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.calls.limits.limits import Counts, Host
from app.calls.limits.model import (
    COMES_BACK_S,
    IN_PLACE_S,
    Line,
    Place,
    Windows,
    read_kept,
    take_place,
    windows_for,
)
from app.catalog.format.definition import Limit
from app.clock import Clock
from app.ids import new_id
from app.log import fields
from app.storage.connections.limits import SharedBudgets

LEASE_S = 15.0  # of one that has gone silent the others take over what it had
_YIELD_AFTER_S = 1.0
_BLOCK = 2  # so many are there without asking, for who uses the connection at all

Kept = Mapping[str, Any]


class SharedLine(Line):
    """`others`: the lines of the other processes, as numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.others: list[Kept] = []

    def see(self, lines: Kept, mine: str, now: float) -> None:
        self.others = [
            one for name, one in lines.items() if name != mine and one["last"] >= now - COMES_BACK_S
        ]

    def ahead(self, flow: str, *, is_back: bool, now: float) -> int:
        super().ahead(flow, is_back=is_back, now=now)  # whose moment has passed is gone from the line
        again: int = self.back_again() + sum(one["again"] for one in self.others)
        if is_back:
            return again
        flows: dict[str, int] = self.by_flow()
        for one in self.others:
            for key, number in one["flows"].items():
                flows[key] = flows.get(key, 0) + number
        turn = flows.pop(flow, 0) + 1
        return again + turn - 1 + sum(min(number, turn) for number in flows.values())

    def soonest(self, now: float) -> float | None:
        mine = super().soonest(now)
        theirs = [one["first"] for one in self.others if one["first"] >= now - COMES_BACK_S]
        return min([*theirs, mine] if mine is not None else theirs, default=None)

    def as_json(self) -> dict[str, Any] | None:
        """None where nobody waits."""
        if not self:
            return None
        first, last = self.span()
        return {"flows": self.by_flow(), "again": self.back_again(), "first": first, "last": last}


def share_of_slots(
    slots: dict[str, list[float]], mine: str, *, most: int, wants: int, under_way: int, now: float
) -> int:
    """How many calls of this process may be under way at once; `slots` is changed accordingly: by
    process, how many it has, how many it wants, until when that holds and since when it has some.

    It gets what is free.  Where others want more than there is, nobody keeps more than an equal part;
    and where there are fewer than processes, they take turns."""
    for name in [name for name, one in slots.items() if one[2] < now]:
        del slots[name]
    others = [one for name, one in slots.items() if name != mine]
    free = most - sum(int(one[0]) for one in others)
    before = slots.get(mine, [0, 0, 0, now])
    target = most if wants and not others else min(most, max(wants, _BLOCK))
    if any(one[1] > one[0] for one in others):
        equal = most // (1 + len(others))
        if equal == 0 and (not before[0] or now - before[3] < _YIELD_AFTER_S):
            equal = 1
        left = most - sum(int(max(one[0], one[1])) for one in others)
        target = min(target, max(min(equal, wants), left))
    granted = max(0, min(target, free))
    has = max(granted, under_way)
    if has or wants:
        since = before[3] if before[0] and has else now
        slots[mine] = [has, wants, now + LEASE_S, since]
    else:
        slots.pop(mine, None)
    return granted


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


_AGAIN_S = 0.25  # while there is too little room
_TEND_S = 1.0
_IDLE_S = 5.0
_AWAY = Place(1.0, False)


class Ask(NamedTuple):
    limits: Sequence[Limit]
    flow: str
    is_back: bool
    pause_s: float
    answer: asyncio.Future[Place]


@dataclass(slots=True)
class Shared:
    """A connection in use by this process.  `room`: calls it may have under way at once."""

    line: SharedLine = field(default_factory=SharedLine)
    asks: list[Ask] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    room: int = 0
    at_once: int = 0
    used_at: float = 0.0
    tending: asyncio.Task[None] | None = None


class SharedBook:
    """Used inside the event loop only.  `in_use`: calls of a connection that are under way here, and
    those that wait for room.  `on_room`: there is more of it, or less."""

    is_shared = True

    def __init__(self, clock: Clock, rows: SharedBudgets) -> None:
        self._clock = clock
        self._rows = rows
        self._name = new_id("book")
        self._shared: dict[str, Shared] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="budgets")
        self.in_use: Callable[[str], tuple[int, int]] = lambda connection_id: (0, 0)
        self.on_room: Callable[[str, int], None] = lambda connection_id, room: None
        self.retries = SharedRetries(clock, rows, self._thread, self._name)
        self._counting: asyncio.Task[None] | None = None

    async def ask(
        self, connection_id: str, limits: Sequence[Limit], *, flow: str, is_back: bool, pause_s: float
    ) -> Place:
        """As `take` of the other book; `pause_s`: how long the connection still pauses."""
        shared = self._entry(connection_id)
        answer: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        shared.asks.append(Ask(limits, flow, is_back, pause_s, answer))
        shared.wake.set()
        return await answer

    def room(self, connection_id: str, at_once: int) -> int:
        """Of the calls at once that the connection may have, those that this process may have."""
        shared = self._entry(connection_id)
        if shared.at_once != at_once:
            shared.at_once = at_once
            shared.wake.set()
        return min(shared.room, at_once)

    def used(self, connection_id: str) -> Mapping[str, int] | None:
        return None

    def forget_line(self, connection_id: str) -> None:
        if (shared := self._shared.get(connection_id)) is not None:
            self._thread.submit(shared.line.clear)

    def take(
        self, connection_id: str, limits: Sequence[Limit], *, flow: str, is_back: bool, not_before: float
    ) -> Place:
        raise TypeError("what is shared is asked, not taken from")

    async def start(self) -> None:
        """What is used up stands in the rows."""
        self._counting = asyncio.get_running_loop().create_task(self.retries.run())

    async def close(self) -> None:
        tending = [one.tending for one in self._shared.values() if one.tending is not None]
        if self._counting is not None:
            tending.append(self._counting)
        for task in tending:
            task.cancel()
        await asyncio.gather(*tending, return_exceptions=True)
        for connection_id, shared in self._shared.items():
            _answer(shared.asks, [_AWAY] * len(shared.asks))
            if not await self._settle(connection_id, shared, [], is_end=True):
                break  # the others take over what it had, after a while
        else:
            await self.retries.exchange(is_end=True)
        self._shared.clear()
        self._thread.shutdown(wait=True)
        self._rows.close()

    # ------------------------------------------------------------------------ in the loop's thread

    def _entry(self, connection_id: str) -> Shared:
        shared = self._shared.get(connection_id)
        if shared is None:
            shared = self._shared[connection_id] = Shared()
        shared.used_at = self._clock.monotonic()
        if shared.tending is None:
            shared.tending = asyncio.get_running_loop().create_task(self._tend(connection_id, shared))
        return shared

    async def _tend(self, connection_id: str, shared: Shared) -> None:
        """As long as the connection is in use here."""
        while True:
            shared.wake.clear()
            asks, shared.asks = shared.asks, []
            is_end = not asks and self._is_idle(connection_id, shared)
            done = await self._settle(connection_id, shared, asks, is_end=is_end)
            if is_end and done and not shared.asks:
                shared.tending = None
                return
            under_way, waiting = self.in_use(connection_id)
            is_short = not done or under_way + waiting > shared.room
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(shared.wake.wait(), _AGAIN_S if is_short else _TEND_S)

    def _is_idle(self, connection_id: str, shared: Shared) -> bool:
        return sum(self.in_use(connection_id)) == 0 and self._clock.monotonic() - shared.used_at > _IDLE_S

    async def _settle(self, connection_id: str, shared: Shared, asks: list[Ask], *, is_end: bool) -> bool:
        """Whether the database was there.  If not, those who asked lie down for a second."""
        use = (0, 0) if is_end else self.in_use(connection_id)
        work = _Group(self._name, shared.line, asks, shared.at_once, use, is_end)
        try:
            loop = asyncio.get_running_loop()
            places, room = await loop.run_in_executor(self._thread, self._rows.change, connection_id, work)
        except Exception as reason:
            log.warning("%s", fields(event="budget_not_shared", reason=type(reason).__name__))
            _answer(asks, [_AWAY] * len(asks))
            return False
        except asyncio.CancelledError:
            _answer(asks, [_AWAY] * len(asks))
            raise
        _answer(asks, places)
        if room != shared.room:
            shared.room = room
            self.on_room(connection_id, room)
        return True


def _answer(asks: list[Ask], places: Sequence[Place]) -> None:
    for ask, place in zip(asks, places, strict=True):
        if not ask.answer.done():
            ask.answer.set_result(place)


@dataclass(slots=True)
class _Group:
    """What is done while the row is this process's alone; in the book's own thread."""

    name: str
    line: SharedLine
    asks: list[Ask]
    at_once: int
    use: tuple[int, int]
    is_end: bool

    def __call__(self, kept: Any, now: float) -> tuple[Any, tuple[list[Place], int]]:
        kept = kept if isinstance(kept, dict) else {}
        kept_windows: Windows = read_kept(kept.get("windows"), 0.0, now + IN_PLACE_S)
        lines: dict[str, Any] = kept.get("lines") or {}
        slots: dict[str, list[float]] = kept.get("slots") or {}
        self.line.see(lines, self.name, now)
        places = [self._place(kept_windows, ask, now) for ask in self.asks]
        room = self._room(slots, now)
        lines = {name: one for name, one in lines.items() if one["last"] >= now}
        lines.pop(self.name, None)
        if (mine := self.line.as_json()) is not None and not self.is_end:
            lines[self.name] = mine
        windows = {
            name: window.as_json(0.0)
            for name, window in kept_windows.items()
            if window.newest + window.per_s > now
        }
        return {"windows": windows, "unseen": 0, "lines": lines, "slots": slots}, (places, room)

    def _place(self, kept: Windows, ask: Ask, now: float) -> Place:
        if ask.is_back:
            self.line.leave(ask.flow, now)
        windows = windows_for(kept, ask.limits)
        until = now + ask.pause_s if ask.pause_s > 0 else 0.0
        return take_place(self.line, windows, ask.flow, is_back=ask.is_back, now=now, not_before=until)

    def _room(self, slots: dict[str, list[float]], now: float) -> int:
        if self.is_end:
            slots.pop(self.name, None)
            return 0
        under_way, waiting = self.use
        wants = under_way + waiting
        return share_of_slots(slots, self.name, most=self.at_once, wants=wants, under_way=under_way, now=now)
