"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class FakeClock:
    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> datetime:
        """Wall clock and monotonic time move together."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
        return self._now

    def set(self, now: datetime) -> None:
        """The wall clock alone jumps, as when an administrator corrects it."""
        self._now = now
