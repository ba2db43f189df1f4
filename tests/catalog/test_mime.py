"""A mail's parts as the message that mail services take."""

from __future__ import annotations

import base64
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

import pytest

from app.catalog.mime import mime
from app.errors import MappingFailed


def read(given: dict[str, Any]) -> EmailMessage:
    return cast(EmailMessage, message_from_bytes(base64.urlsafe_b64decode(mime(given)), policy=default))


def test_a_message_holds_what_was_mapped_in_any_script() -> None:
    message = read({"to": "Ana Silva <ana@example.com>, b@c.de", "subject": "Grüße", "text": "Olá, Ana."})
    assert message["To"] == "Ana Silva <ana@example.com>, b@c.de"
    assert message["Subject"] == "Grüße"
    assert message.get_content().strip() == "Olá, Ana."


def test_text_and_html_go_side_by_side_and_the_same_table_gives_the_same_bytes() -> None:
    given = {"to": "ana@example.com", "subject": "Hi", "text": "Hello", "html": "<b>Hello</b>"}
    kinds = [part.get_content_type() for part in read(given).walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]
    assert mime(given) == mime(dict(given))
    assert read({"to": "ana@example.com", "html": "<b>x</b>"}).get_content_type() == "text/html"


def test_nobody_can_add_a_header_by_a_line_break() -> None:
    message = read(
        {
            "to": "ana@example.com",
            "subject": "Hi\r\nBcc: eve@example.com",
            "in_reply_to": "<a@b>\r\nBcc: x@y.z",
        }
    )
    assert message["Bcc"] is None
    assert message["Subject"] == "Hi Bcc: eve@example.com"
    assert message["In-Reply-To"] == "<a@b>"


@pytest.mark.parametrize("typed", ["ana", "ana@", "ana@example.com\r\nBcc: nobody here"])
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(MappingFailed) as caught:
        mime({"to": typed, "subject": "Hi"})
    assert "is not an email address" in caught.value.sentence
