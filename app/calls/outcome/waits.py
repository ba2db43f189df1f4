"""How long a service asks us to wait: Retry-After, rate limit headers; garbage is no answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import orjson

from app.calls.message.answer import Answer

LONGEST_WAIT_S = 24 * 3600.0
_EPOCH_FROM = 1_000_000_000  # a reset larger than this is a moment, not a span
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,9})?")
_SPAN = re.compile(
    r"(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,7}(?:\.\d{1,9})?)s)?(?:(\d{1,9})ms)?"
)
_SPAN_S = (86400, 3600, 60, 1, 0.001)
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE)
_PARAMETER = re.compile(r"(?:^|[;,\s])\s*(r|t|w|remaining|reset)\s*=\s*\"?(\d{1,15})", re.IGNORECASE)
_IN_MS = ("retry-after-ms", "x-ms-retry-after-ms", "x-retry-after-ms")
_RETRY_AFTER = ("retry-after", "x-retry-after")
# Each service has its own; the names of the window come in between (`…-requests-reset`, `…-reset-tokens`).
_RESET = re.compile(
    r"(?:x-)?(?:[a-z0-9]+-)?rate-?limit-(?:[a-z0-9]+-)*reset(?:-[a-z0-9]+)*|x-rate-limit-reset(?:-[a-z]+)*"
)
_LONGEST_USAGE = 20_000
_USAGE_WAIT = "estimated_time_to_regain_access"


def asked_wait(answer: Answer, now: datetime) -> float | None:
    """Seconds, at most a day; None when the answer does not say."""
    for name in _IN_MS:
        if _NUMBER.fullmatch(text := answer.header(name).strip()):
            return _bounded(float(text) / 1000)
    for name in _RETRY_AFTER:
        if (wait := span(answer.header(name), now)) is not None:
            return wait
    if answer.status not in (429, 503):
        return None
    for found in (_by_draft(answer), _by_resets(answer, now), wait_for_usage(answer)):
        if found is not None:
            return found
    return None


def read_wait(rule: str, answer: Answer, now: datetime) -> float | None:
    """A connector's own word for it: `header:X-Reset`, or a number of seconds such as `10s`."""
    kind, _, name = rule.partition(":")
    if kind == "header":
        return span(answer.header(name.strip()), now)
    return span(rule.strip(), now)


def span(text: str, now: datetime) -> float | None:
    """Seconds from a number of seconds, a span such as `6m0s` or `120ms`, a moment since 1970 (also
    in ms), an HTTP date or one as in ISO 8601; at most a day."""
    seconds = seconds_until(text, now)
    return None if seconds is None else _bounded(seconds)


def seconds_until(text: str, now: datetime) -> float | None:
    """The same as it was said: negative for a moment that has passed, and however long."""
    text = text.strip()
    if not text or len(text) > 60:
        return None
    if _NUMBER.fullmatch(text):
        value = float(text)
        return _until(value, now) if value > _EPOCH_FROM else value
    if (spelled := _SPAN.fullmatch(text.lower())) is not None:
        parts = zip(spelled.groups(), _SPAN_S, strict=True)
        return sum(float(number) * unit for number, unit in parts if number)
    found = moment(text)
    return (found - now).total_seconds() if found is not None else None


def moment(text: str) -> datetime | None:
    """An HTTP date, or one as in ISO 8601."""
    try:
        found = datetime.fromisoformat(text) if _ISO.fullmatch(text) else parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _until(value: float, now: datetime) -> float:
    while value > _EPOCH_FROM * 100:
        value /= 1000
    return value - now.timestamp()


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_WAIT_S)


def _by_draft(answer: Answer) -> float | None:
    """`RateLimit: "burst";r=0;t=30, "day";r=7;t=80000`, or as in earlier drafts `limit=10,
    remaining=0, reset=30`: the longest wait of the windows that are used up.  Where the answer says
    only how wide a window is (`RateLimit-Policy: "burst";q=10;w=60`), it is over after that."""
    waits = [wait for left, wait in _windows(answer.header("ratelimit")) if left == 0]
    if waits:
        return _bounded(max(waits))
    remaining = answer.header("ratelimit-remaining") or answer.header("ratelimit")
    widths = [float(value) for name, value in _parameters(answer.header("ratelimit-policy")) if name == "w"]
    if remaining or len(widths) != 1 or answer.status != 429:
        return None
    return _bounded(widths[0])


def _windows(text: str) -> Iterator[tuple[int, float]]:
    """What is left, and when it begins anew.  A window that does not say what is left is used up."""
    whole = text[:2000]
    is_old = "reset" in whole.lower()
    for item in [whole] if is_old else whole.split(","):
        said = dict(_parameters(item))
        wait = said.get("t", said.get("reset"))
        if wait is not None:
            yield int(said.get("r", said.get("remaining", "0"))), float(wait)


def _parameters(text: str) -> Iterator[tuple[str, str]]:
    for found in _PARAMETER.finditer(text[:2000]):
        yield found[1].lower(), found[2]


def _by_resets(answer: Answer, now: datetime) -> float | None:
    """The longest reset of those windows that are not said to have something left."""
    waits = []
    for name, value in answer.headers:
        lower = name.lower()
        if is_reset(lower) and _is_used_up(answer, lower):
            waits.append(span(reset_text(lower, value), now))
    known = [wait for wait in waits if wait is not None]
    return max(known) if known else None


def is_reset(lower: str) -> bool:
    return len(lower) < 60 and _RESET.fullmatch(lower) is not None


def reset_text(lower: str, value: str) -> str:
    """A header whose name ends in `-ms` counts in milliseconds."""
    value = value.strip()
    return f"{value}ms" if lower.endswith("-ms") and value.isdigit() else value


def beside_reset(lower: str, word: str) -> str:
    """The name of the header that says what is `remaining` until that reset, or its `limit`."""
    return lower.removesuffix("-ms").replace("-reset-after", "-reset").replace("-reset", f"-{word}")


def _is_used_up(answer: Answer, reset: str) -> bool:
    left = answer.header(beside_reset(reset, "remaining")).strip()
    return not _NUMBER.fullmatch(left) or float(left) < 1


def wait_for_usage(answer: Answer) -> float | None:
    """Meta's `X-Business-Use-Case-Usage`: a document that names minutes."""
    text = answer.header("x-business-use-case-usage") or answer.header("x-ad-account-usage")
    if _USAGE_WAIT not in text or len(text) > _LONGEST_USAGE:
        return None
    try:
        minutes = max(_regained(orjson.loads(text)), default=0.0)
    except (orjson.JSONDecodeError, RecursionError):
        return None
    return _bounded(minutes * 60) if minutes else None


def _regained(node: object) -> Iterator[float]:
    if isinstance(node, dict):
        value = node.get(_USAGE_WAIT)
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield float(value)
        node = list(node.values())
    for inner in node if isinstance(node, list) else ():
        yield from _regained(inner)
