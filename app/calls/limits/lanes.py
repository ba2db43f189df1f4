"""A host as one connection sees it: how many calls are under way, whether it asked us to wait, and
whether it fails so often that it is left alone for a while."""

from __future__ import annotations

import asyncio
from collections import deque

_WINDOW_S = 10.0
_KEPT_WINDOWS = 6  # a minute
_LEAST_CALLS = 10
_FIRST_TRY_S = 30.0
_LONGEST_TRY_S = 600.0
PROBE_S = 60.0
_BUDGET_FROM = 100  # calls a minute
_SHARE_OF_RETRIES = 0.1

Counts = tuple[int, int]


class Minute:
    """Counts of the last minute: all, and those that count against it."""

    __slots__ = ("_cell", "_cells")

    def __init__(self) -> None:
        self._cell = [-1, 0, 0]
        self._cells: deque[list[int]] = deque()

    def add(self, now: float, counts_against: bool) -> None:
        cell = self._cell
        number = int(now / _WINDOW_S)
        if cell[0] != number:
            cell = self._cell = [number, 0, 0]
            self._cells.append(cell)
            while self._cells[0][0] <= number - _KEPT_WINDOWS:
                self._cells.popleft()
        cell[1] += 1
        if counts_against:
            cell[2] += 1

    def is_of(self, now: float) -> bool:
        """Whether there may be something to count."""
        return self._cell[0] > int(now / _WINDOW_S) - _KEPT_WINDOWS

    def totals(self, now: float) -> Counts:
        oldest = int(now / _WINDOW_S) - _KEPT_WINDOWS
        cells = [cell for cell in self._cells if cell[0] > oldest]
        return sum(cell[1] for cell in cells), sum(cell[2] for cell in cells)

    def clear(self) -> None:
        self._cells.clear()
        self._cell = [-1, 0, 0]


class Host:
    """All its connections together: retries may be a tenth of the calls, once there are many."""

    __slots__ = ("_calls", "_others", "_others_until")

    def __init__(self) -> None:
        self._calls = Minute()
        self._others: Counts = (0, 0)
        self._others_until = 0.0

    def add(self, now: float, is_retry: bool) -> None:
        self._calls.add(now, is_retry)

    def is_busy(self, now: float) -> bool:
        return self._calls.is_of(now)

    def counts(self, now: float) -> Counts:
        """The calls of the last minute, and the retries among them."""
        return self._calls.totals(now)

    def see(self, others: Counts, until: float) -> None:
        """What other processes call there; after that moment nothing is known of them any more."""
        self._others, self._others_until = others, until

    def has_too_many_retries(self, now: float) -> bool:
        calls, retries = self._calls.totals(now)
        if now < self._others_until:
            calls, retries = calls + self._others[0], retries + self._others[1]
        return calls > _BUDGET_FROM and retries >= calls * _SHARE_OF_RETRIES


class Lane:
    """`most`: calls under way at once.  `pause_said`: the header of an answer that was no refusal and
    said that nothing is left until the end of the pause; '' where the service refused a call.
    `tried_at`: not 0 while the host is left alone: then the moment from which one call tries it.  Moments
    are those of the process's own clock."""

    __slots__ = (
        "_probe_until",
        "_recent",
        "_waiters",
        "connection_id",
        "host",
        "host_name",
        "most",
        "pause_said",
        "paused_until",
        "sentence",
        "share",
        "tried_at",
        "trips",
        "under_way",
        "used_at",
    )

    def __init__(self, connection_id: str, host_name: str, host: Host, most: int) -> None:
        self.connection_id = connection_id
        self.host_name = host_name
        self.host = host
        self.most = most
        self.share = most
        self.under_way = 0
        self.paused_until = 0.0
        self.pause_said = ""
        self.tried_at = 0.0
        self.trips = 0
        self.sentence = ""
        self.used_at = 0.0
        self._probe_until = 0.0
        self._recent = Minute()
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def place(self) -> str:
        return f"{self.connection_id}|{self.host_name}"

    def pause(self, until: float, said: str = "") -> bool:
        """A shorter pause never ends a longer one.  Whether this one is worth keeping."""
        longer = until - self.paused_until
        if longer > 0:
            self.paused_until, self.pause_said = until, said
        return longer > 1.0

    # ------------------------------------------------------------------------------ left alone

    def left_alone_for(self, now: float) -> float:
        """Seconds until it may be tried; 0 = it may be called."""
        if not self.tried_at:
            return 0.0
        return (
            max(self.tried_at, self._probe_until) - now if now < max(self.tried_at, self._probe_until) else 0
        )

    def begin_probe(self, now: float) -> None:
        """The call that goes now shows how it is; until it has ended the others wait."""
        if self.tried_at:
            self._probe_until = now + PROBE_S

    def record(self, now: float, failed: bool, sentence: str = "") -> bool:
        """What became of a call.  True = whether it is left alone, or until when, has changed."""
        if self.tried_at:
            return self._judge_probe(now, failed, sentence)
        self._recent.add(now, failed)
        if not failed:
            return False
        calls, failures = self._recent.totals(now)
        if calls < _LEAST_CALLS or failures * 2 < calls:
            return False
        self._leave_alone(now, 1, sentence)
        return True

    def _judge_probe(self, now: float, failed: bool, sentence: str) -> bool:
        if not self._probe_until:
            return False  # begun before it was left alone
        if failed:
            self._leave_alone(now, self.trips + 1, sentence)
        else:
            self.close()
        return True

    def _leave_alone(self, now: float, trips: int, sentence: str) -> None:
        self.trips = trips
        self.tried_at = now + min(_LONGEST_TRY_S, _FIRST_TRY_S * 2.0 ** min(trips - 1, 10))
        self.sentence = sentence
        self._probe_until = 0.0

    def close(self) -> None:
        """It may be called again."""
        self.tried_at = self._probe_until = 0.0
        self.trips = 0
        self.sentence = ""
        self._recent.clear()

    def try_now(self, now: float) -> None:
        """A person does not want to wait: the next call tries it."""
        self.paused_until = 0.0
        if self.tried_at:
            self.tried_at, self._probe_until = now, 0.0

    # ---------------------------------------------------------------------------- calls at once

    def begin(self) -> bool:
        """A call is under way from now on; False = there is no room, `wait` for it."""
        if self.under_way >= self.most or self._waiters:
            return False
        self.under_way += 1
        return True

    async def wait(self) -> None:
        """In turn; when this returns, the call is under way."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.end()
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise

    def end(self) -> None:
        self.under_way -= 1
        self.let_in()

    def set_most(self, most: int) -> None:
        if self.most != most:
            self.most = most
            self.let_in()

    def let_in(self) -> None:
        """Who waits and has room now."""
        while self._waiters and self.under_way < self.most:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self.under_way += 1
                waiter.set_result(None)

    @property
    def stands_aside(self) -> bool:
        """So many calls are under way that this one must not keep other flows out."""
        return self.under_way > self.share

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    def is_idle(self, now: float) -> bool:
        quiet = self.under_way == 0 and not self._waiters
        return quiet and not self.tried_at and self.paused_until < now
