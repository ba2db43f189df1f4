"""One inbound request while it is looked at, and what is answered to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from app.calls.connections.secrets import HIDDEN, NO_SECRETS, is_secret_header, shown_url
from app.errors import DeliveryRefused
from app.intake.deliveries.bodies import Document
from app.states import DeliveryOutcome
from app.storage.database.writer import Row
from app.storage.history.events import delivery_row

_MOST_HEADERS = 100
_LONGEST_HEADER = 4000
_LONGEST_QUERY = 16_000
KEPT_OF_REFUSED = 64 * 1024


@dataclass(slots=True)
class Inbound:
    """`by_name`: headers by their name in small letters; of a repeated one the last."""

    delivery_id: str
    received_at: datetime
    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    remote_addr: str
    by_name: dict[str, str] = field(default_factory=dict)
    document: Document | None = None  # once it was read
    shown: list[tuple[str, str]] | None = None

    @property
    def content_type(self) -> str:
        return self.by_name.get("content-type", "")

    def shown_headers(self) -> list[tuple[str, str]]:
        """As the history keeps them: without secrets."""
        if self.shown is None:
            self.shown = [
                (clean(name), HIDDEN if _is_hidden(name) else clean(value[:_LONGEST_HEADER]))
                for name, value in self.headers[:_MOST_HEADERS]
            ]
        return self.shown

    def shown_query(self) -> str:
        return shown_url("?" + clean(self.query[:_LONGEST_QUERY]), NO_SECRETS)[1:] if self.query else ""

    def row(self, flow_id: str, *, outcome: DeliveryOutcome, body: bytes | None, reason: str = "") -> Row:
        return delivery_row(
            delivery_id=self.delivery_id,
            flow_id=flow_id,
            received_at=self.received_at,
            method=clean(self.method[:20]),
            query=self.shown_query(),
            content_type=clean(self.content_type[:200]),
            headers=self.shown_headers(),
            body=body,
            body_size=len(self.body),
            remote_addr=clean(self.remote_addr[:100]),
            outcome=outcome,
            reason=reason,
        )


@dataclass(slots=True)
class Accepted:
    """`state`: accepted | duplicate | sample | handshake.  `reply`: a service's own answer to its
    handshake, with its content type.  `secret`: what it said it signs with from now on."""

    status: int
    delivery_id: str = ""
    event_ids: list[str] = field(default_factory=list)
    duplicate: bool = False
    state: DeliveryOutcome = "accepted"
    reply: bytes | None = None
    reply_type: str = "text/plain; charset=utf-8"
    reply_headers: dict[str, str] = field(default_factory=dict)
    secret: str = field(default="", repr=False)

    def document(self) -> dict[str, Any]:
        return {"status": self.state, "delivery": self.delivery_id, "events": self.event_ids}


class MethodRefused(DeliveryRefused):
    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        super().__init__(f"This address takes {' and '.join(allowed)}, not {method[:20]}.", status=405)
        self.allowed = allowed


@lru_cache(4096)
def _is_hidden(name: str) -> bool:
    """Signatures too: with the body they would let anybody try secrets."""
    lowered = name.lower()
    return is_secret_header(name) or "signature" in lowered or "hmac" in lowered


def clean(text: str) -> str:
    """Text that every database takes: no NUL, no half surrogates."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "").encode("utf-8", "replace").decode()
