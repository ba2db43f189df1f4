"""Two years of schedules in five zones, with restarts and clocks that jump, against a reference that
lives through every minute."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pytest
from sqlalchemy import select

from app.intake.schedule import next_fire
from app.storage.tables.models import Event
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService
from tests.faults.wall_clock import RULES, Rule, lived, owed, year
from tests.intake.conftest import Server

PLACES = [
    ("UTC", 2026),
    ("America/New_York", 2026),
    ("Europe/Berlin", 2026),
    ("Australia/Lord_Howe", 2026),  # its summer time is half an hour
    ("Pacific/Apia", 2026),
    ("Pacific/Apia", 2011),  # it leapt over 30 December 2011
]


@pytest.fixture(scope="module", params=PLACES, ids=lambda place: f"{place[0]}-{place[1]}")
def place(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """Both tests of one place follow each other: its minutes are lived through once."""
    yield request.param
    lived.cache_clear()


def test_two_years_of_each_kind_of_schedule_are_as_the_wall_clock_shows_them(place: tuple[str, int]) -> None:
    zone, first = place
    start, end = year(first), year(first + 2)
    for rule in RULES:
        found, moment = [], next_fire(rule.says, zone, start - timedelta(seconds=1))
        while moment is not None and moment < end:
            found.append(moment)
            moment = next_fire(rule.says, zone, moment)
        assert found == owed(rule, zone, start, end), rule.says


# -------------------------------------------------------- the whole way, from the tick to the event


class Years:
    """A server that lives through two years: it ticks, is away for a while, and its clock is set."""

    def __init__(self, folder: Path, zone: str, start: datetime) -> None:
        self._folder = folder
        self._zone = zone
        self.clock = FakeClock(start)
        self.server = Server(folder, self.clock, FakeService())
        self._chance = random.Random(zone)
        self.restarts = self.jumps = 0

    def add(self, rule: Rule, catch_up: str) -> str:
        trigger = {"kind": "schedule", "when": rule.says, "catch_up": catch_up}
        return self.server.live(trigger, time_zone=self._zone)

    def live(self, planned: list[datetime], end: datetime) -> list[datetime]:
        """Ticks shortly after each planned moment, unless something happens.  When it ticked."""
        ticked = []
        for moment in planned:
            if moment <= self.clock.now() - timedelta(hours=4):
                continue  # it was away meanwhile
            self.clock.set(max(moment, self.clock.now()) + timedelta(seconds=self._chance.uniform(0, 1)))
            self._something_happens()
            if self.clock.now() >= end:
                break
            while self.server.intake.ticks.start_due():
                pass
            ticked.append(self.clock.now())
        return ticked

    def _something_happens(self) -> None:
        lot = self._chance.random()
        if lot < 0.01:
            self.restarts += 1
            self.server.close()
            self.clock.advance(self._chance.choice((30, 600, 5400, 40_000, 300_000)))
            self.server = Server(self._folder, self.clock, FakeService())
        elif lot < 0.02:
            self.jumps += 1
            hours = self._chance.choice((-3, -1, -0.5, 0.5, 1, 26))
            self.clock.set(self.clock.now() + timedelta(hours=hours))


def made_up_for(planned: list[datetime], ticked: list[datetime], catch_up: str) -> list[datetime]:
    """At each tick the latest moment that is due and was not seen to; of those missed none else."""
    fired, at = [], 0
    for now in ticked:
        due = at
        while due < len(planned) and planned[due] <= now:
            due += 1
        if due > at and (catch_up == "once" or now - planned[due - 1] <= timedelta(minutes=2)):
            fired.append(planned[due - 1])
        at = due
    return fired


def _events(server: Server) -> dict[str, list[datetime]]:
    """Flow -> the planned moments of its events, in the order in which they were made."""
    found: dict[str, list[datetime]] = {}
    with server.database.read() as db:
        for flow_id, payload in db.execute(select(Event.flow_id, Event.payload).order_by(Event.id)):
            found.setdefault(flow_id, []).append(datetime.fromisoformat(orjson.loads(payload)["planned_at"]))
    return found


def test_over_restarts_and_jumping_clocks_each_planned_moment_is_one_event_or_made_up_for_once(
    tmp_path: Path, place: tuple[str, int]
) -> None:
    zone, first = place
    start, end = year(first), year(first + 2)
    chosen = [(RULES[0], "once"), (RULES[3], "skip"), (RULES[6], "once"), (RULES[7], "skip")]
    years = Years(tmp_path, zone, start - timedelta(minutes=1))
    flows = [(years.add(rule, catch_up), rule, catch_up) for rule, catch_up in chosen]
    planned = {flow_id: owed(rule, zone, start, end) for flow_id, rule, _ in flows}
    ticked = years.live(sorted({moment for moments in planned.values() for moment in moments}), end)
    assert years.restarts > 3
    assert years.jumps > 3
    events = _events(years.server)
    years.server.close()
    for flow_id, rule, catch_up in flows:
        expected = made_up_for(planned[flow_id], ticked, catch_up)
        assert events[flow_id] == expected, f"{rule.says} ({catch_up})"
