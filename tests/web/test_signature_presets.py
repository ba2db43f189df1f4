"""A flow's own check of deliveries: chosen kind by kind, or filled in as a well-known sender signs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from app.errors import DeliveryRefused
from app.flows.model import Signature, WebhookTrigger
from app.intake.deliveries.signatures import verify
from app.parts import Parts
from app.web.builder.kinds import PRESETS, fill_in_signature
from tests.web.browser import Browser
from tests.web.flow_forms import connect, make_flow, part, send, stored

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def secret_of(parts: Parts) -> str:
    return connect(parts, "http", "token", {"token": "s3cret"}, host="example.com")


def signature(parts: Parts, flow_id: str) -> Signature:
    trigger = stored(parts, flow_id).draft.trigger
    assert isinstance(trigger, WebhookTrigger)
    assert trigger.signature is not None
    return trigger.signature


def save(browser: Browser, parts: Parts, flow_id: str, **fields: str) -> Any:
    return send(browser, parts, flow_id, "trigger", **fields)


def test_one_button_fills_in_how_a_sender_signs(browser: Browser, parts: Parts) -> None:
    account, flow_id = secret_of(parts), make_flow(parts)
    panel = part(
        save(browser, parts, flow_id, signature__connection_id=account, signature__header="X-A"), "#panel"
    )
    assert "Fill in how it is signed by" in panel
    panel = part(
        save(
            browser,
            parts,
            flow_id,
            signature__connection_id=account,
            signature__header="X-A",
            do="signed-as:mandrill",
        ),
        "#panel",
    )
    assert 'value="X-Mandrill-Signature"' in panel
    kept = signature(parts, flow_id)
    assert (kept.connection_id, kept.algorithm, kept.message) == (account, "sha1", "{url}{form}")


def test_each_kind_asks_for_what_it_needs(browser: Browser, parts: Parts) -> None:
    account, flow_id = secret_of(parts), make_flow(parts)
    save(browser, parts, flow_id, signature__connection_id=account, signature__header="X-A")
    panel = part(save(browser, parts, flow_id, signature__scheme="standard_webhooks"), "#panel")
    assert "Header with the signature" not in panel
    assert "Oldest accepted" in panel
    panel = part(save(browser, parts, flow_id, signature__scheme="basic"), "#panel")
    assert 'name="signature.username"' in panel


@pytest.mark.parametrize("key", PRESETS)
def test_what_is_filled_in_is_a_check(key: str) -> None:
    data: dict[str, Any] = {"signature": {"connection_id": "con_1", "prefix": "old", "max_age_s": 60}}
    fill_in_signature(data, f"signed-as:{key}")
    check = Signature.model_validate(data["signature"])
    assert check.max_age_s == 60
    assert check.prefix != "old"
    with pytest.raises(DeliveryRefused):
        verify(
            check, method="POST", url="https://a/", headers={}, body=b"{}", secrets={"secret": "s"}, now=NOW
        )


def test_a_form_of_mandrill_is_checked_as_it_is_signed() -> None:
    data: dict[str, Any] = {"signature": {"connection_id": "con_1"}}
    fill_in_signature(data, "signed-as:mandrill")
    events = json.dumps([{"event": "open"}])
    signed = hmac.new(b"key", f"https://a/hmandrill_events{events}".encode(), hashlib.sha1).digest()
    headers = {
        "X-Mandrill-Signature": base64.b64encode(signed).decode(),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    body = b"mandrill_events=%5B%7B%22event%22%3A+%22open%22%7D%5D"
    check = Signature.model_validate(data["signature"])
    verify(
        check,
        method="POST",
        url="https://a/h",
        headers=headers,
        body=body,
        secrets={"secret": "key"},
        now=NOW,
    )
    with pytest.raises(DeliveryRefused):
        verify(
            check,
            method="POST",
            url="https://a/h",
            headers=headers,
            body=body + b"x",
            secrets={"secret": "key"},
            now=NOW,
        )


def test_a_name_with_a_password_is_checked() -> None:
    check = Signature(connection_id="con_1", scheme="basic", username="ana")
    good = base64.b64encode(b"ana:s3cret").decode()
    facts: dict[str, Any] = {
        "method": "POST",
        "url": "https://a/",
        "body": b"",
        "secrets": {"secret": "s3cret"},
    }
    verify(check, headers={"Authorization": f"Basic {good}"}, now=NOW, **facts)
    for wrong in ("", "Basic", f"Bearer {good}", "Basic " + base64.b64encode(b"ana:x").decode()):
        with pytest.raises(DeliveryRefused):
            verify(check, headers={"Authorization": wrong}, now=NOW, **facts)


def test_what_nobody_offers_changes_nothing() -> None:
    data: dict[str, Any] = {"signature": {"connection_id": "con_1"}}
    fill_in_signature(data, "signed-as:nobody")
    fill_in_signature({"signature": None}, "signed-as:stripe")
    assert data == {"signature": {"connection_id": "con_1"}}
