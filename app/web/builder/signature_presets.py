"""How well-known senders sign, so that nobody has to copy it from their documentation into a form."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "standard": ("Standard Webhooks (Svix, Resend, Clerk)", {"scheme": "standard_webhooks"}),
    "mandrill": (
        "Mailchimp Transactional (Mandrill)",
        {
            "header": "X-Mandrill-Signature",
            "algorithm": "sha1",
            "encoding": "base64",
            "message": "{url}{form}",
        },
    ),
    "stripe": (
        "Stripe",
        {
            "header": "Stripe-Signature",
            "prefix": "v1=",
            "message": "{timestamp}.{body}",
            "timestamp_header": "Stripe-Signature",
        },
    ),
    "shopify": (
        "Shopify",
        {
            "header": "X-Shopify-Hmac-Sha256",
            "encoding": "base64",
            "id_header": "X-Shopify-Event-Id",
        },
    ),
    "github": (
        "GitHub, Meta",
        {
            "header": "X-Hub-Signature-256",
            "prefix": "sha256=",
            "id_header": "X-GitHub-Delivery",
        },
    ),
    "twilio": (
        "Twilio",
        {
            "header": "X-Twilio-Signature",
            "algorithm": "sha1",
            "encoding": "base64",
            "message": "{url}{form}",
        },
    ),
    "sendgrid": (
        "SendGrid",
        {
            "scheme": "ecdsa_p256",
            "header": "X-Twilio-Email-Event-Webhook-Signature",
            "message": "{timestamp}{body}",
            "timestamp_header": "X-Twilio-Email-Event-Webhook-Timestamp",
        },
    ),
    "gitlab": ("GitLab", {"scheme": "token", "header": "X-Gitlab-Token"}),
}
_BARE: dict[str, Any] = {
    "scheme": "hmac",
    "username": "",
    "header": "",
    "algorithm": "sha256",
    "encoding": "hex",
    "prefix": "",
    "message": "{body}",
    "timestamp_header": "",
    "id_header": "",
}


def choices() -> list[tuple[str, str]]:
    return [(key, label) for key, (label, _) in PRESETS.items()]


def fill_in(data: dict[str, Any], change: str) -> None:
    """`signed-as:<sender>`: the fields of the check become those of that sender; its secret stays."""
    verb, _, key = change.partition(":")
    signature = data.get("signature")
    if verb == "signed-as" and key in PRESETS and isinstance(signature, dict):
        signature.update(_BARE | PRESETS[key][1])
