"""The events in a document, and the keys by which one that comes again is known."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.errors import DeliveryRefused, MappingFailed
from app.flows.mapping.template import find, first
from app.flows.mapping.values import as_text
from app.intake.deliveries.bodies import Document
from app.intake.deliveries.inbound import Inbound
from app.intake.deliveries.places import value_at
from app.intake.labels import label_of
from app.storage.history.events import Arrival, arrival

MOST_ITEMS = 10_000
NEVER = "none"
_LONGEST_KEY = 200

# What senders name one delivery by, the same on each of their attempts.
_DELIVERY_IDS = (
    "webhook-id",
    "svix-id",
    "x-github-delivery",
    "x-shopify-event-id",
    "x-shopify-webhook-id",
    "x-gitlab-event-uuid",
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


@dataclass(frozen=True, slots=True)
class Reading:
    """How a trigger reads a body: where its records are, which it takes, what tells them apart.
    `dedupe`: a path, `header:Name`, `query:name`, `none`, or '' = by what senders usually name a
    delivery by, `id_header` first."""

    items: str = ""
    dedupe: str = ""
    where: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    id_header: str = ""


def arrivals_of(reading: Reading, inbound: Inbound, document: Document) -> list[Arrival]:
    by_path = "" if reading.dedupe.startswith(("header:", "query:", NEVER)) else reading.dedupe
    sender_key = _sender_key(reading, inbound)
    if not reading.items:
        if not _is_wanted(reading, inbound, document.value):
            return []
        key = _key(by_path, document.value) or sender_key
        return [arrival(document.value, document.raw, label_of(document.value), key)]
    return [
        arrival(
            item,
            orjson.dumps(item),
            label_of(item),
            _key(by_path, item) or (f"{sender_key}#{number}" if sender_key else None),
        )
        for number, item in enumerate(_items(reading.items, document.value))
        if _is_wanted(reading, inbound, item)
    ]


def _is_wanted(reading: Reading, inbound: Inbound, item: Any) -> bool:
    for place, wanted in reading.where.items():
        value = as_text(value_at(place, inbound, item))
        if value not in ((wanted,) if isinstance(wanted, str) else wanted):
            return False
    return True


def _items(path: str, document: Any) -> list[Any]:
    """A path to a list means its entries; a list of one is no list in XML."""
    try:
        found = find(path.removesuffix("[*]") or "$", document)
    except MappingFailed as reason:
        raise DeliveryRefused(f"The records in the body cannot be found: {reason.sentence}") from reason
    items: list[Any] = []
    for value in found:
        items += value if isinstance(value, list) else [] if value is None else [value]
    if len(items) > MOST_ITEMS:
        raise DeliveryRefused(
            f"The body holds {len(items):,} records; at most {MOST_ITEMS:,} are taken at once.", status=413
        )
    return items


def _sender_key(reading: Reading, inbound: Inbound) -> str | None:
    """What the flow says names a delivery, else what senders usually name it by."""
    if reading.dedupe == NEVER:
        return None
    if reading.dedupe.startswith(("header:", "query:")):
        value = value_at(reading.dedupe, inbound)
        return bounded_key(value) if value else None
    for name in (reading.id_header.lower(), *_DELIVERY_IDS):
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
