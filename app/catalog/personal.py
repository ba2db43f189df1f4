"""Personal data as advertising services take it: brought into one form, then hashed, so that both
sides find the same person without either telling who it is."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from app.errors import MappingFailed
from app.flows.mapping.jsonpath import MISSING
from app.flows.mapping.values import as_text

_IS_HASH = re.compile(r"[0-9a-f]{64}")
_NO_DIGIT = re.compile(r"\D")
_FEWEST_DIGITS, _MOST_DIGITS = 7, 15
_DOTLESS = ("gmail.com", "googlemail.com")


def sha256(value: Any) -> Any:
    """In hex.  What is a hash already stays one; of nothing there is none, or all who lack the value
    would look like the same person."""
    text = as_text(value).strip()
    if not text:
        return MISSING
    if _IS_HASH.fullmatch(text.lower()):
        return text.lower()
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def plain_email(value: Any) -> str:
    return as_text(value).strip().lower()


def google_email(value: Any) -> str:
    """Google's own mailboxes know no dots before the @."""
    local, at, domain = plain_email(value).rpartition("@")
    return f"{local.replace('.', '')}@{domain}" if at and domain in _DOTLESS else f"{local}{at}{domain}"


def e164(value: Any) -> str:
    """`+` and all digits, the country's first.  A number without its country is refused: whose it is
    would be a guess."""
    text = as_text(value).strip()
    if not text or _IS_HASH.fullmatch(text.lower()):
        return text
    digits = _NO_DIGIT.sub("", text.replace("(0)", ""))
    has_country = text.startswith("+") or digits.startswith("00")
    digits = digits.lstrip("0") if has_country else digits
    if digits.startswith("0") or not _FEWEST_DIGITS <= len(digits) <= _MOST_DIGITS:
        raise MappingFailed(
            f"“{text[:40]}” is not a phone number with a country code.",
            remedy="Map a number such as +43 664 123456.",
        )
    return f"+{digits}"


def digits(value: Any) -> str:
    """A phone number as Meta takes it: like `e164`, without the plus."""
    return e164(value).removeprefix("+")


def plain(value: Any) -> str:
    """Letters and digits of any script, in small letters."""
    return "".join(sign for sign in as_text(value).lower() if sign.isalnum())
