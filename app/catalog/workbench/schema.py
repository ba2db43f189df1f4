"""The format of connector files as JSON Schema, for editors that complete and check while one types."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from app.catalog.format.definition import Action, Connector, Lookup, Trigger
from app.catalog.workbench.cassettes import Cassette

_HEAD = "https://json-schema.org/draft/2020-12/schema"
_OWN_FILES = ("triggers", "actions", "lookups")


def schemas() -> dict[str, dict[str, Any]]:
    """By kind of file: connector, action, trigger, lookup, cassette."""
    connector = Connector.model_json_schema()
    for part in _OWN_FILES:
        connector["properties"].pop(part)
    found = {
        "connector": connector,
        "action": Action.model_json_schema(),
        "trigger": TypeAdapter(Trigger).json_schema(),
        "lookup": Lookup.model_json_schema(),
        "cassette": Cassette.model_json_schema(),
    }
    return {kind: {"$schema": _HEAD, **schema} for kind, schema in found.items()}
