"""A table of a mail's parts as the message that mail services take: RFC 5322, in base64url."""

from __future__ import annotations

import base64
import hashlib
import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import getaddresses
from typing import Any

from app.errors import MappingFailed
from app.flows.mapping.values import as_text

_PEOPLE = {"from": "From", "to": "To", "cc": "Cc", "bcc": "Bcc", "reply_to": "Reply-To"}
_REFERENCES = {"in_reply_to": "In-Reply-To", "references": "References"}
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,250}>")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
_LONGEST_SUBJECT = 900


def mime(value: Any) -> str:
    """`{from, to, cc, bcc, reply_to, subject, text, html, in_reply_to, references}`; all but `to` may
    be missing.  The same table gives the same bytes."""
    given = value if isinstance(value, dict) else {}
    message = EmailMessage(policy=SMTP)
    for key, name in _PEOPLE.items():
        if people := _people(as_text(given.get(key)), name):
            message[name] = people
    message["Subject"] = " ".join(as_text(given.get("subject")).split())[:_LONGEST_SUBJECT]
    for key, name in _REFERENCES.items():
        if found := _MESSAGE_ID.findall(as_text(given.get(key))):
            message[name] = " ".join(found)
    _fill(message, as_text(given.get("text")), as_text(given.get("html")))
    return base64.urlsafe_b64encode(message.as_bytes()).decode()


def _fill(message: EmailMessage, text: str, html: str) -> None:
    if text or not html:
        message.set_content(text, cte="base64")
    if html and not text:
        message.set_content(html, subtype="html", cte="base64")
    elif html:
        message.add_alternative(html, subtype="html", cte="base64")
        message.set_boundary(
            "=_" + hashlib.sha256(f"{text}\0{html}".encode("utf-8", "replace")).hexdigest()[:40]
        )


def _people(text: str, field: str) -> list[Address]:
    """Line breaks end a header, so they separate people; what is no address is refused."""
    people = []
    for name, address in getaddresses([re.sub(r"[\r\n;]+", ",", text)]):
        if not name and not address:
            continue
        try:
            people.append(Address(display_name=name, addr_spec=address))
        except (ValueError, IndexError) as reason:
            raise _no_address(address or name, field) from reason
        if not _ADDRESS.fullmatch(address):
            raise _no_address(address, field)
    if not people and text.strip(" ,;\r\n"):
        raise _no_address(text, field)
    return people


def _no_address(text: str, field: str) -> MappingFailed:
    return MappingFailed(
        f"“{text[:80]}” in the field {field} is not an email address.",
        remedy="Map an address such as ada@example.com.",
    )
