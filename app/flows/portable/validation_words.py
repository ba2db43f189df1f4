"""What is wrong with a flow's data, as a sentence: the place, the value, what would be right."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from app.flows.near import nearest_hint

_TYPES = {
    "string": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a table of names and values",
    "model": "a table of names and values",
    "dataclass": "a table of names and values",
}
_LIMITS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def first_error(error: ValidationError, data: Any, kind: type[BaseModel]) -> tuple[str, str]:
    """(place, sentence) of the error that says most."""
    errors = error.errors(include_url=False, include_context=True)
    found = min(errors, key=lambda one: (one["type"] != "extra_forbidden", -len(one["loc"])))
    keys, holder = _followed(found["loc"], data)
    place = ".".join(keys)
    return place, _sentence(found, keys[-1] if keys else "", holder, _known_names(found, kind))


def _followed(location: Iterable[int | str], data: Any) -> tuple[list[str], Any]:
    """The keys as a person counts, a step by its id; the tags of unions are no keys."""
    keys: list[str] = []
    here, holder = data, data
    pending = list(location)
    for position, key in enumerate(pending):
        if isinstance(key, int) and isinstance(here, list) and key < len(here):
            holder, here = here, here[key]
            keys.append(_item_name(here, key))
        elif isinstance(here, dict) and key in here:
            holder, here = here, here[key]
            keys.append(str(key))
        elif position == len(pending) - 1 and isinstance(here, dict):
            holder = here
            keys.append(str(key))
    return keys, holder


def _item_name(item: Any, index: int) -> str:
    id_ = item.get("id") if isinstance(item, dict) else None
    return id_[:48] if isinstance(id_, str) and id_ else str(index + 1)


def _known_names(found: Any, kind: type[BaseModel]) -> list[str]:
    """The fields of the model in which an unknown one was met."""
    model: Any = kind
    for key in found["loc"][:-1]:
        model = _inner(model, key) or model
    fields = getattr(model, "model_fields", {})
    return list(fields)


def _inner(model: Any, key: int | str) -> Any:
    for candidate in _models(model):
        fields = candidate.model_fields
        if key in fields:
            return fields[key].annotation
        if "kind" in fields and fields["kind"].default == key:
            return candidate
    return None


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _sentence(found: Any, key: str, holder: Any, known: list[str]) -> str:
    kind, context = found["type"], found.get("ctx", {})
    value = found.get("input")
    if kind == "missing":
        return f"'{key}' is missing."
    if kind == "extra_forbidden":
        return f"'{key}' is not known here. {nearest_hint(key, known, 'There is')}".rstrip()
    if kind in ("literal_error", "union_tag_invalid"):
        wrong = context.get("tag", value)
        expected = str(context.get("expected") or context.get("expected_tags")).replace(" or ", ", ")
        return f"{_shown(wrong)} is not one of {expected}."
    if kind == "union_tag_not_found":
        return "'kind' is missing: it says what kind of step or trigger this is."
    if kind == "string_pattern_mismatch":
        return f"{_shown(value)} is no id: small letters, digits and _ only, such as s1."
    return _about_value(kind, value, context)


def _about_value(kind: str, value: Any, context: dict[str, Any]) -> str:
    if kind in _LIMITS:
        words, name = _LIMITS[kind]
        return f"{_shown(value)} is out of range: it has to be {words} {context[name]}."
    if kind in ("string_too_short", "too_short"):
        return "it is empty, and has to hold something."
    if kind in ("string_too_long", "too_long"):
        return f"it is longer than {context.get('max_length')}."
    for name, words in _TYPES.items():
        if kind.startswith(name):
            return f"{_shown(value)} is not {words}."
    return f"{_shown(value)} cannot stand here."


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "a table"
    text = "nothing" if value is None else str(value)
    return f"'{text[:60]}'"
