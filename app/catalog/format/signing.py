"""Requests that carry a signature: which parts are signed, with what, and where the result stands."""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import model_validator

from app.catalog.format.auth_fields import AuthBase
from app.catalog.format.values import HeaderName, Key, Model
from app.catalog.templates import TemplateText

PARTS: Final = frozenset(
    (
        *("method", "host", "path", "query", "sorted_query", "url", "body", "body_hash"),
        *("timestamp", "date", "nonce", "headers", "signed_headers", "canonical_hash", "signature"),
    )
)
_PART = re.compile(r"(?<!\$)\{([^{}]*)\}")
TimeFormat = Literal["epoch_s", "epoch_ms", "iso8601", "http", "compact"]


class Stamp(Model):
    """`name` '' = it is signed, but not sent on its own."""

    name: HeaderName | Literal[""] = ""
    location: Literal["header", "query"] = "header"


class TimeStamp(Stamp):
    """`compact` is 20270131T090000Z."""

    format: TimeFormat = "epoch_s"


class HmacAuth(AuthBase):
    """`secret`: the key of the secret field that signs.  `message`: what is signed, put together from
    the parts in braces.  `canonical`: a text whose hash is `{canonical_hash}`.  `derive`: the signing
    key is made in steps, each a text signed with what came before (the first with the secret after
    `secret_prefix`).  `value`: what is sent under `name`.  `headers`: further ones, such as the key's id."""

    type: Literal["hmac"]
    secret: Key
    secret_encoding: Literal["text", "base64", "hex"] = "text"  # noqa: S105 - no password
    secret_prefix: str = ""
    algorithm: Literal["sha256", "sha1", "sha384", "sha512"] = "sha256"
    encoding: Literal["hex", "base64", "base64url"] = "hex"
    derive: tuple[TemplateText, ...] = ()
    canonical: TemplateText = ""
    message: TemplateText
    location: Literal["header", "query"] = "header"
    name: HeaderName = "Authorization"
    value: TemplateText = "{signature}"
    timestamp: TimeStamp | None = None
    nonce: Stamp | None = None
    headers: dict[HeaderName, TemplateText] = {}
    signed_headers: tuple[HeaderName, ...] = ()

    @model_validator(mode="after")
    def _holds_together(self) -> HmacAuth:
        if not any(field.key == self.secret and field.secret for field in self.fields):
            raise ValueError(f"'{self.secret}' is not a secret field of this way to connect")
        signed = (self.message, self.canonical, *self.derive)
        texts = (*signed, self.value, *self.headers.values())
        used = {name for text in texts for name in _PART.findall(text)}
        if strange := sorted(used - PARTS):
            known = ", ".join(sorted(PARTS))
            raise ValueError(f"{{{strange[0]}}} is not part of a request; there is {known}")
        if any("{signature}" in text for text in (*signed, *self.headers.values())):
            raise ValueError("{signature} can only stand in value")
        if used & {"timestamp", "date"} and self.timestamp is None:
            raise ValueError("{timestamp} is used, so timestamp has to say how it is written")
        if "nonce" in used and self.nonce is None:
            raise ValueError("{nonce} is used, so nonce has to say where it is sent")
        if "{signature}" not in self.value:
            raise ValueError("value has to hold {signature}")
        return self
