"""The addresses deliveries come to, remembered for moments: an unknown one always asks the database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeGuard

from pydantic import TypeAdapter
from sqlalchemy.exc import SQLAlchemyError

from app.clock import Clock
from app.errors import Unavailable
from app.flows.model import ConnectorTrigger, Trigger, WebhookTrigger
from app.storage.database.db import Database
from app.storage.database.secrets import Vault
from app.storage.flows.hooks import HookFacts, digest, find_hook
from app.storage.flows.subscriptions import open_told, sealed_of_flow

REMEMBERED_S = 2.0
_MOST_REMEMBERED = 10_000
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}", re.ASCII)
_TRIGGER: TypeAdapter[Any] = TypeAdapter(Trigger)


@dataclass(slots=True)
class Address:
    """`trigger` None: the flow starts in another way now.  `secrets`: those that the service agreed
    on with Plumbline itself."""

    facts: HookFacts
    trigger: WebhookTrigger | ConnectorTrigger | None
    until: float
    secrets: tuple[str, ...] = ()


class AddressBook:
    def __init__(self, database: Database, clock: Clock, vault: Vault) -> None:
        self._database = database
        self._vault = vault
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

    def read_secrets(self, address: Address) -> tuple[str, ...]:
        """Reads the secrets from the database; used when the cached ones do not verify."""
        try:
            with self._database.read() as db:
                told = sealed_of_flow(db, address.facts.flow_id)
        except SQLAlchemyError as reason:
            raise Unavailable("The database cannot be read now; nothing was accepted.") from reason
        return self._opened(told)

    def _opened(self, told: list[tuple[str, bytes]]) -> tuple[str, ...]:
        secrets = [open_told(self._vault, *one).secret for one in told]
        return tuple(secret for secret in secrets if secret)

    def _read(self, key: bytes) -> Address | None:
        until = self._clock.monotonic() + REMEMBERED_S
        try:
            with self._database.read() as db:
                facts = find_hook(db, key)
                told = sealed_of_flow(db, facts.flow_id) if _may_be_told(facts) else []
        except SQLAlchemyError as reason:
            raise Unavailable("The database cannot be read now; nothing was accepted.") from reason
        if facts is None:
            self._remembered.pop(key, None)
            return None
        trigger = _TRIGGER.validate_python(facts.trigger)
        wanted = trigger if isinstance(trigger, WebhookTrigger | ConnectorTrigger) else None
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        address = self._remembered[key] = Address(facts, wanted, until, self._opened(told))
        return address


def _may_be_told(facts: HookFacts | None) -> TypeGuard[HookFacts]:
    return facts is not None and facts.trigger.get("kind") == "connector"
