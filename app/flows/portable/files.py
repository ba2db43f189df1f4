"""Flows as data and as files: written without what goes without saying, read with errors in sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from app.errors import FlowInvalid
from app.flows.model import FlowDefinition, Mapping, Model
from app.flows.portable.changes import diff
from app.flows.portable.file_text import read_text, write_text
from app.flows.portable.validation_words import first_error

__all__ = [
    "FileConnection",
    "FlowFile",
    "connection_ids",
    "diff",
    "dump",
    "from_text",
    "load",
    "to_text",
    "with_connections",
]

_ALWAYS = frozenset({"kind", "id", "format"})
_LIMIT_NESTING = 60


@dataclass(frozen=True, slots=True)
class FileConnection:
    """What a file says of a connection: never its secrets."""

    connector: str
    name: str


@dataclass(frozen=True, slots=True)
class FlowFile:
    """`connections`: by the names that `connection_id` has in this file."""

    definition: FlowDefinition
    connections: dict[str, FileConnection] = field(default_factory=dict)


# ----------------------------------------------------------------------------------------- data


def dump(definition: FlowDefinition) -> dict[str, Any]:
    """Without defaults; a mapping without a rule is its bare text."""
    return cast(dict[str, Any], _plain(definition))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping) and not value.when_empty and not value.default:
        return value.value
    if isinstance(value, BaseModel):
        return {
            name: _plain(inner)
            for name, info in type(value).model_fields.items()
            if (inner := getattr(value, name)) != info.get_default(call_default_factory=True)
            or name in _ALWAYS
        }
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def load(data: Any, *, where: str = "") -> FlowDefinition:
    """FlowInvalid names `where`, the place in the flow, and the reason."""
    return _valid(FlowDefinition, data, where)


def _valid(kind: type[FlowDefinition], data: Any, where: str) -> FlowDefinition:
    if not isinstance(data, dict):
        raise FlowInvalid("this is not a flow: it has no name and no trigger.", where=where)
    if _nesting(data) > _LIMIT_NESTING:
        raise FlowInvalid("paths and loops lie too deep in each other.", where=where)
    if data.get("format", 1) != 1:
        raise FlowInvalid(
            f"the format {str(data['format'])[:20]!r} is not known here.",
            where=where,
            remedy="It was written by a newer release. Update this one, or export the flow again.",
        )
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        place, sentence = first_error(error, data, kind)
        raise FlowInvalid(sentence, where=": ".join(part for part in (where, place) if part)) from None


def _nesting(data: Any) -> int:
    """Counted level by level, so that no depth can break the counting."""
    levels, layer = 0, [data]
    while layer and levels <= _LIMIT_NESTING:
        layer = [
            inner
            for value in layer
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        levels += 1
    return levels


# ---------------------------------------------------------------------------------------- files


def to_text(
    definition: FlowDefinition,
    connections: MappingOf[str, FileConnection | MappingOf[str, str]] | None = None,
) -> str:
    """The flow as YAML.  Connections go by readable names in it, listed under `connections`."""
    known = {id_: _as_connection(facts) for id_, facts in (connections or {}).items()}
    used = [id_ for id_ in connection_ids(definition) if id_ in known]
    names = _file_names(used, known)
    kept = {id_: names.get(id_, id_) for id_ in connection_ids(definition)}
    data = dump(with_connections(definition, kept))
    if used:
        data["connections"] = {
            names[id_]: {"connector": known[id_].connector, "name": known[id_].name} for id_ in used
        }
    return write_text(data)


def _as_connection(facts: FileConnection | MappingOf[str, str]) -> FileConnection:
    return facts if isinstance(facts, FileConnection) else FileConnection(facts["connector"], facts["name"])


def _file_names(ids: list[str], known: dict[str, FileConnection]) -> dict[str, str]:
    names: dict[str, str] = {}
    for id_ in ids:
        base = (
            re.sub(r"[^a-z0-9]+", "_", known[id_].name.lower()).strip("_")
            or known[id_].connector
            or "connection"
        )
        name, number = base, 2
        while name in names.values():
            name, number = f"{base}_{number}", number + 1
        names[id_] = name
    return names


def from_text(text: str, file: str = "") -> list[FlowFile]:
    """YAML or JSON: one flow, or a list of flows.  FlowInvalid names the file, place and reason."""
    data = read_text(text, file)
    if not isinstance(data, list):
        return [_flow_file(data, file)]
    if not data:
        raise FlowInvalid("the file holds no flow.", where=file)
    return [_flow_file(one, f"{file}, flow {number}") for number, one in enumerate(data, start=1)]


def _flow_file(data: Any, where: str) -> FlowFile:
    if not isinstance(data, dict):
        raise FlowInvalid("this is not a flow: it has no name and no trigger.", where=where)
    connections = _connections(data.get("connections"), where)
    definition = load({key: value for key, value in data.items() if key != "connections"}, where=where)
    for id_ in connection_ids(definition):
        if id_ not in connections:
            raise FlowInvalid(
                f"the connection '{id_}' is used, but not listed under connections.",
                where=where,
                remedy=f"Add `{id_}: {{connector: …, name: …}}` under `connections`.",
            )
    return FlowFile(definition, connections)


def _connections(data: Any, where: str) -> dict[str, FileConnection]:
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise FlowInvalid("connections has to be a table of names.", where=where)
    found = {}
    for name, facts in data.items():
        given = isinstance(facts, dict) and {"connector"} <= set(facts) <= {"connector", "name"}
        if not given or not all(isinstance(fact, str) for fact in facts.values()):
            raise FlowInvalid(
                "a connection has a `connector` and a `name`, and nothing else.",
                where=f"{where}: connections.{name}" if where else f"connections.{name}",
                remedy="Secrets never stand in a flow file; they are entered under Connections.",
            )
        found[str(name)] = FileConnection(facts["connector"], facts.get("name", str(name)))
    return found


# ---------------------------------------------------------------------------------- connections


def connection_ids(definition: FlowDefinition) -> list[str]:
    """Every connection the flow uses, each once, in the order of the flow."""
    found: list[str] = []
    _changed(definition, lambda id_: found.append(id_) or id_)  # type: ignore[func-returns-value]
    return list(dict.fromkeys(found))


def with_connections(definition: FlowDefinition, ids: MappingOf[str, str]) -> FlowDefinition:
    """The flow with other connections; one that is not in `ids` has to be picked again."""
    return cast(FlowDefinition, _changed(definition, lambda id_: ids.get(id_, "")))


def _changed(value: Any, change: Any) -> Any:
    if isinstance(value, Model):
        updates = {}
        for name in type(value).model_fields:
            old = getattr(value, name)
            new = change(old) if name == "connection_id" and old else _changed(old, change)
            if new is not old:
                updates[name] = new
        return value.model_copy(update=updates) if updates else value
    if isinstance(value, list) and value and isinstance(value[0], Model | list):
        new_items = [_changed(item, change) for item in value]
        return new_items if any(new is not old for new, old in zip(new_items, value, strict=True)) else value
    return value
