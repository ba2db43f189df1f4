"""Deliveries are let in only when their signature proves where they come from.

The signatures here are made with hmac directly, the way each vendor's documentation describes it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.format.definition import Verify
from app.errors import DeliveryRefused
from app.flows.model import Signature
from app.intake.deliveries.signatures import verify

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TS = int(NOW.timestamp())
SECRET = "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"
WHSEC = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
BODY = '{"id": 7, "email": "ada@example.com", "name": "Zoë"}'.encode()
URL = "https://flows.example.com/hooks/abc?x=1"


def digest(message: bytes, secret: str = SECRET, algorithm: str = "sha256") -> bytes:
    return hmac.new(secret.encode(), message, getattr(hashlib, algorithm)).digest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass
class Vendor:
    """`sign(body, timestamp, secret)` gives the headers as that vendor sends them."""

    name: str
    block: Verify | Signature
    sign: Callable[[bytes, int, str], dict[str, str]]
    secret: str = SECRET
    timed: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


def hmac_block(header: str, **facts: Any) -> Verify:
    return Verify(scheme=facts.pop("scheme", "hmac_sha256"), secret="client_secret", header=header, **facts)


def generic(header: str, **facts: Any) -> Signature:
    return Signature(connection_id="con_1", header=header, **facts)


def standard(body: bytes, ts: int, secret: str, prefix: str = "webhook") -> dict[str, str]:
    key = base64.b64decode(secret.removeprefix("whsec_") + "==")
    signed = hmac.new(key, f"msg_1.{ts}.".encode() + body, hashlib.sha256).digest()
    return {
        f"{prefix}-id": "msg_1",
        f"{prefix}-timestamp": str(ts),
        f"{prefix}-signature": f"v1,AAAA v1a,zzz v1,{b64(signed)}",
    }


VENDORS = [
    Vendor(
        "shopify",
        hmac_block("X-Shopify-Hmac-Sha256", encoding="base64"),
        lambda body, ts, secret: {"X-Shopify-Hmac-Sha256": b64(digest(body, secret))},
    ),
    Vendor(
        "github",
        hmac_block("X-Hub-Signature-256", prefix="sha256="),
        lambda body, ts, secret: {"X-Hub-Signature-256": "sha256=" + digest(body, secret).hex()},
    ),
    Vendor(
        "slack",
        hmac_block(
            "X-Slack-Signature",
            prefix="v0=",
            message="v0:{timestamp}:{body}",
            timestamp_header="X-Slack-Request-Timestamp",
        ),
        lambda body, ts, secret: {
            "X-Slack-Request-Timestamp": str(ts),
            "X-Slack-Signature": "v0=" + digest(b"v0:%d:" % ts + body, secret).hex(),
        },
        timed=True,
    ),
    Vendor(
        "stripe",
        hmac_block(
            "Stripe-Signature",
            prefix="v1=",
            message="{timestamp}.{body}",
            timestamp_header="Stripe-Signature",
        ),
        lambda body, ts, secret: {
            "Stripe-Signature": f"t={ts},v0=1,v1={'0' * 64},v1={digest(b'%d.' % ts + body, secret).hex()}"
        },
        timed=True,
    ),
    Vendor(
        "hubspot v3",
        hmac_block(
            "X-HubSpot-Signature-v3",
            encoding="base64",
            message="{method}{url}{body}{timestamp}",
            timestamp_header="X-HubSpot-Request-Timestamp",
            timestamp_unit="ms",
        ),
        lambda body, ts, secret: {
            "X-HubSpot-Request-Timestamp": str(ts * 1000),
            "X-HubSpot-Signature-v3": b64(
                digest(b"POST" + URL.encode() + body + str(ts * 1000).encode(), secret)
            ),
        },
        timed=True,
    ),
    Vendor(
        "klaviyo",
        hmac_block("Klaviyo-Signature", message="{body}{timestamp}", timestamp_header="Klaviyo-Timestamp"),
        lambda body, ts, secret: {
            "Klaviyo-Timestamp": str(ts),
            "Klaviyo-Signature": digest(body + str(ts).encode(), secret).hex(),
        },
        timed=True,
    ),
    Vendor(
        "webflow",
        hmac_block(
            "X-Webflow-Signature",
            message="{timestamp}:{body}",
            timestamp_header="X-Webflow-Timestamp",
            timestamp_unit="ms",
        ),
        lambda body, ts, secret: {
            "X-Webflow-Timestamp": str(ts * 1000),
            "X-Webflow-Signature": digest(b"%d:" % (ts * 1000) + body, secret).hex(),
        },
        timed=True,
    ),
    Vendor(
        "zendesk",
        hmac_block(
            "X-Zendesk-Webhook-Signature",
            encoding="base64",
            message="{timestamp}{body}",
            timestamp_header="X-Zendesk-Webhook-Signature-Timestamp",
        ),
        lambda body, ts, secret: {
            "X-Zendesk-Webhook-Signature-Timestamp": str(ts),
            "X-Zendesk-Webhook-Signature": b64(digest(b"%d" % ts + body, secret)),
        },
        timed=True,
    ),
    Vendor(
        "segment",
        hmac_block("X-Signature", scheme="hmac_sha1"),
        lambda body, ts, secret: {"X-Signature": digest(body, secret, "sha1").hex()},
    ),
    Vendor(
        "intercom",
        hmac_block("X-Hub-Signature", scheme="hmac_sha1", prefix="sha1="),
        lambda body, ts, secret: {"X-Hub-Signature": "sha1=" + digest(body, secret, "sha1").hex()},
    ),
    Vendor(
        "typeform",
        hmac_block("Typeform-Signature", prefix="sha256=", encoding="base64"),
        lambda body, ts, secret: {"Typeform-Signature": "sha256=" + b64(digest(body, secret))},
    ),
    Vendor(
        "woocommerce",
        hmac_block("X-WC-Webhook-Signature", encoding="base64"),
        lambda body, ts, secret: {"X-WC-Webhook-Signature": b64(digest(body, secret))},
    ),
    Vendor(
        "a flow's own check",
        generic("X-Sig", message="{id}.{timestamp}.{body}", timestamp_header="X-Ts", id_header="X-Id"),
        lambda body, ts, secret: {
            "X-Ts": str(ts),
            "X-Id": "evt-ü",
            "X-Sig": digest("evt-ü.".encode() + b"%d." % ts + body, secret).hex().upper(),
        },
        timed=True,
    ),
    Vendor(
        "a flow's own check in milliseconds",
        generic(
            "X-Sig", algorithm="sha1", encoding="base64", message="{timestamp}{body}", timestamp_header="X-Ts"
        ),
        lambda body, ts, secret: {
            "X-Ts": str(ts * 1000),
            "X-Sig": b64(digest(b"%d" % (ts * 1000) + body, secret, "sha1")),
        },
        timed=True,
    ),
    Vendor(
        "standard webhooks",
        Verify(scheme="standard_webhooks", secret="client_secret"),
        standard,
        secret=WHSEC,
        timed=True,
    ),
    Vendor(
        "svix",
        Verify(scheme="standard_webhooks", secret="client_secret"),
        lambda body, ts, secret: standard(body, ts, secret, "svix"),
        secret=WHSEC.rstrip("="),
        timed=True,
    ),
]
BY_NAME = pytest.mark.parametrize("vendor", VENDORS, ids=[one.name for one in VENDORS])
TIMED = pytest.mark.parametrize(
    "vendor", [one for one in VENDORS if one.timed], ids=[one.name for one in VENDORS if one.timed]
)


def check(
    vendor: Vendor, headers: dict[str, str], *, body: bytes = BODY, secrets: dict[str, str] | None = None
) -> None:
    known = {"client_secret": vendor.secret, "secret": vendor.secret} if secrets is None else secrets
    verify(vendor.block, method="POST", url=URL, headers=headers, body=body, secrets=known, now=NOW)


def refused(vendor: Vendor, headers: dict[str, str], **facts: Any) -> str:
    with pytest.raises(DeliveryRefused) as reason:
        check(vendor, headers, **facts)
    assert reason.value.status == 401
    assert vendor.secret not in str(reason.value)
    return reason.value.sentence


@BY_NAME
def test_a_genuine_delivery_is_let_in(vendor: Vendor) -> None:
    headers = vendor.sign(BODY, TS, vendor.secret)
    check(vendor, headers)
    check(vendor, {name.upper(): value for name, value in headers.items()})


@BY_NAME
def test_a_changed_body_is_refused(vendor: Vendor) -> None:
    headers = vendor.sign(BODY, TS, vendor.secret)
    assert refused(vendor, headers, body=BODY.replace(b"7", b"8"))
    assert refused(vendor, headers, body=BODY + b" ")
    assert refused(vendor, headers, body=b"")


@BY_NAME
def test_another_secret_is_refused(vendor: Vendor) -> None:
    other = "whsec_" + b64(b"another key altogether!!") if vendor.secret.startswith("whsec") else "other"
    assert refused(vendor, vendor.sign(BODY, TS, other))


@BY_NAME
def test_each_missing_or_empty_header_is_refused(vendor: Vendor) -> None:
    headers = vendor.sign(BODY, TS, vendor.secret)
    for name in headers:
        if name == "X-Id":
            continue
        assert refused(vendor, {n: v for n, v in headers.items() if n != name})
        assert refused(vendor, {**headers, name: ""})
    assert refused(vendor, {})


@BY_NAME
def test_without_a_stored_secret_nothing_is_let_in(vendor: Vendor) -> None:
    for secrets in ({}, {"client_secret": "", "secret": ""}, {"other": vendor.secret}):
        assert refused(vendor, vendor.sign(BODY, TS, vendor.secret), secrets=secrets)
        assert refused(
            vendor, vendor.sign(BODY, TS, "whsec_" if "whsec" in vendor.secret else ""), secrets=secrets
        )


@BY_NAME
def test_a_signature_in_another_encoding_or_cut_off_is_refused(vendor: Vendor) -> None:
    headers = vendor.sign(BODY, TS, vendor.secret)
    name = next(name for name in headers if "sig" in name.lower() or "hmac" in name.lower())
    for wrong in (headers[name][:-1], headers[name] + "0", "ü☺", "sha256=", "v1,", "v1=", "null", "\x00"):
        assert refused(vendor, {**headers, name: wrong})


@TIMED
@pytest.mark.parametrize("seconds", [-301, 301, -86400, 10**9])
def test_an_old_or_future_delivery_is_refused(vendor: Vendor, seconds: int) -> None:
    assert "time stamp" in refused(vendor, vendor.sign(BODY, TS + seconds, vendor.secret))


@TIMED
@pytest.mark.parametrize("seconds", [-299, 0, 299])
def test_a_clock_a_little_off_is_fine(vendor: Vendor, seconds: int) -> None:
    check(vendor, vendor.sign(BODY, TS + seconds, vendor.secret))


@BY_NAME
def test_the_previous_secret_counts_while_it_is_rotated(vendor: Vendor) -> None:
    key = "client_secret" if isinstance(vendor.block, Verify) else "secret"
    new = WHSEC if vendor.secret.startswith("whsec") else "brand new secret"
    headers = vendor.sign(BODY, TS, vendor.secret)
    check(vendor, headers, secrets={key: new, f"previous_{key}": vendor.secret})


def test_hubspot_signs_its_address_with_some_characters_decoded() -> None:
    vendor = next(one for one in VENDORS if one.name == "hubspot v3")
    signed = b"POST" + b"https://f.example/hooks/a?u=https://x/?y" + BODY + b"%d" % (TS * 1000)
    headers = {"X-HubSpot-Request-Timestamp": str(TS * 1000), "X-HubSpot-Signature-v3": b64(digest(signed))}
    url = "https://f.example/hooks/a?u=https%3A%2F%2fx%2F%3Fy"
    verify(
        vendor.block,
        method="post",
        url=url,
        headers=headers,
        body=BODY,
        secrets={"client_secret": SECRET},
        now=NOW,
    )


def test_data_that_looks_like_a_word_of_the_message_is_not_replaced_again() -> None:
    block = generic("X-Sig", message="{id}.{body}", id_header="X-Id")
    vendor = Vendor("words", block, lambda body, ts, secret: {})
    headers = {"X-Id": "{body}", "X-Sig": digest(b"{body}." + BODY).hex()}
    check(vendor, headers)


TOKEN = Vendor(
    "token",
    Verify(scheme="token", secret="client_secret", header="X-Token", prefix="Bearer "),
    lambda body, ts, secret: {"X-Token": f"Bearer {secret}"},
)


def test_a_shared_token_has_to_be_the_stored_one() -> None:
    check(TOKEN, {"x-token": f"Bearer {SECRET}"})
    for wrong in (SECRET, f"Bearer {SECRET}x", "Bearer ", "", f"bearer {SECRET}", f"Bearer {SECRET.upper()}"):
        assert refused(TOKEN, {"x-token": wrong})
    assert refused(TOKEN, {})
    assert refused(TOKEN, {"x-token": "Bearer "}, secrets={"client_secret": ""})


def test_a_secret_that_is_no_standard_webhooks_secret_lets_nothing_in() -> None:
    vendor = next(one for one in VENDORS if one.name == "standard webhooks")
    for secret in ("whsec_***", "whsec_", "not base64 !"):
        assert refused(vendor, standard(BODY, TS, WHSEC), secrets={"client_secret": secret})


def test_the_vectors_of_the_standard_webhooks_libraries_hold() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    block = Verify(scheme="standard_webhooks", secret="s1")
    verify(
        block,
        method="POST",
        url=URL,
        headers=headers,
        body=b'{"test": 2432232314}',
        secrets={"s1": secret},
        now=datetime.fromtimestamp(1614265330, UTC),
    )


def test_an_unsigned_service_is_let_in_because_its_connector_says_so() -> None:
    block = Verify(scheme="none", reason="The service offers no signature.")
    verify(block, method="POST", url=URL, headers={}, body=b"", secrets={}, now=NOW)


@given(st.binary(max_size=50), st.text(max_size=50), st.text(max_size=20))
def test_nothing_random_is_let_in(body: bytes, signature: str, timestamp: str) -> None:
    for vendor in VENDORS:
        headers = dict.fromkeys(vendor.sign(b"", TS, vendor.secret), signature)
        headers |= {name: timestamp for name in headers if "time" in name.lower() or name == "X-Ts"}
        with pytest.raises(DeliveryRefused):
            check(vendor, headers, body=body)
