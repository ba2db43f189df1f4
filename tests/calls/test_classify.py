"""What an answer means: kind, whether it is tried again, how long to wait, in which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.calls.message.call import Answer
from app.calls.outcome.classify import classify, message_of
from app.calls.outcome.signals import LONGEST_WAIT_S, span
from app.catalog.format.definition import ErrorRule, Success
from app.errors import ERROR_KINDS, CallFailed
from tests.calls.calling import call, connection, send
from tests.fakes.clock import START, FakeClock
from tests.fakes.service import FakeService

AMBIGUOUS = {502, 504, 520, 524}  # something in between gave up waiting for the service
TRANSIENT = {408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529, 423}


def answer(status: int = 200, body: str = "", **headers: str) -> Answer:
    rows = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Answer(status, rows, body.encode(), host="api.example.com")


def failure(given_answer: Answer, *args: Any, **facts: Any) -> CallFailed:
    failed = classify(given_answer, *args, now=START, **facts)
    assert failed is not None
    return failed


@pytest.mark.parametrize("status", range(200, 300, 7))
def test_2xx_is_a_success(status: int) -> None:
    assert classify(answer(status)) is None


@pytest.mark.parametrize("status", [*range(100, 200, 33), *range(300, 600)])
def test_every_other_status_is_a_failure_in_words(status: int) -> None:
    failed = failure(answer(status))
    assert failed.kind in ERROR_KINDS
    assert failed.status == status
    assert failed.sentence.startswith("api.example.com ")
    assert f"(status {status})" in failed.sentence
    assert failed.ambiguous is (status in AMBIGUOUS or status < 200)
    if status >= 300:
        assert failed.permanent is (status not in TRANSIENT)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_payload"),
        (401, "auth_expired"),
        (403, "permission_missing"),
        (404, "not_found"),
        (409, "conflict"),
        (410, "gone"),
        (422, "invalid_payload"),
        (429, "rate_limited"),
        (500, "unavailable"),
        (503, "unavailable"),
    ],
)
def test_the_kind_follows_the_status(status: int, kind: str) -> None:
    assert failure(answer(status)).kind == kind


def test_a_conflict_because_the_same_key_is_under_way_is_tried_again() -> None:
    body = '{"error": {"message": "Idempotent request is already in progress"}}'
    request = call("POST", idempotency_key="k")
    assert not failure(answer(409, body), request=request).permanent
    assert failure(answer(409, '{"message": "Email exists"}'), request=request).permanent
    assert failure(answer(409, body)).permanent


# --------------------------------------------------------------------------------- how long to wait


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry_After": "7"}, 7),
        ({"retry_after": " 0 "}, 0),
        ({"Retry_After": "1.5"}, 1.5),
        ({"Retry_After": format_datetime(START + timedelta(seconds=90), usegmt=True)}, 90),
        ({"Retry_After": "Mon, 02 Mar 2026 08:00:00 GMT"}, 0),
        ({"Retry_After": "1000000000"}, LONGEST_WAIT_S),
        ({"Retry_After": "99999999999999999999"}, None),
        ({"Retry_After": str(int(START.timestamp()) + 30)}, 30),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "-5"}, None),
        ({"Retry_After": "inf"}, None),
        ({"Retry_After": "1e9"}, None),
        ({"Retry_After": ""}, None),
        ({"X_RateLimit_Reset": "12"}, 12),
        ({"X_RateLimit_Reset": str(int(START.timestamp()) + 40)}, 40),
        ({"X_RateLimit_Reset": str((int(START.timestamp()) + 40) * 1000)}, 40),
        ({"RateLimit_Reset": "3"}, 3),
        ({"RateLimit": '"default";r=0;t=25'}, 25),
        ({"Retry_After": "5", "X_RateLimit_Reset": "60"}, 5),
        ({"Retry_After_Ms": "1500", "Retry_After": "2"}, 1.5),
        ({"X_Ms_Retry_After_Ms": "250"}, 0.25),
        ({"X_RateLimit_Reset_Requests": "6m0s"}, 360),
        ({"X_RateLimit_Reset_Tokens": "120ms"}, 0.12),
        ({"X_RateLimit_Reset_After": "1.25"}, 1.25),
        ({"Anthropic_RateLimit_Requests_Reset": "2026-03-02T09:00:20Z"}, 20),
        ({"X_RateLimit_Reset": "2026-03-02 09:01:00"}, 60),
        ({"X_RateLimit_Reset": "20", "X_RateLimit_Remaining": "3"}, None),
        ({"X_RateLimit_Reset": "20", "X_RateLimit_Remaining": "0"}, 20),
        ({"RateLimit": '"burst";r=0;t=3, "day";r=9;t=80000'}, 3),
        ({"RateLimit": '"burst";r=0;t=3, "day";r=0;t=80000'}, 80000),
        ({"RateLimit": "limit=10, remaining=0, reset=30"}, 30),
        ({"RateLimit": '"burst";r=4;t=3'}, None),
        ({"RateLimit": '"burst";r=0;t=999999999999'}, LONGEST_WAIT_S),
        ({"RateLimit_Policy": '"burst";q=10;w=60'}, 60),
        ({"RateLimit_Policy": '"burst";q=10;w=60, "day";q=100;w=86400'}, None),
        ({"RateLimit": "r=;t=x"}, None),
        ({"X_Business_Use_Case_Usage": '{"7":[{"estimated_time_to_regain_access":3,"x":1}]}'}, 180),
        ({"X_Business_Use_Case_Usage": '{"estimated_time_to_regain_access":'}, None),
        ({"X_Business_Use_Case_Usage": "[" * 5000 + '"estimated_time_to_regain_access"'}, None),
        ({}, None),
    ],
)
def test_the_wait_a_service_asks_for_is_understood_and_bounded(
    headers: dict[str, str], wait: float | None
) -> None:
    failed = failure(answer(429, **headers))
    assert failed.wait_s == (None if wait is None else pytest.approx(wait))


@pytest.mark.parametrize("status", sorted(AMBIGUOUS))
def test_a_gateway_that_gave_up_leaves_open_whether_the_service_got_it(status: int) -> None:
    assert failure(answer(status)).ambiguous
    by_rule = ErrorRule(status=(status,), kind="unavailable")
    assert failure(answer(status), [by_rule]).ambiguous
    assert not failure(answer(status), [ErrorRule(status=(status,), kind="gone")]).ambiguous


def test_503_may_ask_for_a_wait_too_and_a_permanent_failure_never_does() -> None:
    assert failure(answer(503, Retry_After="20")).wait_s == 20
    assert failure(answer(500, Retry_After="20")).wait_s == 20
    assert failure(answer(500, RateLimit_Reset="20")).wait_s is None
    assert failure(answer(400, Retry_After="20")).wait_s is None


_HEADER = st.sampled_from(
    ["Retry-After", "RateLimit", "RateLimit-Policy", "X-RateLimit-Reset", "X-RateLimit-Remaining",
     "retry-after-ms", "X-Business-Use-Case-Usage", "x-ratelimit-reset-tokens"]
)  # fmt: skip


@given(
    st.lists(st.tuples(_HEADER, st.text(max_size=60) | st.from_regex(r"[0-9a-z;=,\" ]{1,40}")), max_size=6)
)
def test_no_mixture_of_headers_makes_the_reading_of_a_wait_fail(rows: list[tuple[str, str]]) -> None:
    failed = failure(Answer(429, rows, b"", host="api.example.com"))
    assert failed.wait_s is None or 0 <= failed.wait_s <= LONGEST_WAIT_S


@given(st.text(max_size=80))
def test_no_header_makes_the_reading_of_a_wait_fail(text: str) -> None:
    wait = span(text, datetime(2026, 1, 1, tzinfo=UTC))
    assert wait is None or 0 <= wait <= LONGEST_WAIT_S


def test_a_429_pauses_the_whole_connection() -> None:
    clock = FakeClock()
    service = FakeService().answers("*", "*", (429, {}, {"Retry-After": "30"}))
    import asyncio

    from app.calls.http.client import Caller
    from app.settings import Settings

    async def work() -> Caller:
        caller = Caller(Settings(), clock, transport=service.transport)
        await caller.send(call(connection=connection()))
        return caller

    limits = asyncio.run(work()).limits
    assert limits.paused_for("con_1") == 30
    wait = limits.take(call(connection=connection()))
    assert wait is not None
    assert wait.seconds >= 30
    clock.advance(31)
    assert limits.take(call(connection=connection())) is None


# --------------------------------------------------------------------------- the connector's own rules


def test_the_connectors_rule_comes_before_what_the_status_usually_means() -> None:
    rules = [
        ErrorRule(status=(403,), says="quota", kind="rate_limited", wait="header:X-Wait"),
        ErrorRule(status=(403,), kind="permission_missing", message="Scope missing: ${response.message}"),
        ErrorRule(status=(400,), kind="invalid_payload", message="${response.errors.0.detail}"),
        ErrorRule(status=(409,), kind="conflict"),
        ErrorRule(status=(418,), kind="unavailable", wait="10s"),
    ]
    limited = failure(answer(403, "over quota", X_Wait="9"), rules)
    assert (limited.kind, limited.wait_s, limited.permanent) == ("rate_limited", 9, False)
    scope = failure(answer(403, '{"message": "crm.write"}'), rules)
    assert scope.sentence == "Scope missing: crm.write"
    detail = failure(answer(400, '{"errors": [{"detail": "Bad email"}]}'), rules)
    assert detail.sentence == "api.example.com says: “Bad email”"
    assert not failure(answer(409), rules).permanent
    assert failure(answer(418), rules).wait_s == 10


def test_a_rule_without_words_from_the_service_falls_back_to_ours() -> None:
    rules = [ErrorRule(status=(400,), kind="invalid_payload", message="${response.message}")]
    for body in ("", "<html>oops</html>", "[]", '{"other": 1}', "\x00"):
        assert failure(answer(400, body), rules).sentence.startswith(
            "api.example.com did not accept the data"
        )


def test_a_rule_may_call_a_2xx_a_failure() -> None:
    rules = [ErrorRule(status=(202,), kind="unavailable", says="try later")]
    assert failure(answer(202, "please try later"), rules).kind == "unavailable"
    assert classify(answer(202, "done"), rules) is None


SLACK = Success(
    path="$.ok",
    equals=True,
    message="$.error",
    kinds={"ratelimited": "rate_limited", "invalid_auth": "auth_expired"},
)


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ('{"ok": false, "error": "channel_not_found"}', "invalid_payload", "“channel_not_found”"),
        ('{"ok": false, "error": "invalid_auth"}', "auth_expired", "“invalid_auth”"),
        ('{"ok": false, "error": "ratelimited"}', "rate_limited", "“ratelimited”"),
        ('{"ok": 1}', "invalid_payload", "says that it did not work."),
        ('{"ok": "true"}', "invalid_payload", "did not work"),
        ("{}", "invalid_payload", "did not work"),
        ("<html>", "unavailable", "a web page (HTML) instead of JSON"),
        ("oops", "unavailable", "something else"),
    ],
)
def test_a_200_that_says_it_did_not_work_is_a_failure(body: str, kind: str, words: str) -> None:
    failed = failure(answer(200, body), (), SLACK)
    assert failed.kind == kind
    assert words in failed.sentence


def test_a_200_that_says_it_worked_is_a_success() -> None:
    assert classify(answer(200, '{"ok": true}'), (), SLACK) is None


# ------------------------------------------------------------------------------ the service's words


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"message": "No"}, "No"),
        ({"error": "invalid_grant", "error_description": "Expired"}, "Expired"),
        ({"error": {"message": "Bad token", "code": 190}}, "Bad token"),
        ({"errors": [{"detail": "Email is taken"}]}, "Email is taken"),
        ({"errors": ["First", "Second"]}, "First"),
        ({"errors": {"email": ["is invalid"]}}, "email: is invalid"),
        ({"title": "Invalid Resource", "detail": "Please check"}, "Please check"),
        ({"error": "nope"}, "nope"),
        ({"error": True}, ""),
        ({}, ""),
        ([], ""),
        (None, ""),
        ("  plain\n text ", "plain text"),
        ({"message": "x" * 1000}, "x" * 300),
    ],
)
def test_the_services_message_is_found_where_such_messages_stand(document: Any, said: str) -> None:
    assert message_of(document) == said


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_document_makes_the_search_for_a_message_fail(document: Any) -> None:
    assert isinstance(message_of(document), str)
    assert isinstance(message_of({"error": document}), str)


def test_a_page_of_html_is_not_quoted() -> None:
    failed = failure(answer(502, "<html><body>nginx</body></html>", Content_Type="text/html"))
    assert failed.sentence == "api.example.com is unreachable behind its gateway (status 502)."


def test_an_expected_json_answer_may_be_empty_but_not_something_else() -> None:
    service = FakeService().answers("*", "/empty", 204).answers("*", "/text", "hello")
    assert send(service, call(path="/empty", expects="json")).failure is None
    failed = send(service, call(path="/text", expects="json")).failure
    assert failed is not None
    assert failed.ambiguous
