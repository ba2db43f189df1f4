"""Whether and when a failed call is tried again.  Pure: no clock, no database."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from app.errors import CallFailed
from app.flows.model import RetryPolicy

_FAST_BASE_S = 1.0
_FAST_CAP_S = 60.0
_FAST_ATTEMPTS = 4
_QUICK_ATTEMPTS = 3
_SLOW_S = (300, 1800, 7200, 18000, 36000, 36000)
_SLOW_JITTER = 0.2
_MOST_500 = 5
_MOST_MISTAKES = 2
_LONGEST_WAIT_S = 24 * 3600

Uniform = Callable[[float, float], float]


@dataclass(frozen=True)
class Verdict:
    """`again`: wait `wait_s`, then send under the same key.  `hold`: wait until the connection is
    fixed.  `ask`: nobody knows whether the service got it; a person decides.  `give_up`: over."""

    what: Literal["again", "hold", "ask", "give_up"]
    wait_s: float = 0.0


def judge(
    failure: CallFailed,
    *,
    attempt: int,
    policy: RetryPolicy,
    repeatable: bool,
    has_connection: bool,
    uniform: Uniform = random.uniform,
) -> Verdict:
    """What follows the `attempt`-th failure (from 1) of a step.

    `repeatable`: sending the same request twice leaves the service as sending it once.
    """
    if failure.kind == "auth_expired" and has_connection:
        return Verdict("hold")
    if failure.ambiguous and not repeatable:
        return Verdict("ask")
    if failure.permanent or attempt >= _most_attempts(failure, policy):
        return Verdict("give_up")
    return Verdict("again", _wait(failure, attempt, policy, uniform))


def _most_attempts(failure: CallFailed, policy: RetryPolicy) -> int:
    if policy.preset == "none":
        return 1
    most = _MOST_500 if failure.status == 500 else _FAST_ATTEMPTS + len(_SLOW_S)
    if failure.is_ours:
        most = _MOST_MISTAKES
    if policy.preset == "quick":
        return min(_QUICK_ATTEMPTS, most)
    return min(_own_attempts(policy), most) if policy.preset == "custom" else most


def spans(policy: RetryPolicy) -> list[float]:
    """The longest waits between the attempts of a policy of one's own."""
    return [_own_wait(attempt, policy) for attempt in range(1, _own_attempts(policy))]


def _own_attempts(policy: RetryPolicy) -> int:
    """As many as the flow says, and no longer than the standard policy goes on."""
    waits = accumulate(_own_wait(attempt, policy) for attempt in range(1, policy.attempts))
    return 1 + sum(1 for until_then in waits if until_then <= sum(_SLOW_S))


def _own_wait(attempt: int, policy: RetryPolicy) -> float:
    return min(float(_SLOW_S[-1]), policy.first_wait_s * 2.0 ** (attempt - 1))


def _wait(failure: CallFailed, attempt: int, policy: RetryPolicy, uniform: Uniform) -> float:
    asked = min(failure.wait_s or 0.0, _LONGEST_WAIT_S)
    return max(asked, _backoff(attempt, policy, uniform))


def _backoff(attempt: int, policy: RetryPolicy, uniform: Uniform) -> float:
    """Full jitter in the fast lane; in the slow lane the planned wait, a fifth more or less."""
    slow = attempt - _FAST_ATTEMPTS
    if policy.preset == "standard" and slow >= 0:
        planned = _SLOW_S[min(slow, len(_SLOW_S) - 1)]
        return planned * uniform(1 - _SLOW_JITTER, 1 + _SLOW_JITTER)
    own = policy.preset == "custom"
    longest = _own_wait(attempt, policy) if own else min(_FAST_CAP_S, _FAST_BASE_S * 2 ** (attempt - 1))
    return uniform(0, longest)
