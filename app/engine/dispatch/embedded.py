"""Brings queued runs to execution inside this process: in turn by flow, so that one spiking flow
does not starve the rest, with a bounded number under way and timers for those that wait."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from datetime import datetime

from app.clock import Clock
from app.engine.dispatch.tickets import Execute, MostAtOnce, RunTicket, as_many_as_fit
from app.log import fields

log = logging.getLogger("plumbline.dispatch")

_TIMER_HORIZON_S = 60.0
_MOST_PAYLOADS = 4000
_SHARE_OF_ONE_FLOW = 0.9
_MOST_ASIDE = 2000  # runs that wait for a slow service and are not counted as under way


class EmbeddedDispatcher:
    """Tickets may come from any thread.  A run is never under way twice: a ticket for one that is
    queued or under way here is dropped, for the row is the truth and will be looked at again."""

    def __init__(self, clock: Clock, *, slots: int) -> None:
        self._clock = clock
        self._slots = slots
        self._slots_of_one_flow = max(1, int(slots * _SHARE_OF_ONE_FLOW))
        self._lock = threading.Lock()
        self._arrived: deque[RunTicket] = deque()
        self._is_notified = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._execute: Execute = _not_started
        self._most_at_once: MostAtOnce = as_many_as_fit
        # the rest belongs to the loop's thread
        self._lines: OrderedDict[str, deque[RunTicket]] = OrderedDict()
        self._known: set[str] = set()
        self._queued = 0
        self._under_way: dict[str, int] = {}
        self._aside: dict[str, int] = {}
        self._all_aside = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._paused = False

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        execute: Execute,
        most_at_once: MostAtOnce = as_many_as_fit,
    ) -> None:
        """Begins with what was enqueued until now."""
        self._execute, self._most_at_once = execute, most_at_once
        self._loop = loop
        with self._lock:
            self._notify()

    def enqueue(self, tickets: Sequence[RunTicket]) -> None:
        with self._lock:
            self._arrived.extend(tickets)
            self._notify()

    def backlog(self) -> int:
        """Runs that wait in line here, those under way not counted."""
        return self._queued + len(self._arrived)

    def under_way(self) -> int:
        return len(self._tasks)

    def knows(self, run_id: str) -> bool:
        return run_id in self._known

    def pause(self) -> None:
        """Start nothing more until `resume`; those under way go on."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._fill)

    async def stop(self, grace_s: float) -> int:
        """Start nothing more; let those under way finish for `grace_s`.  How many were broken off
        (they are rows: the next start takes them up)."""
        self._stopping = True
        if not self._tasks:
            return 0
        _, late = await asyncio.wait(self._tasks, timeout=grace_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=2)
        return len(late)

    def _notify(self) -> None:
        if self._loop is not None and self._arrived and not self._is_notified:
            self._is_notified = True
            self._loop.call_soon_threadsafe(self._take_in)

    # --------------------------------------------------------------------- in the loop's thread

    def _take_in(self) -> None:
        with self._lock:
            self._is_notified = False
            arrived = list(self._arrived)
            self._arrived.clear()
        for ticket in arrived:
            if ticket.run_id not in self._known:
                self._line_up(ticket)
        self._fill()

    def _line_up(self, ticket: RunTicket) -> None:
        if self._queued >= _MOST_PAYLOADS:
            ticket.payload = None  # a long line stays light: the row has it
        self._known.add(ticket.run_id)
        self._lines.setdefault(ticket.flow_id, deque()).append(ticket)
        self._queued += 1

    def _fill(self) -> None:
        while not self._stopping and not self._paused and self._has_slot():
            ticket = self._next()
            if ticket is None:
                return
            self._under_way[ticket.flow_id] = self._under_way.get(ticket.flow_id, 0) + 1
            task = asyncio.ensure_future(self._run(ticket))
            self._tasks.add(task)

    def _next(self) -> RunTicket | None:
        """The oldest ticket of the flow whose turn it is."""
        for flow_id in list(self._lines):
            line = self._lines[flow_id]
            if (under_way := self._under_way.get(flow_id, 0)) and self._is_full(line[0], under_way):
                continue
            ticket = line.popleft()
            self._queued -= 1
            if line:
                self._lines.move_to_end(flow_id)
            else:
                del self._lines[flow_id]
            return ticket
        return None

    def _is_full(self, ticket: RunTicket, under_way: int) -> bool:
        """The flow has as many runs under way as its setting, or fairness, allows."""
        most = self._most_at_once(ticket.version_id)
        if (most != 0 and under_way >= (most or 1)) or under_way >= self._slots:
            return True
        performed = under_way - self._aside.get(ticket.flow_id, 0)
        return performed >= self._slots_of_one_flow and len(self._lines) > 1

    def _has_slot(self) -> bool:
        return len(self._tasks) - min(self._all_aside, _MOST_ASIDE) < self._slots

    def stand_aside(self, flow_id: str, number: int) -> None:
        self._all_aside += number
        aside = self._aside.get(flow_id, 0) + number
        if aside:
            self._aside[flow_id] = aside
        else:
            self._aside.pop(flow_id, None)
        if number > 0:
            self._fill()

    def look_again(self) -> None:
        """Re-checks the queue after a flow version was loaded; called in the loop's thread."""
        self._fill()

    async def _run(self, ticket: RunTicket) -> None:
        wake_at = None
        try:
            wake_at = await self._execute(ticket)
        except asyncio.CancelledError:
            pass
        except Exception as reason:
            log.error("%s", fields(event="run_left_open", run=ticket.run_id, reason=type(reason).__name__))
        finally:
            task = asyncio.current_task()
            if task is not None:
                self._tasks.discard(task)
            self._known.discard(ticket.run_id)
            self._leave(ticket.flow_id)
        if wake_at is not None:
            self._set_timer(ticket, wake_at)
        self._fill()

    def _leave(self, flow_id: str) -> None:
        left = self._under_way.get(flow_id, 1) - 1
        if left:
            self._under_way[flow_id] = left
        else:
            self._under_way.pop(flow_id, None)

    def _set_timer(self, ticket: RunTicket, wake_at: datetime) -> None:
        """Short waits are timed here to the millisecond; longer ones are found by the tick."""
        wait = (wake_at - self._clock.now()).total_seconds()
        if wait < _TIMER_HORIZON_S and not self._stopping:
            again = RunTicket(ticket.run_id, ticket.flow_id, ticket.version_id, ticket.event_id, fresh=False)
            asyncio.get_running_loop().call_later(max(wait, 0), self.enqueue, [again])


async def _not_started(ticket: RunTicket) -> datetime | None:
    raise RuntimeError("the dispatcher has not been started")
