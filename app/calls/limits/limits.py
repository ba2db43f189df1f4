"""Whether a call may go out now.  In this order: is the host left alone for a while, are there too many
retries, does a pause or a limit of the connection make it wait, is there room for one more at once.

Nothing fails here: who may not go waits, for a moment in place, for longer as a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from app.calls.connections.pace import PLAIN
from app.calls.limits.lanes import Host, Lane
from app.calls.limits.model import IN_PLACE_S, BudgetBook, MemoryBook, Place
from app.calls.message.call import Answer, CallRequest
from app.calls.outcome.signals import speaks_of_limits, used_up
from app.catalog.format.definition import Limit
from app.clock import Clock
from app.errors import CallFailed

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
        """A person mended the connection, or does not want to wait: nothing is left of its pauses, and
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


__all__ = ["IN_PLACE_S", "MAX_PAUSE_S", "Limits", "Wait", "Why", "host_of", "limits_of"]
