"""What a lookup's answer says: the choices of a dropdown, or the account's own fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.catalog.format.definition import FieldType, Lookup, LookupFields
from app.catalog.sheets import columns_of
from app.catalog.templates import fill
from app.flows.mapping.jsonpath import find, first
from app.flows.mapping.values import as_text

_MOST = 5_000
_NOTHING: Mapping[str, Any] = {}
_MOST_CHOICES = 1_000


@dataclass(frozen=True, slots=True)
class Option:
    value: str
    label: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class FoundField:
    """A field only this account has.  `choices`: (value, label)."""

    key: str
    label: str
    type: FieldType = "string"
    help: str = ""
    choices: tuple[tuple[str, str], ...] = ()


def lookup_items(lookup: Lookup, document: Any) -> list[Any]:
    """The items of one page, before `where`; `$.lists` says the same as `$.lists[*]`."""
    found = find(lookup.items, document)
    if len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    return columns_of(found[:_MOST]) if lookup.table else found[:_MOST]


def _wanted_items(lookup: Lookup, document: Any, values: Mapping[str, Any]) -> list[Any]:
    where = {path: fill(value, {"input": values}) for path, value in lookup.where.items()}
    found = [item for item in lookup_items(lookup, document) if _is_wanted(where, item)]
    if lookup.inner:
        found = [inner for item in found for inner in find(lookup.inner, item)]
    return found[:_MOST]


def _is_wanted(where: Mapping[str, Any], item: Any) -> bool:
    return all(_same(first(path, item), value) for path, value in where.items())


def _same(found: Any, value: Any) -> bool:
    return bool(found == value) and isinstance(found, bool) == isinstance(value, bool)


def read_options(lookup: Lookup, document: Any, values: Mapping[str, Any] = _NOTHING) -> list[Option]:
    """Empty for a lookup of fields; an item without a value is left out.  `values`: the inputs the
    lookup needs."""
    described = lookup.options
    if described is None:
        return []
    found = []
    for item in _wanted_items(lookup, document, values):
        value = as_text(first(described.value, item))
        label = as_text(first(described.label, item)) or value
        note = as_text(first(described.note, item)) if described.note else ""
        if value:
            found.append(Option(value, label, note))
    return found


def read_fields(lookup: Lookup, document: Any, values: Mapping[str, Any] = _NOTHING) -> list[FoundField]:
    described = lookup.fields
    if described is None:
        return []
    found = [_field(described, item) for item in _wanted_items(lookup, document, values)]
    return [field for field in found if field.key]


def _field(described: LookupFields, item: Any) -> FoundField:
    key = as_text(first(described.key, item))
    kind: FieldType = "string"
    if described.type is not None:
        kind = described.type.map.get(as_text(first(described.type.path, item)), "string")
    choices = _choices(described, item)
    return FoundField(
        key=key,
        label=as_text(first(described.label, item)) or key,
        type=kind if choices or kind != "choice" else "string",
        help=as_text(first(described.help, item)) if described.help else "",
        choices=choices,
    )


def _choices(described: LookupFields, item: Any) -> tuple[tuple[str, str], ...]:
    if described.choices is None:
        return ()
    listed = find(described.choices.items, item)[:_MOST_CHOICES]
    pairs = [
        (as_text(first(described.choices.value, one)), as_text(first(described.choices.label, one)))
        for one in listed
    ]
    return tuple((value, label or value) for value, label in pairs if value)
