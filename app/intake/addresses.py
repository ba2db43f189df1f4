"""The addresses deliveries come to, remembered for moments: an unknown one always asks the database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy.exc import SQLAlchemyError

from app.clock import Clock
from app.errors import Unavailable
from app.flows.model import ConnectorTrigger, Trigger, WebhookTrigger
from app.storage.db import Database
from app.storage.hooks import HookFacts, digest, find_hook

REMEMBERED_S = 2.0
_MOST_REMEMBERED = 10_000
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}", re.ASCII)
_TRIGGER: TypeAdapter[Any] = TypeAdapter(Trigger)


@dataclass(slots=True)
class Address:
    """`trigger` None: the flow starts in another way now."""

    facts: HookFacts
    trigger: WebhookTrigger | ConnectorTrigger | None
    until: float


class AddressBook:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._remembered: dict[bytes, Address] = {}

    def find(self, token: str) -> Address | None:
        if _TOKEN.fullmatch(token) is None:
            return None
        key = digest(token)
        known = self._remembered.get(key)
        if known is not None and known.until > self._clock.monotonic():
            return known
        return self._read(key)

    def remembers(self, token: str) -> bool:
        """Whether `find` answers without asking the database."""
        known = self._remembered.get(digest(token)) if _TOKEN.fullmatch(token) else None
        return known is not None and known.until > self._clock.monotonic()

    def forget(self, flow_id: str) -> None:
        for key, address in list(self._remembered.items()):
            if address.facts.flow_id == flow_id:
                self._remembered.pop(key, None)

    def _read(self, key: bytes) -> Address | None:
        until = self._clock.monotonic() + REMEMBERED_S
        try:
            with self._database.read() as db:
                facts = find_hook(db, key)
        except SQLAlchemyError as reason:
            raise Unavailable("The database cannot be read now; nothing was accepted.") from reason
        if facts is None:
            self._remembered.pop(key, None)
            return None
        trigger = _TRIGGER.validate_python(facts.trigger)
        wanted = trigger if isinstance(trigger, WebhookTrigger | ConnectorTrigger) else None
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        address = self._remembered[key] = Address(facts, wanted, until)
        return address
