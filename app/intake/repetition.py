"""The events in a document, and the keys by which one that comes again is known."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from app.catalog.registry import Registry
from app.errors import DeliveryRefused, MappingFailed
from app.flows.mapping import find, first
from app.flows.model import ConnectorTrigger, WebhookTrigger
from app.intake.bodies import Document
from app.intake.inbound import Inbound
from app.intake.labels import label_of
from app.storage.events import Arrival, arrival

MOST_ITEMS = 10_000
_LONGEST_KEY = 200

# What senders name one delivery by, the same on each of their attempts.
_DELIVERY_IDS = (
    "webhook-id",
    "svix-id",
    "x-github-delivery",
    "x-shopify-event-id",
    "x-shopify-webhook-id",
    "x-gitlab-event-uuid",
    "x-request-uuid",
    "i-twilio-idempotency-token",
    "klaviyo-webhook-id",
    "x-wc-webhook-delivery-id",
    "idempotency-key",
    "x-idempotency-key",
    "x-webhook-id",
    "x-delivery-id",
    "x-event-id",
    "ce-id",
)


def arrivals_of(
    registry: Registry, trigger: WebhookTrigger | ConnectorTrigger, inbound: Inbound, document: Document
) -> list[Arrival]:
    items, dedupe = _paths(registry, trigger)
    sender_key = _header_key(dedupe, inbound)
    path = "" if dedupe.startswith("header:") else dedupe
    if not items:
        key = _key(path, document.value) or sender_key
        return [arrival(document.value, document.raw, label_of(document.value), key)]
    found = _items(items, document.value)
    return [
        arrival(
            item,
            orjson.dumps(item),
            label_of(item),
            _key(path, item) or (f"{sender_key}#{number}" if sender_key else None),
        )
        for number, item in enumerate(found)
    ]


def _paths(registry: Registry, trigger: WebhookTrigger | ConnectorTrigger) -> tuple[str, str]:
    if isinstance(trigger, WebhookTrigger):
        return trigger.items, trigger.dedupe
    found = registry.find_trigger(trigger.connector, trigger.trigger)
    return getattr(found, "items", ""), getattr(found, "dedupe", "")


def _items(path: str, document: Any) -> list[Any]:
    try:
        found = find(path, document)
    except MappingFailed as reason:
        raise DeliveryRefused(f"The records in the body cannot be found: {reason.sentence}") from reason
    if len(found) == 1 and isinstance(found[0], list):  # `$.items` says the same as `$.items[*]`
        found = found[0]
    if len(found) > MOST_ITEMS:
        raise DeliveryRefused(
            f"The body holds {len(found):,} records; at most {MOST_ITEMS:,} are taken at once.", status=413
        )
    return found


def _header_key(dedupe: str, inbound: Inbound) -> str | None:
    names = (dedupe[7:].strip().lower(),) if dedupe.startswith("header:") else _DELIVERY_IDS
    for name in names:
        if value := inbound.by_name.get(name):
            return bounded_key(value)
    return None


def _key(path: str, document: Any) -> str | None:
    """None where the document has nothing there: an event without a key is never a repetition."""
    if not path:
        return None
    try:
        value = first(path, document)
    except MappingFailed:
        return None
    return None if value is None or value == "" else bounded_key(key_text(value))


def key_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def bounded_key(text: str) -> str:
    if len(text) <= _LONGEST_KEY and text.isprintable():
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
