"""The history never holds a secret, whatever a service echoes."""

from __future__ import annotations

import base64
import json
import secrets as randomness
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.calls.connections.secrets import HIDDEN, HISTORY_BODY, Scrubber, is_secret_header, shown_url
from tests.calls.calling import call, connection, send
from tests.fakes.service import FakeService, Received

CANARY = 'sk_live/4eC39+Hq"Lyj=WDar&jtT1zdp7dc ü'


def forms_of(secret: str) -> list[str]:
    raw = secret.encode()
    return [
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        base64.b64encode(b"user:" + raw).decode(),
        base64.b64encode(b"ab" + raw + b"tail").decode(),
        base64.b64encode(b"x" + raw + b"yz").decode(),
    ]


@pytest.mark.parametrize("form", forms_of(CANARY))
def test_an_echoed_secret_is_replaced_in_whatever_form(form: str) -> None:
    clean = Scrubber({"token": CANARY}).text(f"before {form} after")
    assert CANARY not in clean
    assert form not in clean
    assert clean.startswith("before ")
    assert clean.endswith(" after")


@given(st.text(min_size=8, max_size=60), st.binary(max_size=40), st.binary(max_size=40))
def test_a_secret_inside_base64_is_found_wherever_it_stands(secret: str, before: bytes, after: bytes) -> None:
    raw = secret.encode("utf-8", "replace")
    packed = base64.b64encode(before + raw + after)
    clean = Scrubber({"token": secret}).data(packed)
    assert clean != packed


def test_a_short_value_is_no_secret_to_search_for() -> None:
    assert Scrubber({"token": "abc"}).text("abc abcdef") == "abc abcdef"


def test_a_large_body_is_cut_and_a_secret_at_the_cut_is_gone() -> None:
    scrubber = Scrubber({"token": CANARY})
    raw = CANARY.encode()
    for offset in range(len(raw) + 2):
        body = b"x" * (HISTORY_BODY - offset) + raw + b"y" * 1000
        kept = scrubber.body(body)
        assert len(kept) <= HISTORY_BODY
        assert raw[:8] not in kept
    assert Scrubber({}).body(b"z" * (HISTORY_BODY + 1)) == b"z" * HISTORY_BODY


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("Authorization", True),
        ("Set-Cookie", True),
        ("X-Api-Key", True),
        ("X-Shopify-Access-Token", True),
        ("X-Hub-Signature", True),
        ("api_key", True),
        ("Idempotency-Key", False),
        ("Content-Type", False),
        ("X-Request-Id", False),
        ("X-Monkey", False),
        ("WWW-Authenticate", False),
    ],
)
def test_headers_are_hidden_by_their_name(name: str, secret: bool) -> None:
    assert is_secret_header(name) is secret


def test_parameters_that_carry_secrets_are_hidden_by_their_name() -> None:
    url = "https://x.example/a?page=2&access_token=abc&Key=k1&limit=5&sig=zz#f"
    shown = shown_url(url, Scrubber({}))
    assert shown == f"https://x.example/a?page=2&access_token={HIDDEN}&Key={HIDDEN}&limit=5&sig={HIDDEN}#f"


def test_fifty_canaries_through_an_echoing_service_leave_no_trace() -> None:
    def echo(got: Received) -> tuple[int, dict[str, object], dict[str, str]]:
        seen = {"headers": got.headers, "url": got.url, "body": got.text}
        seen["packed"] = base64.b64encode(str(seen).encode()).decode()  # type: ignore[assignment]
        headers = {"X-Echo": got.headers.get("authorization", "-"), "Set-Cookie": "s=" + got.url}
        return (200 if got.path == "/fine" else 400, {"message": f"bad: {seen}", **seen}, headers)

    for number in range(50):
        canary = randomness.token_urlsafe(12 + number % 20)
        auth = ("bearer", "basic", "api_key", "api_key_query")[number % 4]
        facts = connection(
            auth,
            public={"username": "ada", "name": "X-Own" if auth == "api_key" else "own"},
            secrets={"token": canary, "password": canary, "api_key": canary},
        )
        request = call("POST", ("/fine", "/no")[number % 2], body=b"hello", connection=facts)
        outcome = send(FakeService().answers("*", "*", echo), request)
        everything = repr(outcome.row)
        for form in forms_of(canary):
            assert form not in everything
        assert base64.b64encode(f"ada:{canary}".encode()).decode() not in everything


def test_a_secret_a_service_repeats_in_its_message_is_not_in_the_sentence() -> None:
    facts = connection()
    token = facts.secrets["token"]
    service = FakeService().answers("*", "*", (401, {"message": f"Token {token} has expired"}))
    outcome = send(service, call(connection=facts))
    assert outcome.failure is not None
    assert token not in outcome.row["sentence"]
    assert token not in outcome.failure.sentence
    assert "Token {{secret:token}} has expired" in outcome.failure.sentence


def test_a_secret_in_an_answer_does_not_become_data_of_the_flow() -> None:
    facts = connection()
    token = facts.secrets["token"]
    service = FakeService().answers("*", "*", ({"you": token, "note": f"Bearer {token}"}))
    outcome = send(service, call(connection=facts))
    assert outcome.answer is not None
    assert outcome.answer.document() == {"you": "{{secret:token}}", "note": "•••"}


def test_a_short_secret_does_not_change_the_data_of_the_flow() -> None:
    facts = connection("basic", public={"username": "u"}, secrets={"password": "2026"})
    outcome = send(FakeService().answers("*", "*", {"date": "2026-03-01"}), call(connection=facts))
    assert outcome.answer is not None
    assert outcome.answer.document() == {"date": "2026-03-01"}
