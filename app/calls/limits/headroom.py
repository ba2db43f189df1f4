"""What is left of a service's limits, as its answers say: where nothing is, until when.

A refusal says how long to wait (`waits`); this reads the headers of answers that are none, so that the
next call does not have to be refused.  What is not well-formed, contradicts itself or is absurd says
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from app.calls.limits.structured import Member, members, whole
from app.calls.message.answer import Answer
from app.calls.outcome.waits import beside_reset, is_reset, moment, reset_text, seconds_until, wait_for_usage

LONGEST_STOP_S = 3600.0  # then one call looks whether it is still so
_ABSURD_S = 31 * 86400.0  # no service counts in longer spans than a month
_BUCKET_S = 2.0  # one that only says how full it is runs out all the time
_ALMOST_NONE = 5
_MOST_SKEW_S = 86400.0
_LONGEST = 200
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
    found = [*_by_draft(headers, nearly), *_by_resets(headers, nearly, now), *_by_buckets(headers, nearly)]
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


def _by_draft(headers: Mapping[str, _Header], nearly: int) -> Iterator[UsedUp]:
    """`RateLimit: "burst";r=0;t=30, "day";r=7;t=80000`, or as in earlier drafts `limit=10,
    remaining=0, reset=30`.  The policy of the same name says how wide the window is, and what it counts."""
    header = headers.get("ratelimit")
    if header is None:
        return
    found = members(header.value)
    policy = headers.get("ratelimit-policy")
    policies = {one.name: one for one in members(policy.value)} if policy is not None else {}
    for left, wait_s in _earlier(found) if any(one.key for one in found) else _windows(found, policies):
        if left < nearly:
            yield UsedUp(float(wait_s), f"{header.name}: r={left};t={wait_s}")


def _windows(found: Sequence[Member], policies: Mapping[str, Member]) -> Iterator[tuple[int, int]]:
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


def _by_resets(headers: Mapping[str, _Header], nearly: int, now: datetime) -> Iterator[UsedUp]:
    """`X-RateLimit-Remaining: 0` beside `X-RateLimit-Reset: 30`.  Several windows are lists of the same
    length in both."""
    for lower, header in headers.items():
        if not is_reset(lower) or len(header.value) > _LONGEST:
            continue
        left = headers.get(beside_reset(lower, "remaining")) or headers.get(_BIGCOMMERCE.get(lower, ""))
        if left is None or len(left.value) > _LONGEST or _has_no_limit(headers, lower):
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
