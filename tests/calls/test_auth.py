"""Secrets go into a call on the way out, to the connection's own hosts, and nowhere else."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from app.calls.connections.builtin import BUILT_IN
from app.calls.connections.secrets import Origin, fill_body, fill_url, is_home
from app.calls.http.client import CallOutcome
from app.calls.message.call import CallRequest
from app.catalog.format.auth import ApiKeyAuth, BasicAuth, BearerAuth, HeadersAuth
from app.errors import CallFailed
from tests.calls.calling import TOKEN, call, connection, send
from tests.fakes.service import FakeService, Received


def sent_with(request: CallRequest) -> tuple[Received, CallOutcome]:
    service = FakeService().answers("*", "*", {"ok": True})
    outcome = send(service, request)
    assert outcome.failure is None
    return service.requests[0], outcome


def test_a_bearer_token_is_sent_and_shown_as_a_placeholder() -> None:
    got, outcome = sent_with(call(connection=connection()))
    assert got.headers["authorization"] == f"Bearer {TOKEN}"
    assert ("Authorization", "Bearer {{secret:token}}") in outcome.row["request_headers"]
    assert TOKEN not in str(outcome.row)


def test_user_name_and_password_go_as_basic_auth() -> None:
    secrets, public = {"password": "pä:ss-word"}, {"username": "ada"}
    got, outcome = sent_with(call(connection=connection("basic", public=public, secrets=secrets)))
    packed = base64.b64encode("ada:pä:ss-word".encode()).decode()
    assert got.headers["authorization"] == f"Basic {packed}"
    assert packed not in str(outcome.row)


def test_an_api_key_goes_into_the_header_the_person_named() -> None:
    facts = connection("api_key", public={"name": "X-Shop-Token"}, secrets={"api_key": "key-1234567"})
    got, outcome = sent_with(call(connection=facts))
    assert got.headers["x-shop-token"] == "key-1234567"
    assert ("X-Shop-Token", "{{secret:api_key}}") in outcome.row["request_headers"]


def test_an_api_key_in_the_address_is_not_in_the_history() -> None:
    facts = connection("api_key_query", public={"name": "hapikey"}, secrets={"api_key": "key&=1234567"})
    got, outcome = sent_with(call(path="/x?a=1", connection=facts))
    assert got.query == {"a": "1", "hapikey": "key&=1234567"}
    assert "1234567" not in outcome.row["url"]
    assert outcome.row["url"].startswith("https://api.example.com/x?a=1&hapikey=")


def test_several_own_headers_are_sent_and_empty_ones_left_out() -> None:
    public = {"name_1": "X-App-Id", "name_2": "X-App-Secret", "name_3": ""}
    secrets = {"value_1": "app-12345", "value_2": "sec-67890", "value_3": ""}
    got, _ = sent_with(call(connection=connection("headers", public=public, secrets=secrets)))
    assert (got.headers["x-app-id"], got.headers["x-app-secret"]) == ("app-12345", "sec-67890")


def test_the_auth_blocks_of_connector_files_work_alike() -> None:
    field = {"key": "api_key", "label": "Key", "secret": True}
    facts: dict[str, Any] = {"key": "auth", "label": "Auth", "fields": (field,)}
    key = "${connection.api_key}"
    basic = "Basic " + base64.b64encode(b"any:K-12345").decode()
    blocks = [
        (BearerAuth(type="bearer", **facts), "authorization", "Bearer K-12345"),
        (BearerAuth(type="bearer", value=key, **facts), "authorization", "K-12345"),
        (ApiKeyAuth(type="api_key", name="X-Key", value=f"Key {key}", **facts), "x-key", "Key K-12345"),
        (BasicAuth(type="basic", username="any", password=key, **facts), "authorization", basic),
        (HeadersAuth(type="headers", headers={"X-A": key}, **facts), "x-a", "K-12345"),
    ]
    for block, header, value in blocks:
        own = connection(block=block, connector="demo", secrets={"api_key": "K-12345"})
        got, outcome = sent_with(call(connection=own))
        assert got.headers[header] == value
        assert "12345" not in str(outcome.row)


def test_a_header_the_step_sets_itself_wins_over_the_connection() -> None:
    got, outcome = sent_with(call(connection=connection(), headers=[("authorization", "Own abcdef")]))
    assert got.headers["authorization"] == "Own abcdef"
    assert "abcdef" not in str(outcome.row)


# ------------------------------------------------------------------------------------ placeholders


def test_a_connectors_placeholders_are_filled_in_every_part_of_the_call() -> None:
    secrets = {"token": 'a/b"c&d', "list": "l-1234"}
    facts = connection(connector="demo", block=None, secrets=secrets)
    request = call(
        "POST",
        "/bot{{secret:token}}/send",
        query=[("key", "{{secret:list}}")],
        headers=[("X-Sig", "v1 {{secret:list}}")],
        body=b'{"token":"{{secret:token}}"}',
        content_type="application/json",
        connection=facts,
    )
    got, outcome = sent_with(request)
    assert got.url.startswith("https://api.example.com/bota%2Fb%22c%26d/send")
    assert got.query == {"key": "l-1234"}
    assert got.headers["x-sig"] == "v1 l-1234"
    assert got.json == {"token": 'a/b"c&d'}
    assert outcome.row["request_body"] == b'{"token":"{{secret:token}}"}'
    assert "l-1234" not in str(outcome.row)


def test_what_a_person_typed_or_mapped_is_never_taken_for_a_placeholder() -> None:
    text = "{{secret:token}}"
    request = call(
        "POST", query=[("q", text)], headers=[("X-Q", text)], body=text.encode(), connection=connection()
    )
    got, _ = sent_with(request)
    assert got.query == {"q": text}
    assert got.headers["x-q"] == text
    assert got.text == text


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("application/json", b'a\\"&<>b'),
        ("application/x-www-form-urlencoded", b"a%22%26%3C%3Eb"),
        ("application/xml", b'a"&amp;&lt;&gt;b'),
        ("text/plain", b'a"&<>b'),
    ],
)
def test_a_secret_is_written_the_way_the_body_needs_it(kind: str, written: bytes) -> None:
    assert fill_body(b"{{secret:x}}", kind, {"x": 'a"&<>b'}) == written


def test_an_encoded_placeholder_is_filled_too_and_an_unknown_one_refused() -> None:
    assert fill_url("https://x/%7B%7Bsecret%3Atoken%7D%7D", {"token": "a b"}) == "https://x/a%20b"
    with pytest.raises(CallFailed) as failed:
        fill_url("https://x/{{secret:missing}}", {})
    assert "has no “missing”" in failed.value.sentence


def test_a_body_that_is_no_text_survives_the_filling() -> None:
    body = b"\xff\xfe secret \x00"
    assert fill_body(body, "application/octet-stream", {"x": "y"}) == body


# ------------------------------------------------------------------------------------------ hosts


@pytest.mark.parametrize(
    ("url", "hosts", "home"),
    [
        (("https", "api.example.com", 443), ("api.example.com",), True),
        (("https", "api.example.com", 443), ("https://api.example.com",), True),
        (("https", "api.example.com", 8443), ("api.example.com",), False),
        (("https", "api.example.com", 8443), ("api.example.com:8443",), True),
        (("http", "api.example.com", 80), ("api.example.com",), False),
        (("http", "api.example.com", 80), ("http://api.example.com",), True),
        (("http", "127.0.0.1", 8090), ("127.0.0.1:8090",), True),
        (("https", "::1", 443), ("[::1]",), True),
        (("https", "evil.example", 443), ("api.example.com",), False),
        (("https", "api.example.com.evil.example", 443), ("api.example.com",), False),
        (("https", "notapi.example.com", 443), ("api.example.com",), False),
        (("https", "api.example.com", 443), (), False),
        (("https", "api.example.com", 443), ("",), False),
    ],
)
def test_secrets_are_at_home_at_their_own_address_only(
    url: tuple[str, str, int], hosts: tuple[str, ...], home: bool
) -> None:
    assert is_home(Origin(*url), hosts) is home


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://evil.example/x", "belongs to api.example.com, but this call goes to evil.example"),
        ("http://api.example.com/x", "over https only"),
        ("https://api.example.com:8443/x", "but this call goes to api.example.com:8443"),
    ],
)
@pytest.mark.parametrize("auth", ["bearer", "api_key_query"])
def test_a_call_to_another_address_is_not_made_at_all(url: str, words: str, auth: str) -> None:
    service = FakeService()
    secrets = {"token": TOKEN, "api_key": TOKEN}
    facts = connection(auth, public={"name": "k"}, secrets=secrets)
    outcome = send(service, call(path=url, connection=facts))
    assert service.requests == []
    assert outcome.failure is not None
    assert words in outcome.failure.sentence
    assert outcome.failure.kind == "permission_missing"
    assert outcome.failure.permanent
    assert TOKEN not in str(outcome.row)


def test_neither_a_connection_nor_its_credentials_tell_secrets_when_printed() -> None:
    facts = connection()
    assert TOKEN not in f"{facts!r} {facts.credentials!r} {facts.credentials.scrubber!r} {facts.as_scope()}"
    assert facts.as_scope() == {"token": "{{secret:token}}"}


def test_the_built_in_connections_ask_for_what_they_use() -> None:
    for connector in BUILT_IN.values():
        for auth in connector.auth:
            keys = [field.key for field in auth.fields]
            assert len(keys) == len(set(keys))
            used = f"{auth.name} {auth.value} {auth.username} {auth.password} {dict(auth.headers)}"
            for key in [part.split("}")[0] for part in used.split("${connection.")[1:]]:
                assert key in keys
