"""Names that other people gave, as keys and labels of ours."""

from __future__ import annotations

import re
import unicodedata
from html import unescape

_LONGEST_KEY = 48
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_SHORT = {"id": "ID", "ids": "IDs", "url": "URL", "uri": "URI", "api": "API", "sms": "SMS", "utm": "UTM"}
_SHORT |= {"html": "HTML", "json": "JSON", "ip": "IP", "crm": "CRM", "vat": "VAT", "sku": "SKU", "pdf": "PDF"}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def key_of(text: str, taken: set[str] | dict[str, object], otherwise: str = "field") -> str:
    """A key that nobody has yet: `contactEmail` becomes `contact_email`."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "_", _CAMEL.sub("_", plain).lower()).strip("_")
    if not words or not words[0].isalpha():
        words = f"{otherwise}_{words}".strip("_")
    words = words if len(words) > 1 else f"{words}_{otherwise}"
    words = words[:_LONGEST_KEY].rstrip("_")
    number, key = 2, words
    while key in taken:
        key = f"{words[: _LONGEST_KEY - 1 - len(str(number))]}_{number}"
        number += 1
    return key


def label_of(name: str) -> str:
    """`line_items[0].first_name` → “Line items 0 first name”; `hapikey` stays one word."""
    words = [one for one in re.split(r"[^\w]+|_+", _CAMEL.sub(" ", name)) if one]
    shown = [
        _SHORT.get(word.lower(), word if word.isupper() and len(word) > 1 else word.lower()) for word in words
    ]
    text = " ".join(shown).strip()[:120]
    return text[:1].upper() + text[1:] if text else "Value"


def plain_text(text: object, longest: int = 300) -> str:
    """Markdown and HTML as a plain sentence or two."""
    words = _CONTROL.sub(" ", str(text)) if isinstance(text, str) else ""
    words = re.sub(r"<[^<>]{0,300}>", " ", words[:8_000])
    words = re.sub(r"!?\[([^\[\]]{0,300})\]\([^()\s]{0,500}\)", r"\1", words)
    words = re.sub(r"[`*]+|^#+\s*", "", words)
    words = re.sub(r"\s+", " ", unescape(words)).strip()
    if len(words) <= longest:
        return words
    cut = words[:longest]
    end = cut.rfind(". ")
    return cut[: end + 1] if end > longest // 3 else cut[: longest - 1].rsplit(" ", 1)[0] + "…"


def clean(text: str) -> str:
    """Without what a file or a page could stumble over."""
    return _CONTROL.sub(" ", text)
