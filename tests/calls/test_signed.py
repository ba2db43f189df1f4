"""Signed requests: against a published example, and against a service that signs on its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import pytest

from app.calls.connections.book import ConnectionFacts
from app.calls.message.call import CallRequest, Ready, make_ready
from app.catalog.format.auth import HmacAuth
from app.errors import CallFailed

NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
SECRET = "s3cret-canary-0123456789"
FIELDS = [{"key": "key_id", "label": "ID"}, {"key": "key", "label": "Key", "secret": True}]


def signed(request: CallRequest, secret: str = SECRET, **described: Any) -> Ready:
    auth = HmacAuth.model_validate(
        {"key": "signed", "type": "hmac", "label": "Signed", "secret": "key", "fields": FIELDS, **described}
    )
    request.connection = ConnectionFacts(
        id="con_1",
        connector="shop",
        name="Shop",
        auth=auth,
        public={"key_id": "AKIDEXAMPLE"},
        secrets={"key": secret} if secret else {},
        hosts=("example.amazonaws.com",),
    )
    return make_ready(request, NOW)


def get(path: str = "/", **facts: Any) -> CallRequest:
    return CallRequest("GET", f"https://example.amazonaws.com{path}", **facts)


def header(ready: Ready, name: str) -> str:
    return next(value for key, value in ready.headers if key == name)


AWS: dict[str, Any] = {
    "secret_prefix": "AWS4",
    "derive": ["{date}", "us-east-1", "service", "aws4_request"],
    "canonical": "{method}\n{path}\n{sorted_query}\n{headers}\n{signed_headers}\n{body_hash}",
    "message": "AWS4-HMAC-SHA256\n{timestamp}\n{date}/us-east-1/service/aws4_request\n{canonical_hash}",
    "signed_headers": ["host", "x-amz-date"],
    "timestamp": {"name": "X-Amz-Date", "format": "compact"},
    "value": "AWS4-HMAC-SHA256 Credential=${connection.key_id}/{date}/us-east-1/service/aws4_request, "
    "SignedHeaders={signed_headers}, Signature={signature}",
}
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def test_the_published_example_of_aws_comes_out_to_the_last_digit() -> None:
    ready = signed(get(), AWS_SECRET, **AWS)
    assert header(ready, "X-Amz-Date") == "20150830T123600Z"
    assert header(ready, "Authorization") == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )


def test_parameters_are_signed_in_order_whatever_order_they_are_sent_in() -> None:
    one = signed(get("/?Param2=value2&Param1=value1"), AWS_SECRET, **AWS)
    assert header(one, "Authorization").endswith(
        "Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
    )


@pytest.mark.parametrize("encoding", ["hex", "base64", "base64url"])
def test_the_service_comes_to_the_same_signature_over_the_body_as_it_is(encoding: str) -> None:
    body = b'{"a": "\xc3\xa4 {timestamp}"}\xff'
    request = CallRequest("POST", "https://example.amazonaws.com/x?b=1", body=body, content_type="text/plain")
    ready = signed(
        request,
        encoding=encoding,
        message="{method}\n{path}?{query}\n{timestamp}\n{nonce}\n{body}",
        timestamp={"name": "X-Time", "format": "epoch_ms"},
        nonce={"name": "X-Nonce"},
        headers={"X-Key": "${connection.key_id}"},
        name="X-Signature",
        value="v1={signature}",
    )
    start = f"POST\n/x?b=1\n{header(ready, 'X-Time')}\n{header(ready, 'X-Nonce')}\n".encode()
    made = hmac.new(SECRET.encode(), start + body, hashlib.sha256).digest()
    wanted = {
        "hex": made.hex(),
        "base64": base64.b64encode(made).decode(),
        "base64url": base64.urlsafe_b64encode(made).decode(),
    }
    assert header(ready, "X-Signature") == f"v1={wanted[encoding]}"
    assert header(ready, "X-Time") == "1440938160000"
    assert header(ready, "X-Key") == "AKIDEXAMPLE"


def test_a_signature_may_stand_in_the_address_and_is_not_shown() -> None:
    ready = signed(get("/a"), message="{path}", location="query", name="sig")
    made = hmac.new(SECRET.encode(), b"/a", hashlib.sha256).hexdigest()
    assert ready.url.endswith(f"/a?sig={made}")
    assert made not in ready.url_shown


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("epoch_s", "1440938160"),
        ("iso8601", "2015-08-30T12:36:00Z"),
        ("http", "Sun, 30 Aug 2015 12:36:00 GMT"),
    ],
)
def test_the_time_is_written_as_the_service_reads_it(how: str, wanted: str) -> None:
    ready = signed(get(), message="{timestamp}", timestamp={"name": "X-Time", "format": how})
    assert header(ready, "X-Time") == wanted


def test_neither_key_nor_signature_is_in_the_history() -> None:
    ready = signed(get(), message="{method}", value="${connection.key}:{signature}", name="X-Api-Sign")
    shown = str(ready.headers_shown)
    assert SECRET in header(ready, "X-Api-Sign")
    assert SECRET not in shown
    assert "•••" in shown


def test_nothing_is_signed_for_another_host() -> None:
    with pytest.raises(CallFailed) as caught:
        signed(CallRequest("GET", "https://evil.example.com/"), message="{method}")
    assert "belongs to example.amazonaws.com" in caught.value.sentence


@pytest.mark.parametrize(("secret", "how"), [("", "text"), ("not base64!", "base64"), ("xyz", "hex")])
def test_a_key_that_cannot_be_read_is_said_and_nothing_is_sent(secret: str, how: str) -> None:
    with pytest.raises(CallFailed) as caught:
        signed(get(), secret, message="{method}", secret_encoding=how)
    assert caught.value.kind == "auth_expired"
    assert "cannot be read" in caught.value.sentence


@pytest.mark.parametrize(("text", "how"), [(base64.b64encode(b"key").decode(), "base64"), ("6b6579", "hex")])
def test_a_key_may_be_written_in_base64_or_hex(text: str, how: str) -> None:
    ready = signed(get(), text, message="{method}", secret_encoding=how, name="X-Sign")
    assert header(ready, "X-Sign") == hmac.new(b"key", b"GET", hashlib.sha256).hexdigest()
