"""The rare bodies: JSON that the fast parser refuses or would round, and XML."""

from __future__ import annotations

import json
from typing import Any
from xml.parsers.expat import ExpatError

import xmltodict

from app.errors import DeliveryRefused

MOST_DEPTH = 64
_MOST_DIGITS = 1000
_MOST_TAGS = 200_000
_LOWEST, _HIGHEST = -(2**63), 2**64 - 1


def exact_json(body: bytes) -> Any | None:
    """With integers beyond 64 bits as texts; None = there are none."""
    rounded = False

    def integer(digits: str) -> int | str:
        nonlocal rounded
        if len(digits) > _MOST_DIGITS:
            raise DeliveryRefused(f"The body holds a number of {len(digits):,} digits.")
        number = int(digits)
        if _LOWEST <= number <= _HIGHEST:
            return number
        rounded = True
        return digits

    value = json.loads(body, parse_int=integer)
    return value if rounded else None


def replaced_surrogates(body: bytes) -> Any | None:
    """None = there is more wrong with it."""
    try:
        value = json.loads(body, parse_constant=_refuse)
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        return json.loads(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def xml_document(body: bytes) -> Any:
    """Attributes as `@name`, text beside them as `#text`; entities are refused."""
    if body.count(b"<") > _MOST_TAGS:
        raise DeliveryRefused(f"The XML body holds more than {_MOST_TAGS:,} tags.", status=413)
    try:
        return xmltodict.parse(body, disable_entities=True)
    except (ExpatError, ValueError, LookupError, RecursionError) as reason:
        text = str(reason)
        why = "entities are not allowed" if "entit" in text.lower() else text
        raise DeliveryRefused(f"The XML body cannot be read: {why}.") from reason


def too_deep(document: Any) -> bool:
    """Walks level by level, so that depth costs no stack."""
    level = [document]
    for _ in range(MOST_DEPTH + 1):
        if not level:
            return False
        level = [inner for value in level for inner in _children(value)]
    return bool(level)


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
