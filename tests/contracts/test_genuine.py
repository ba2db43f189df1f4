"""Every signed trigger of every connector: a good delivery passes; a tampered, an old, and an unsigned
one do not.  The signatures are made here from what the connector declares, by other code."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import connectors
from app.catalog.format.definition import Verify, WebhookTrigger
from app.catalog.registry import Registry
from app.errors import DeliveryRefused
from app.intake.deliveries.signatures import verify

REGISTRY = Registry([("bundled", Path(connectors.__file__).parent)])
NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
URL = "https://flows.example.com/hooks/0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(b"made-up-signing-secret-24").decode()
BODY = b'{"id": 7, "email": "ana@example.com"}'
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = base64.b64encode(
    KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
).decode()

SIGNED = [
    pytest.param(trigger.verify, id=f"{connector.key}-{trigger.key}")
    for connector in map(REGISTRY.get, sorted(REGISTRY.keys()))
    for trigger in connector.triggers.values()
    if isinstance(trigger, WebhookTrigger) and trigger.verify.scheme != "none"
]
TIMED = [one for one in SIGNED if one.values[0].timestamp_header]  # type: ignore[union-attr]
UNSIGNED = {"mailchimp", "activecampaign"}


def stamp(block: Verify, at: datetime) -> str:
    if block.timestamp_unit == "iso":
        return at.isoformat().replace("+00:00", "Z")
    return str(int(at.timestamp() * (1000 if block.timestamp_unit == "ms" else 1)))


def signed(block: Verify, body: bytes, at: datetime = NOW) -> dict[str, str]:
    """The headers as the service would send them."""
    if block.scheme == "token":
        return {block.header: block.prefix + SECRET}
    if block.scheme == "basic":
        return {"Authorization": "Basic " + base64.b64encode(f"{block.username}:{SECRET}".encode()).decode()}
    when = stamp(block, at)
    message = block.message.encode()
    for word, value in {
        b"{timestamp}": when.encode(),
        b"{id}": b"evt_1",
        b"{method}": b"POST",
        b"{url}": URL.encode(),
        b"{form}": b"",
        b"{body}": body,
    }.items():
        message = message.replace(word, value)
    headers = {block.id_header: "evt_1"} if block.id_header else {}
    text = block.prefix + _signature(block, message)
    if block.timestamp_header and block.timestamp_header.lower() == block.header.lower():
        return {**headers, block.header: f"t={when},{text}"}
    return {
        **headers,
        block.header: text,
        **({block.timestamp_header: when} if block.timestamp_header else {}),
    }


def _signature(block: Verify, message: bytes) -> str:
    if block.scheme == "ecdsa_p256":
        return base64.b64encode(KEY.sign(message, ec.ECDSA(hashes.SHA256()))).decode()
    made = hmac.new(SECRET.encode(), message, hashlib.sha1 if block.scheme == "hmac_sha1" else hashlib.sha256)
    return made.hexdigest() if block.encoding == "hex" else base64.b64encode(made.digest()).decode()


def check(block: Verify, headers: dict[str, str], body: bytes = BODY) -> None:
    secrets = {block.secret: PUBLIC if block.scheme == "ecdsa_p256" else SECRET}
    verify(block, method="POST", url=URL, headers=headers, body=body, secrets=secrets, now=NOW)


def body_of(block: Verify) -> bytes:
    return b"" if "{form}" in block.message else BODY


@pytest.mark.parametrize("block", SIGNED)
def test_a_good_delivery_passes(block: Verify) -> None:
    check(block, signed(block, body_of(block)), body_of(block))


@pytest.mark.parametrize("block", SIGNED)
def test_a_tampered_delivery_is_refused(block: Verify) -> None:
    body = body_of(block)
    good = signed(block, body)
    header = block.header or "Authorization"
    other = {**good, header: good[header][:-6] + "AAAAA="}
    with pytest.raises(DeliveryRefused):
        check(block, other, body)
    if block.scheme not in ("token", "basic"):
        with pytest.raises(DeliveryRefused):
            check(block, good, body + b" ")


@pytest.mark.parametrize("block", SIGNED)
def test_a_delivery_without_a_signature_is_refused(block: Verify) -> None:
    for missing in signed(block, body_of(block)):
        left = {name: value for name, value in signed(block, body_of(block)).items() if name != missing}
        with pytest.raises(DeliveryRefused) as reason:
            check(block, left, body_of(block))
        assert reason.value.status == 401


@pytest.mark.parametrize("block", TIMED)
@pytest.mark.parametrize("off", [-1, 1])
def test_an_old_delivery_and_one_of_the_future_are_refused(block: Verify, off: int) -> None:
    at = NOW + timedelta(seconds=off * (block.max_age_s + 1))
    with pytest.raises(DeliveryRefused, match=r"too old|in the future"):
        check(block, signed(block, BODY, at))


def test_only_services_that_cannot_sign_go_unchecked() -> None:
    found: set[Any] = {
        connector.key
        for connector in map(REGISTRY.get, sorted(REGISTRY.keys()))
        for trigger in connector.triggers.values()
        if isinstance(trigger, WebhookTrigger) and trigger.verify.scheme == "none"
    }
    assert found <= UNSIGNED | {"customerio"}
