"""What an answer says about limits: how long to wait, and whether anything is left.  Garbage is no answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import orjson

from app.calls.message.call import Answer

LONGEST_WAIT_S = 24 * 3600.0
_EPOCH_FROM = 1_000_000_000  # a reset larger than this is a moment, not a span
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,9})?")
_SPAN = re.compile(
    r"(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,7}(?:\.\d{1,9})?)s)?(?:(\d{1,9})ms)?"
)
_SPAN_S = (86400, 3600, 60, 1, 0.001)
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE)
_LIMIT_PARAMETER = re.compile(r"(?:^|[;,\s])\s*(r|t|w|remaining|reset)\s*=\s*\"?(\d{1,15})", re.IGNORECASE)
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
    for found in (_wait_by_draft(answer), _wait_by_resets(answer, now), wait_for_usage(answer)):
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


def _wait_by_draft(answer: Answer) -> float | None:
    """`RateLimit: "burst";r=0;t=30, "day";r=7;t=80000`, or as in earlier drafts `limit=10,
    remaining=0, reset=30`: the longest wait of the windows that are used up.  Where the answer says
    only how wide a window is (`RateLimit-Policy: "burst";q=10;w=60`), it is over after that."""
    waits = [wait for left, wait in _said_windows(answer.header("ratelimit")) if left == 0]
    if waits:
        return _bounded(max(waits))
    remaining = answer.header("ratelimit-remaining") or answer.header("ratelimit")
    widths = [float(value) for name, value in _parameters(answer.header("ratelimit-policy")) if name == "w"]
    if remaining or len(widths) != 1 or answer.status != 429:
        return None
    return _bounded(widths[0])


def _said_windows(text: str) -> Iterator[tuple[int, float]]:
    """What is left, and when it begins anew.  A window that does not say what is left is used up."""
    whole = text[:2000]
    is_old = "reset" in whole.lower()
    for item in [whole] if is_old else whole.split(","):
        said = dict(_parameters(item))
        wait = said.get("t", said.get("reset"))
        if wait is not None:
            yield int(said.get("r", said.get("remaining", "0"))), float(wait)


def _parameters(text: str) -> Iterator[tuple[str, str]]:
    for found in _LIMIT_PARAMETER.finditer(text[:2000]):
        yield found[1].lower(), found[2]


def _wait_by_resets(answer: Answer, now: datetime) -> float | None:
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


LONGEST_STOP_S = 3600.0  # then one call looks whether it is still so
_ABSURD_S = 31 * 86400.0  # no service counts in longer spans than a month
_BUCKET_S = 2.0  # one that only says how full it is runs out all the time
_ALMOST_NONE = 5
_MOST_SKEW_S = 86400.0
_LONGEST_VALUE = 200
_LEFT = re.compile(r"\d{1,15}(\.\d{1,9})?", re.ASCII)
# Others count seats or storage in the same form, or say what is left instead of what is used.
_BUCKET = re.compile(r"x-(?:[a-z0-9]+-)*call-(?:limit|usage)|x-recharge-limit")
_SHARE = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)

Headers = Sequence[tuple[str, str]]


class UsedUp(NamedTuple):
    """`said`: the header with its numbers alone: what else a service writes there may be a secret."""

    wait_s: float
    said: str


class _Header(NamedTuple):
    name: str
    value: str


def speaks_of_limits(headers: Headers) -> bool:
    """Asked of every answer; most say nothing of the kind."""
    names = "\n".join([name for name, _ in headers]).lower()
    return "limit" in names or "-usage" in names


def used_up(answer: Answer, now: datetime, others: int = 0) -> UsedUp | None:
    """The longest of the waits for limits that are used up, or will be by the `others` that are under
    way.  None where there is something left, or nobody says until when."""
    headers = _by_name(answer.headers)
    if headers.get("age", _Header("", "0")).value not in ("", "0"):
        return None  # from a cache: it says what was left of another call
    nearly = 1 + min(max(others, 0), _ALMOST_NONE)
    now = _their_now(headers, now)
    found = [
        *_used_up_by_draft(headers, nearly),
        *_used_up_by_resets(headers, nearly, now),
        *_by_buckets(headers, nearly),
    ]
    if (wait_s := wait_for_usage(answer)) is not None:
        found.append(UsedUp(wait_s, "estimated_time_to_regain_access"))
    waits = [one for one in found if 0 < one.wait_s <= _ABSURD_S]
    if not waits:
        return None
    longest = max(waits)
    return UsedUp(min(longest.wait_s, LONGEST_STOP_S), longest.said)


def _by_name(headers: Headers) -> dict[str, _Header]:
    """Those that come several times are one list."""
    values: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for name, value in headers:
        values.setdefault(lower := name.lower(), []).append(value.strip())
        names[lower] = name
    return {lower: _Header(names[lower], ", ".join(one)) for lower, one in values.items()}


def _their_now(headers: Mapping[str, _Header], now: datetime) -> datetime:
    """A moment the service names is one of its own clock."""
    said = headers.get("date")
    theirs = moment(said.value) if said is not None and len(said.value) < 60 else None
    if theirs is None or abs((theirs - now).total_seconds()) > _MOST_SKEW_S:
        return now
    return theirs


# ----------------------------------------------------------------------------------- the draft


def _used_up_by_draft(headers: Mapping[str, _Header], nearly: int) -> Iterator[UsedUp]:
    """`RateLimit: "burst";r=0;t=30, "day";r=7;t=80000`, or as in earlier drafts `limit=10,
    remaining=0, reset=30`.  The policy of the same name says how wide the window is, and what it counts."""
    header = headers.get("ratelimit")
    if header is None:
        return
    found = members(header.value)
    policy = headers.get("ratelimit-policy")
    policies = {one.name: one for one in members(policy.value)} if policy is not None else {}
    for left, wait_s in (
        _earlier(found) if any(one.key for one in found) else _policy_windows(found, policies)
    ):
        if left < nearly:
            yield UsedUp(float(wait_s), f"{header.name}: r={left};t={wait_s}")


def _policy_windows(found: Sequence[Member], policies: Mapping[str, Member]) -> Iterator[tuple[int, int]]:
    for one in found:
        left, wait_s, policy = one.number("r"), one.number("t"), policies.get(one.name)
        if left is None or wait_s is None:
            continue
        if policy is not None:
            if policy.parameters.get("qu", "").strip('"') == "concurrent-requests":
                continue  # over as soon as a call has ended, not at a moment
            wait_s = min(wait_s, policy.number("w") or wait_s)
        yield left, wait_s


def _earlier(found: Sequence[Member]) -> Iterator[tuple[int, int]]:
    said = {one.key: whole(one.value) for one in found}
    left, wait_s = said.get("remaining"), said.get("reset")
    if left is not None and wait_s is not None and said.get("limit") != 0:
        yield left, wait_s


# ------------------------------------------------------------------------------- remaining, reset


def _used_up_by_resets(headers: Mapping[str, _Header], nearly: int, now: datetime) -> Iterator[UsedUp]:
    """`X-RateLimit-Remaining: 0` beside `X-RateLimit-Reset: 30`.  Several windows are lists of the same
    length in both."""
    for lower, header in headers.items():
        if not is_reset(lower) or len(header.value) > _LONGEST_VALUE:
            continue
        left = headers.get(beside_reset(lower, "remaining")) or headers.get(_BIGCOMMERCE.get(lower, ""))
        if left is None or len(left.value) > _LONGEST_VALUE or _has_no_limit(headers, lower):
            continue
        for number, text in _side_by_side(left.value, header.value):
            wait_s = seconds_until(reset_text(lower, text), now)
            if _LEFT.fullmatch(number) and float(number) < nearly and wait_s is not None:
                yield UsedUp(wait_s, f"{left.name}: {number}")


_BIGCOMMERCE = {"x-rate-limit-time-reset-ms": "x-rate-limit-requests-left"}


def _has_no_limit(headers: Mapping[str, _Header], reset: str) -> bool:
    """A service that limits nothing may say 0 of 0."""
    limit = headers.get(beside_reset(reset, "limit"))
    return limit is not None and _LEFT.fullmatch(limit.value) is not None and float(limit.value) == 0


def _side_by_side(left: str, resets: str) -> Iterator[tuple[str, str]]:
    """A date has a comma of its own."""
    numbers, texts = left.split(","), resets.split(",")
    if len(numbers) == 1:
        texts = [resets]
    if len(numbers) == len(texts):
        for number, text in zip(numbers, texts, strict=True):
            yield number.strip(), text.strip()


# ------------------------------------------------------------------------------------- buckets


def _by_buckets(headers: Mapping[str, _Header], nearly: int) -> Iterator[UsedUp]:
    """`X-Shopify-Shop-Api-Call-Limit: 40/40`."""
    for lower, header in headers.items():
        if len(lower) < 60 and _BUCKET.fullmatch(lower):
            said = _SHARE.fullmatch(header.value)
            if said is not None and int(said[2]) > 0 and int(said[2]) - int(said[1]) < nearly:
                yield UsedUp(_BUCKET_S, f"{header.name}: {header.value}")


_LONGEST_FIELD = 2000
_KEY = r"[a-z*][a-z0-9_.*-]*"
_BARE = (
    r'"(?:[ !#-\[\]-~]|\\["\\])*"'  # a string
    r"|-?[0-9]{1,15}(?:\.[0-9]{1,3})?(?![0-9.])"
    r"|:[A-Za-z0-9+/=]*:|\?[01]"
    r"|[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]*"  # a token
)
_PARAMETER = re.compile(rf";[ ]*({_KEY})(?:=({_BARE}))?")
_MEMBER = re.compile(rf"(?:({_KEY})=)?({_BARE})((?:;[ ]*{_KEY}(?:=(?:{_BARE}))?)*)")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_WHOLE = re.compile(r"-?[0-9]{1,15}")


class Member(NamedTuple):
    """`key` is '' in a list; in a dictionary it names the member.  Values as they are written."""

    key: str
    value: str
    parameters: dict[str, str]

    @property
    def name(self) -> str:
        return self.value.strip('"')

    def number(self, parameter: str) -> int | None:
        """A whole number that is not negative."""
        return whole(self.parameters.get(parameter, ""))


def whole(text: str) -> int | None:
    return int(text) if _WHOLE.fullmatch(text) and not text.startswith("-") else None


def members(text: str) -> list[Member]:
    """[] for one that is empty, too long or not well-formed."""
    text = text.strip(" ")
    if len(text) > _LONGEST_FIELD:
        return []
    found: list[Member] = []
    at = 0
    while at < len(text):
        if found:
            comma = _COMMA.match(text, at)
            if comma is None:
                return []
            at = comma.end()
        member = _MEMBER.match(text, at)
        if member is None:
            return []
        said = {one[1]: one[2] or "?1" for one in _PARAMETER.finditer(member[3])}
        found.append(Member(member[1] or "", member[2], said))
        at = member.end()
    return found
