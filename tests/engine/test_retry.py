"""The table of retries: which failure, how often, how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.retry import Verdict, judge
from app.errors import ERROR_KINDS, CallFailed, ErrorKind
from app.flows.model import RetryPolicy


def _judge(failure: CallFailed, attempt: int = 1, **more: object) -> Verdict:
    facts = {"policy": RetryPolicy(), "repeatable": True, "has_connection": True, **more}
    return judge(failure, attempt=attempt, uniform=lambda low, high: high, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["permission_missing", "invalid_payload", "not_found", "gone"])
def test_what_cannot_get_better_is_given_up_at_once(kind: ErrorKind) -> None:
    assert _judge(CallFailed(kind, "no")).what == "give_up"


@pytest.mark.parametrize("kind", ["rate_limited", "unavailable", "conflict"])
def test_what_passes_is_tried_ten_times_over_more_than_a_day(kind: ErrorKind) -> None:
    failure = CallFailed(kind, "later")
    waits = [_judge(failure, attempt).wait_s for attempt in range(1, 10)]
    assert _judge(failure, 10).what == "give_up"
    assert waits[:3] == [1, 2, 4]
    assert sum(waits) / 1.2 > 27 * 3600


def test_an_internal_error_of_the_service_is_tried_five_times() -> None:
    failure = CallFailed("unavailable", "oops", status=500)
    assert [_judge(failure, n).what for n in (4, 5)] == ["again", "give_up"]


def test_a_dead_key_holds_the_connection_and_without_one_is_given_up() -> None:
    failure = CallFailed("auth_expired", "401")
    assert _judge(failure).what == "hold"
    assert _judge(failure, has_connection=False).what == "give_up"


def test_a_mistake_of_our_own_is_tried_once_more() -> None:
    failure = CallFailed("unavailable", "broke", ambiguous=True, is_ours=True)
    assert [_judge(failure, n).what for n in (1, 2)] == ["again", "give_up"]
    assert _judge(failure, repeatable=False).what == "ask"


def test_an_unknown_outcome_is_repeated_only_where_that_is_safe() -> None:
    failure = CallFailed("unavailable", "no answer", ambiguous=True)
    assert _judge(failure, repeatable=False).what == "ask"
    assert _judge(failure, repeatable=True).what == "again"


def test_a_policy_of_ones_own_counts_all_attempts() -> None:
    policy = RetryPolicy(preset="custom", attempts=3, first_wait_s=60)
    failure = CallFailed("unavailable", "later")
    assert [_judge(failure, n, policy=policy).what for n in (1, 2, 3)] == ["again", "again", "give_up"]
    assert _judge(failure, 2, policy=policy).wait_s == 120


def test_trying_three_times_quickly_is_over_within_seconds() -> None:
    policy, failure = RetryPolicy(preset="quick"), CallFailed("unavailable", "later")
    verdicts = [_judge(failure, n, policy=policy) for n in (1, 2, 3)]
    assert [one.what for one in verdicts] == ["again", "again", "give_up"]
    assert sum(one.wait_s for one in verdicts) <= 3


def test_no_policy_tries_more_often_or_longer_than_the_standard_one() -> None:
    long = RetryPolicy(preset="custom", attempts=10, first_wait_s=86400)
    often = RetryPolicy(preset="custom", attempts=10, first_wait_s=1)
    broken, away = CallFailed("unavailable", "x", status=500), CallFailed("unavailable", "x")
    assert _judge(broken, 5, policy=often).what == "give_up"
    waits = [one.wait_s for n in range(1, 11) if (one := _judge(away, n, policy=long)).what == "again"]
    assert 0 < sum(waits) <= 28 * 3600


@given(
    st.sampled_from(ERROR_KINDS),
    st.integers(1, 30),
    st.one_of(st.none(), st.floats(0, 1e12)),
    st.booleans(),
    st.booleans(),
)
def test_every_failure_has_an_end_and_no_wait_is_longer_than_a_day(
    kind: ErrorKind, attempt: int, wait: float | None, ambiguous: bool, repeatable: bool
) -> None:
    failure = CallFailed(kind, "x", wait_s=wait, ambiguous=ambiguous)
    verdict = _judge(failure, attempt, repeatable=repeatable)
    assert 0 <= verdict.wait_s <= 24 * 3600
    assert attempt < 10 or verdict.what != "again"
