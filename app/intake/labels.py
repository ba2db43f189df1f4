"""What a person recognises an event by: an address, a name, an order number."""

from __future__ import annotations

from typing import Any

_MOST = 120
_WHO = ("email", "email_address", "contact_email", "e_mail", "Email", "EMAIL", "mail", "user_email")
_NAME = ("full_name", "name", "display_name", "first_name", "company", "username", "phone")
_WHAT = ("order_number", "number", "order_id", "invoice_number", "ticket_number")
_TITLE = ("title", "subject", "summary", "headline", "event", "event_type", "type", "topic")
_INSIDE = (
    "customer",
    "contact",
    "person",
    "user",
    "subscriber",
    "lead",
    "order",
    "data",
    "object",
    "properties",
    "attributes",
    "profile",
    "payload",
    "body",
    "record",
    "event",
    "fields",
)
_LAST = ("id", "guid", "uuid", "link", "url", "text", "#text")


def label_of(document: Any) -> str:
    """`lena.moreau@example.com · #1042`; empty when the document names nothing."""
    places = _places(document)
    if not places:
        return _tidy(document) if isinstance(document, str | int | float) else ""
    who = _first(places, _WHO) or _first(places, _NAME)
    what = _number(_first(places, _WHAT)) or _first(places, _TITLE)
    label = " · ".join(part for part in (who, what) if part)
    return label[:_MOST] or _first(places, _LAST)


def _places(document: Any) -> list[dict[str, Any]]:
    """The document and the objects in it that usually say who or what it is about."""
    if isinstance(document, list):
        document = document[0] if document else None
    if not isinstance(document, dict):
        return []
    places = [document]
    for key in _INSIDE:
        inner = document.get(key)
        if isinstance(inner, dict):
            places.append(inner)
            if len(places) < 8:
                places += [inner[k] for k in _INSIDE if isinstance(inner.get(k), dict)]
    return places[:12]


def _first(places: list[dict[str, Any]], keys: tuple[str, ...]) -> str:
    for place in places:
        for key in keys:
            value = place.get(key)
            if value is not None and (text := _tidy(value)):
                return text
    return ""


def _tidy(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = value[: 4 * _MOST] if isinstance(value, str) else str(value)
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(text.split())[: _MOST // 2]


def _number(text: str) -> str:
    return f"#{text}" if text[:1].isdigit() else text
