"""A shop whose list of orders changes while it is read: the worst source that a poll may meet."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx

from tests.fakes.service import Received

LATE_S = 590  # an order may show up this long after the moment it bears; the overlap is ten minutes
Clock = Callable[[], datetime]


class HostileShop:
    """Orders in pages of a live list, newest first, so that an insert moves all pages behind it.
    `inserts`: how many orders come while one page is fetched.  `fails_at`: the page that fails."""

    def __init__(self, now: Clock, page: int = 7) -> None:
        self._now = now
        self._chance = random.Random(7)
        self._page = page
        self.orders: list[dict[str, Any]] = []
        self.inserts = 0
        self.fails_at: int | None = None
        self.failure: Any = 500

    def add(self, count: int, age_s: float) -> None:
        """All of one moment, which may lie `age_s` back."""
        at = (self._now() - timedelta(seconds=age_s)).isoformat(timespec="seconds").replace("+00:00", "Z")
        for _ in range(count):
            number = len(self.orders) + 1
            self.orders.append({"id": number, "name": f"#{number}", "created_at": at})

    def answer(self, received: Received) -> Any:
        offset = int(received.query.get("page_info", "0"))
        if self.fails_at is not None and offset >= self.fails_at * self._page:
            return self.failure
        since = received.query.get("created_at_min") or received.query.get("since", "")
        for _ in range(self.inserts):
            self.add(1, self._chance.choice((0, 0, 1, LATE_S)))
        found = self._listed(since)
        page = found[offset : offset + self._page]
        return httpx.Response(200, json={"orders": page}, headers=self._next(received, since, offset, found))

    def _listed(self, since: str) -> list[dict[str, Any]]:
        found = [order for order in self.orders if order["created_at"][:19] >= since[:19]]
        return sorted(found, key=lambda order: (order["created_at"], _mixed(order["id"])), reverse=True)

    def _next(
        self, received: Received, since: str, offset: int, found: list[dict[str, Any]]
    ) -> dict[str, str]:
        if offset + self._page >= len(found):
            return {}
        address = f"https://{received.host}{received.path}?page_info={offset + self._page}"
        return {"Link": f'<{address}&created_at_min={since.replace("+", "%2B")}>; rel="next"'}


def _mixed(number: int) -> int:
    """Orders of one moment stand in no order that means anything; a new one comes anywhere between."""
    return number * 2_654_435_761 % 4_294_967_296
