"""How long a service asks us to wait: Retry-After, rate limit headers; garbage is no answer."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from app.calls.answer import Answer

LONGEST_WAIT_S = 24 * 3600.0
_EPOCH_FROM = 1_000_000_000  # a reset larger than this is a moment, not a span
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,9})?")
_RATE_LIMIT_T = re.compile(r"(?:^|[;,\s])t=(\d{1,9})")
_RESETS = (
    "ratelimit-reset",
    "x-ratelimit-reset",
    "x-rate-limit-reset",
    "x-ratelimit-reset-after",
    "ratelimit-reset-after",
)


def asked_wait(answer: Answer, now: datetime) -> float | None:
    """Seconds, at most a day; None when the answer does not say."""
    wait = span(answer.header("retry-after"), now)
    if wait is not None:
        return wait
    if answer.status not in (429, 503):
        return None
    found = _RATE_LIMIT_T.search(answer.header("ratelimit"))
    if found:
        return _bounded(float(found[1]))
    for name in _RESETS:
        wait = span(answer.header(name), now)
        if wait is not None:
            return wait
    return None


def read_wait(rule: str, answer: Answer, now: datetime) -> float | None:
    """A connector's own word for it: `header:X-Reset`, or a number of seconds such as `10s`."""
    kind, _, name = rule.partition(":")
    if kind == "header":
        return span(answer.header(name.strip()), now)
    return span(rule.strip().removesuffix("s"), now)


def span(text: str, now: datetime) -> float | None:
    """Seconds from a number of seconds, a moment since 1970 (also in ms) or an HTTP date."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        value = float(text)
        if value > _EPOCH_FROM:
            value = _until(value, now)
        return _bounded(value)
    try:
        moment = parsedate_to_datetime(text) if len(text) < 60 else None
    except (ValueError, TypeError, IndexError, OverflowError):
        moment = None
    if moment is None:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _bounded((moment - now).total_seconds())


def _until(value: float, now: datetime) -> float:
    while value > _EPOCH_FROM * 100:
        value /= 1000
    return value - now.timestamp()


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_WAIT_S)
