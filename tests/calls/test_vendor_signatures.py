"""Signatures that are no plain HMAC of the body: Twilio's forms, SendGrid's key, Zendesk's moments."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.catalog.format.definition import Verify
from app.errors import DeliveryRefused
from app.intake.deliveries.signatures import verify

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TWILIO = Verify.model_validate(
    {
        "scheme": "hmac_sha1",
        "secret": "auth_token",
        "header": "X-Twilio-Signature",
        "message": "{url}{form}",
        "encoding": "base64",
    }
)
SENDGRID = Verify(
    scheme="ecdsa_p256",
    secret="public_key",
    header="X-Twilio-Email-Event-Webhook-Signature",
    message="{timestamp}{body}",
    timestamp_header="X-Twilio-Email-Event-Webhook-Timestamp",
)
ZENDESK = Verify(
    scheme="hmac_sha256",
    secret="signing_secret",
    header="X-Zendesk-Webhook-Signature",
    message="{timestamp}{body}",
    encoding="base64",
    timestamp_header="X-Zendesk-Webhook-Signature-Timestamp",
    timestamp_unit="iso",
)


def check(
    block: Verify, headers: dict[str, str], body: bytes, secret: str, url: str = "https://x.de/"
) -> None:
    verify(block, method="POST", url=url, headers=headers, body=body, secrets={block.secret: secret}, now=NOW)


# --------------------------------------------------------------------------------------- Twilio

CALL = b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
CALL_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
CALL_SIGNATURE = {"X-Twilio-Signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="}


def test_the_example_of_twilios_documentation_is_genuine() -> None:
    check(TWILIO, {**FORM, **CALL_SIGNATURE}, CALL, "12345", CALL_URL)


@pytest.mark.parametrize(
    ("body", "url"),
    [(CALL + b"&x=1", CALL_URL), (CALL, CALL_URL + "&x=1"), (b"\xff=1", CALL_URL), (b"&" * 9000, CALL_URL)],
)
def test_a_changed_form_or_address_is_refused(body: bytes, url: str) -> None:
    with pytest.raises(DeliveryRefused):
        check(TWILIO, {**FORM, **CALL_SIGNATURE}, body, "12345", url)


def test_a_body_that_is_no_form_is_held_to_its_hash_in_the_address() -> None:
    body = b'{"a": 1}'
    url = f"https://mycompany.com/hook?bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = base64.b64encode(hmac.new(b"12345", url.encode(), "sha1").digest()).decode()
    headers = {"Content-Type": "application/json", "X-Twilio-Signature": signature}
    check(TWILIO, headers, body, "12345", url)
    with pytest.raises(DeliveryRefused, match="hash of the body"):
        check(TWILIO, headers, b'{"a": 2}', "12345", url)
    with pytest.raises(DeliveryRefused, match="hash of the body"):
        check(TWILIO, headers, body, "12345", "https://mycompany.com/hook")


# ------------------------------------------------------------------------------------- SendGrid

KEY = ec.derive_private_key(20261121, ec.SECP256R1())
PUBLIC = base64.b64encode(
    KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
).decode()
EVENTS = b'[{"event": "bounce"}]\r\n'


def signed_by(key: ec.EllipticCurvePrivateKey, body: bytes, at: int) -> dict[str, str]:
    signature = key.sign(str(at).encode() + body, ec.ECDSA(hashes.SHA256()))
    return {SENDGRID.header: base64.b64encode(signature).decode(), SENDGRID.timestamp_header: str(at)}


def test_what_the_senders_key_signed_is_taken() -> None:
    check(SENDGRID, signed_by(KEY, EVENTS, int(NOW.timestamp())), EVENTS, PUBLIC)


def test_another_key_another_body_and_another_day_are_refused() -> None:
    at = int(NOW.timestamp())
    other = ec.derive_private_key(7, ec.SECP256R1())
    for headers, body in (
        (signed_by(other, EVENTS, at), EVENTS),
        (signed_by(KEY, EVENTS, at), EVENTS + b" "),
        (signed_by(KEY, EVENTS, at - 86400), EVENTS),
        ({**signed_by(KEY, EVENTS, at), SENDGRID.header: "no base64!"}, EVENTS),
        ({}, EVENTS),
    ):
        with pytest.raises(DeliveryRefused):
            check(SENDGRID, headers, body, PUBLIC)


@pytest.mark.parametrize("key", ["made up", "AAAA", base64.b64encode(b"x" * 91).decode()])
def test_a_secret_that_is_no_public_key_accepts_nothing(key: str) -> None:
    with pytest.raises(DeliveryRefused):
        check(SENDGRID, signed_by(KEY, EVENTS, int(NOW.timestamp())), EVENTS, key)


# -------------------------------------------------------------------------------------- Zendesk


def zendesk(at: str) -> dict[str, str]:
    digest = hmac.new(b"s3cret", at.encode() + EVENTS, "sha256").digest()
    return {ZENDESK.header: base64.b64encode(digest).decode(), ZENDESK.timestamp_header: at}


def test_a_time_stamp_may_be_written_out() -> None:
    check(ZENDESK, zendesk("2026-11-21T07:59:30Z"), EVENTS, "s3cret")


@pytest.mark.parametrize("at", ["2026-11-21T07:00:00Z", "yesterday", ""])
def test_a_time_stamp_that_is_old_or_none_is_refused(at: str) -> None:
    with pytest.raises(DeliveryRefused):
        check(ZENDESK, zendesk(at), EVENTS, "s3cret")
