"""How a demo service may be made to misbehave, and its rate limit: real services do both."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from flask import Response, jsonify

from seed_data.services.shelf import Shelf

MODES = {
    "fine": "Works",
    "error": "Answers 503 to everything",
    "slow": "Takes 5 seconds for everything",
    "key_revoked": "Refuses the key (401)",
    "busy": "Over its rate limit (429)",
}
SLOW_S = 5.0


class Faults:
    """One mode per service, kept over a restart.  `wait`: how slowness is made."""

    def __init__(self, shelf: Shelf, *, wait: Callable[[float], None] = time.sleep) -> None:
        self._shelf = shelf
        self._wait = wait

    def mode(self, service: str) -> str:
        kept = self._shelf.get("mode", service)
        return str(kept["mode"]) if kept else "fine"

    def set_mode(self, service: str, mode: str) -> None:
        self._shelf.put("mode", service, {"mode": mode if mode in MODES else "fine"})

    def answer(self, service: str) -> Response | None:
        """What the service answers instead of doing its work; None = it works."""
        mode = self.mode(service)
        if mode == "slow":
            self._wait(SLOW_S)
        if mode == "error":
            return refusal(503, "The service is being maintained. Please try again later.")
        if mode == "key_revoked":
            return refusal(401, "This key was revoked.")
        if mode == "busy":
            return too_many(5)
        return None


class RateLimit:
    """At most `calls` in any `seconds`."""

    def __init__(
        self, calls: int, seconds: float = 1.0, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._calls, self._seconds, self._clock = calls, seconds, clock
        self._times: deque[float] = deque()
        self._lock = threading.Lock()

    def wait_s(self) -> float:
        """0 = the call counts and may go on; else the seconds until there is room."""
        with self._lock:
            now = self._clock()
            while self._times and self._times[0] <= now - self._seconds:
                self._times.popleft()
            if len(self._times) < self._calls:
                self._times.append(now)
                return 0.0
            return self._times[0] + self._seconds - now


def refusal(status: int, message: str, *, code: str = "") -> Response:
    answer = jsonify({"error": {"code": code or str(status), "message": message}})
    answer.status_code = status
    return answer


def too_many(wait_s: int) -> Response:
    answer = refusal(429, "Too many requests. Please slow down.", code="rate_limited")
    answer.headers["Retry-After"] = str(wait_s)
    return answer
