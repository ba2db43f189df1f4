"""Senders that post orders in allotments and keep account of what was accepted."""

from __future__ import annotations

import threading
import time

import httpx

from tests.faults.flows import body_of, kind_of

THREADS = 6
_PATIENCE_S = 180


class Senders:
    """An order is accepted when its 2xx was read.  `allow(n)` lets n more be sent; whoever gets no
    answer goes on with the next order, so that nothing is ever sent twice."""

    def __init__(self, addresses: dict[str, str]) -> None:
        self._addresses = addresses
        self._next, self._allowed = 1, 0
        self._changed = threading.Condition()
        self._stopped = False
        self.accepted: set[int] = set()
        self.times: dict[int, tuple[float, float]] = {}  # of accepted orders: sent, answered
        self.unanswered = 0
        self.refused = 0
        self.wrong: list[str] = []
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def allow(self, orders: int) -> None:
        with self._changed:
            self._allowed = orders
            self._changed.notify_all()

    def wait_for(self, accepted: int) -> None:
        """Until that many have been accepted in all."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.accepted) >= accepted or self.wrong, _PATIENCE_S):
                raise AssertionError(f"{len(self.accepted)} of {accepted} were accepted, and no more came.")

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_PATIENCE_S)

    def _work(self) -> None:
        with httpx.Client(trust_env=False, timeout=_PATIENCE_S) as client:
            while (order := self._take()) is not None:
                self._send(client, order)

    def _take(self) -> int | None:
        with self._changed:
            self._changed.wait_for(lambda: self._allowed > 0 or self._stopped)
            if self._stopped:
                return None
            self._allowed -= 1
            order, self._next = self._next, self._next + 1
            return order

    def _send(self, client: httpx.Client, order: int) -> None:
        headers, begun = {"Content-Type": "application/json"}, time.monotonic()
        try:
            answer = client.post(self._addresses[kind_of(order)], content=body_of(order), headers=headers)
        except httpx.TransportError:
            with self._changed:
                self.unanswered += 1
                self._allowed += 1  # another order in its place
            time.sleep(0.02)  # nobody listens just now
            return
        with self._changed:
            if answer.is_success:
                self.accepted.add(order)
                self.times[order] = begun, time.monotonic()
            elif answer.status_code == 503:
                self.refused += 1
                self._allowed += 1
            else:
                self.wrong.append(f"{answer.status_code} {answer.text[:200]}")
            self._changed.notify_all()
