"""Inputs and connections for any connector, made from what its files say."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from app.calls.connections.book import ConnectionFacts, hosts_of
from app.catalog.format.definition import Action, Connector, InputField, Trigger
from app.catalog.workbench.cassettes import Cassette, cassettes_of

_BY_TYPE: dict[str, Any] = {
    "string": "Spring sale",
    "text": "Hello.\nHow are you?",
    "email": "ana+shop@example.com",
    "url": "https://example.com/page",
    "phone": "+351 210 000 000",
    "number": "12.50",
    "integer": "42",
    "bool": "true",
    "date": "2027-01-31",
    "datetime": "2027-01-31T09:00:00+01:00",
    "json": '{"a": 1}',
    "list": "12, 13",
}
_BY_PATTERN = {
    "[a-z0-9_-]{1,80}": "launch-spring",
    "[a-z]{2,4}[0-9]{1,3}": "us21",
    "[a-z0-9][a-z0-9-]{0,59}": "casa-silva",
}
_FOLDER = Path(__file__).parents[2] / "connectors"
_PUBLIC = {"site": "https://blog.example.com", "username": "ana", "address": "http://demo.example.com:8090"}
EXTRA = {"favourite_colour": "green"}


@cache
def tapes_of(key: str) -> tuple[Cassette, ...]:
    return tuple(tape for _, tape in cassettes_of(_FOLDER / key))


def taped_input(key: str, operation: str) -> dict[str, Any]:
    """The fullest input of the operation's cassettes that were no failure."""
    found = [tape.input for tape in tapes_of(key) if tape.operation == operation and not tape.is_failure]
    return max(found, key=len, default={})


def inputs_of(operation: Action | Trigger, taped: dict[str, Any], *, full: bool) -> dict[str, Any]:
    """All inputs, or the least that may be sent: as in its cassettes, else by their types."""
    chosen = operation.one_of[:1] if isinstance(operation, Action) else ()
    return {
        field.key: taped.get(field.key) or sample_of(field)
        for field in operation.input
        if field.type != "fields" and (full or field.required or field.key in chosen)
    }


def sample_of(field: InputField) -> Any:
    if field.pattern:
        return _BY_PATTERN.get(field.pattern, "abc123")
    if field.choices:
        return field.choices[0]
    return _BY_TYPE.get(field.type, "abc123")


def connection_for(connector: Connector, auth: int = 0) -> ConnectionFacts:
    block = connector.auth[auth]
    taped = {name: text for tape in tapes_of(connector.key) for name, text in tape.connection.items()}
    public: dict[str, str] = {}
    secrets: dict[str, str] = {}
    for field in (*connector.connection_fields, *block.fields, *block.given):
        if field.secret:
            secrets[field.key] = f"secret-of-{field.key}"
        else:
            known = taped.get(field.key) or _PUBLIC.get(field.key) or field.default
            public[field.key] = known or _BY_PATTERN.get(field.pattern or "", "abc123")
    return ConnectionFacts(
        id="con_1",
        connector=connector.key,
        name=f"{connector.name} of Ana",
        auth=block,
        public=public,
        secrets=secrets,
        hosts=hosts_of(connector, public),
    )
