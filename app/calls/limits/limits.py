"""Whether a call may go out now.  In this order: is the host left alone for a while, are there too many
retries, does a pause or a limit of the connection make it wait, is there room for one more at once.

Nothing fails here: who may not go waits, for a moment in place, for longer as a row."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from app.calls.connections.pace import PLAIN
from app.calls.limits.model import BudgetBook, MemoryBook, Place
from app.calls.message.call import Answer, CallRequest
from app.calls.outcome.signals import speaks_of_limits, used_up
from app.catalog.format.definition import Limit
from app.clock import Clock
from app.errors import CallFailed

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


MAX_PAUSE_S = 24 * 3600.0
_RAMP_S = 0.005  # after a pause the waiting calls start 200 a second
_LEAST_KEPT_S = 1.0  # a shorter one is over before another process has heard of it
_UNNAMED_PAUSE_S = 2.0  # for a service that says “too many” and not how long
_AFTER_THE_TRY_S = 1.0
_RETRY_WAIT_S = 10.0
_MOST_LANES = 5000
_MOST_WITHOUT_CONNECTION = 400

Why = Literal["turn", "pause", "away", "retries"]


@dataclass(frozen=True, slots=True)
class Wait:
    """`is_mine`: go after `seconds`, the call is counted already.  Else come back and ask again."""

    seconds: float
    why: Why
    is_mine: bool = False


class LaneKeeper(Protocol):
    def take_up(self, limits: Limits) -> None: ...

    def keep_lane(self, lane: Lane) -> None: ...

    def look_at(self, limits: Limits, place: str) -> None: ...

    async def may_try(self, lane: Lane) -> bool:
        """Whether this process is the one that tries a host that was left alone."""
        ...

    async def finish(self) -> None: ...


class Limits:
    """Used inside the event loop only.  `keeper`: writes down what is to outlive the process."""

    def __init__(self, clock: Clock, *, at_once: int = _MOST_WITHOUT_CONNECTION) -> None:
        self._clock = clock
        self._at_once = at_once
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._hosts: dict[str, Host] = {}
        self._behind: dict[str, int] = {}
        self.book: BudgetBook = MemoryBook(clock)
        self.keeper: LaneKeeper | None = None

    async def start(self) -> None:
        if self.keeper is not None:
            self.keeper.take_up(self)
        await self.book.start()

    async def close(self) -> None:
        await self.book.close()
        if self.keeper is not None:
            await self.keeper.finish()

    def hear(self, place: str) -> None:
        """Another process changed that lane."""
        if self.keeper is not None:
            self.keeper.look_at(self, place)

    def take(
        self, request: CallRequest, *, flow: str = "", is_back: bool = False, attempt: int = 1
    ) -> Wait | None:
        """None = go now, and the call is counted.  `is_back`: a wait it was told to make has passed."""
        now = self._clock.monotonic()
        lane = self._lane_of(request, now)
        if (lane.tried_at or attempt > 1) and (wait := self._refused(lane, attempt, now)) is not None:
            return wait
        wait = None
        limits = limits_of(request)
        if limits or lane.paused_until > now:
            wait = self._take_place(lane, limits, flow, is_back, now)
            if wait is not None and not wait.is_mine:
                return wait
        self._goes(lane, attempt, now)
        return wait

    async def turn(
        self, request: CallRequest, *, flow: str = "", is_back: bool = False, attempt: int = 1
    ) -> Wait | None:
        """As `take`, where other processes call the same services: they are asked first."""
        if not self.book.is_shared or request.connection is None:
            return self.take(request, flow=flow, is_back=is_back, attempt=attempt)
        now = self._clock.monotonic()
        lane = self._lane_of(request, now)
        if (wait := self._refused(lane, attempt, now)) is not None:
            return wait
        if lane.tried_at and self.keeper is not None and not await self.keeper.may_try(lane):
            return Wait(_AFTER_THE_TRY_S + self._ramp(lane), "away")
        limits = limits_of(request)
        if limits:
            pause_s = max(0.0, lane.paused_until - now)
            place = await self.book.ask(
                lane.connection_id, limits, flow=flow, is_back=is_back, pause_s=pause_s
            )
            wait = _as_wait(place, "pause" if pause_s else "turn")
        elif lane.paused_until > now:
            wait = self._take_place(lane, limits, flow, is_back, now)
        if wait is None or wait.is_mine:
            self._goes(lane, attempt, now)
        return wait

    def _refused(self, lane: Lane, attempt: int, now: float) -> Wait | None:
        if lane.tried_at and (left := lane.left_alone_for(now)) > 0:
            return Wait(left + self._ramp(lane, _AFTER_THE_TRY_S), "away")
        if attempt > 1 and lane.host.has_too_many_retries(now):
            return Wait(_RETRY_WAIT_S + self._ramp(lane), "retries")
        return None

    def _goes(self, lane: Lane, attempt: int, now: float) -> None:
        if lane.tried_at:
            lane.begin_probe(now)
        elif self._behind:
            self._behind.pop(lane.place, None)
        lane.host.add(now, attempt > 1)

    def _take_place(
        self, lane: Lane, limits: Sequence[Limit], flow: str, is_back: bool, now: float
    ) -> Wait | None:
        why: Why = "pause" if lane.paused_until > now else "turn"
        if not limits:
            return Wait(lane.paused_until - now + self._ramp(lane), why)
        place = self.book.take(
            lane.connection_id, limits, flow=flow, is_back=is_back, not_before=lane.paused_until
        )
        return _as_wait(place, why)

    def _ramp(self, lane: Lane, first_s: float = 0.0) -> float:
        """Those that wait for the same moment come one after another.  Of those that wait for a try,
        the first makes it."""
        behind = self._behind.get(lane.place, 0)
        self._behind[lane.place] = behind + 1
        return behind * _RAMP_S + (first_s if behind else 0.0)

    def heed(self, request: CallRequest, failure: CallFailed | None, answer: Answer | None = None) -> None:
        """What became of a call that went out."""
        now = self._clock.monotonic()
        lane = self._lane_of(request, now)
        has_said = answer is not None and speaks_of_limits(answer.headers)
        if answer is not None and has_said and (failure is None or not failure.wait_s):
            self._heed_limits(lane, answer, now)
        if failure is None:
            if lane.record(now, False):
                self._changed(lane)
            return
        wait_s = failure.wait_s
        if failure.kind == "rate_limited" and wait_s is None:
            wait_s = _UNNAMED_PAUSE_S
        is_away = failure.kind == "unavailable" and not wait_s and not failure.is_ours
        is_changed = lane.record(now, is_away, failure.sentence)
        if wait_s and lane.pause(now + min(wait_s, MAX_PAUSE_S)):
            is_changed = True
        if is_changed:
            self._changed(lane)

    def _heed_limits(self, lane: Lane, answer: Answer, now: float) -> None:
        """An answer that says that nothing is left: who comes next waits instead of being refused."""
        found = used_up(answer, self._clock.now(), lane.under_way - 1)
        if found is None:
            return
        is_longer = lane.pause(now + found.wait_s, found.said)
        if is_longer and found.wait_s > _LEAST_KEPT_S:
            self._changed(lane)

    def _changed(self, lane: Lane) -> None:
        self._behind.pop(lane.place, None)
        if self.keeper is not None:
            self.keeper.keep_lane(lane)

    # --------------------------------------------------------------------------------- asked for

    def lane_for(self, request: CallRequest) -> Lane:
        """With as many calls at once as there may be now."""
        lane = self._lane_of(request, self._clock.monotonic())
        if (connection := request.connection) is not None:
            most = connection.pace.at_once
            lane.set_most(self.book.room(connection.id, most) if self.book.is_shared else most)
        return lane

    def in_use(self, connection_id: str) -> tuple[int, int]:
        """Its calls that are under way here, and those that wait for room."""
        lanes = self.lanes(connection_id)
        return sum(lane.under_way for lane in lanes), sum(lane.waiting for lane in lanes)

    def have_room(self, connection_id: str, most: int) -> None:
        """So many of its calls may be under way here."""
        for lane in self.lanes(connection_id):
            lane.set_most(most)

    def away(self, request: CallRequest) -> Wait | None:
        """It failed so often that it is left alone: when to come back."""
        now = self._clock.monotonic()
        lane = self._lane_of(request, now)
        if not lane.tried_at:
            return None
        return Wait(lane.left_alone_for(now) + self._ramp(lane, _AFTER_THE_TRY_S), "away")

    def lanes(self, connection_id: str) -> list[Lane]:
        return [lane for lane in self._lanes.values() if lane.connection_id == connection_id]

    def hosts(self) -> Mapping[str, Host]:
        return self._hosts

    def lane(self, connection_id: str, host_name: str) -> Lane:
        """By its name; made where there is none yet."""
        key = (connection_id, host_name)
        if (lane := self._lanes.get(key)) is None:
            host = self._hosts.get(host_name)
            if host is None:
                host = self._hosts[host_name] = Host()
            most = PLAIN.at_once if connection_id else self._at_once
            lane = self._lanes[key] = Lane(connection_id, host_name, host, most)
            lane.share = most if connection_id else most // 2
        return lane

    def paused_for(self, connection_id: str) -> float:
        """Seconds the connection still pauses."""
        now = self._clock.monotonic()
        return max((lane.paused_until - now for lane in self.lanes(connection_id)), default=0.0)

    def renumber(self, connection_id: str) -> None:
        """A person changed its numbers: who waited asks anew."""
        self.book.forget_line(connection_id)
        for lane in self.lanes(connection_id):
            self._behind.pop(lane.place, None)

    def lift(self, connection_id: str) -> None:
        """A person fixed the connection, or does not want to wait: nothing is left of its pauses, and
        who waited asks anew."""
        now = self._clock.monotonic()
        self.book.forget_line(connection_id)
        for lane in self.lanes(connection_id):
            lane.try_now(now)
            self._behind.pop(lane.place, None)

    def _lane_of(self, request: CallRequest, now: float) -> Lane:
        connection = request.connection
        if connection is None:
            lane = self._lanes.get(("", name := host_of(request.url)))
        else:
            hosts = connection.hosts
            name = hosts[0] if len(hosts) == 1 else host_of(request.url)
            lane = self._lanes.get((connection.id, name))
        if lane is None:
            if len(self._lanes) >= _MOST_LANES:
                self._drop_idle(now)
            lane = self.lane(connection.id if connection is not None else "", name)
        lane.used_at = now
        return lane

    def _drop_idle(self, now: float) -> None:
        """Addresses may come from data: there is no end of them."""
        by_age = sorted(self._lanes.items(), key=lambda item: item[1].used_at)
        for key, lane in by_age[: _MOST_LANES // 2]:
            if lane.is_idle(now):
                del self._lanes[key]
        named = {lane.host_name for lane in self._lanes.values()}
        self._hosts = {name: host for name, host in self._hosts.items() if name in named}


def _as_wait(place: Place, why: Why) -> Wait | None:
    if place.wait_s <= 0 and place.is_mine:
        return None
    return Wait(place.wait_s, why, place.is_mine)


def limits_of(request: CallRequest) -> tuple[Limit, ...]:
    """The windows a call counts in: its connector's, and those somebody set for the connection."""
    connection = request.connection
    return connection.pace.limits(request.limits) if connection is not None else ()


def host_of(url: str) -> str:
    place = url.partition("://")[2]
    for end in "/?#":
        place = place.partition(end)[0]
    return place.rpartition("@")[2].lower()[:300]
