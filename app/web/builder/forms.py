"""A panel's form and the model: a field's name is its path in the model (`request.query.0.mapping.value`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote, unquote

from pydantic import BaseModel, ValidationError

Data = dict[str, Any]
M = TypeVar("M", bound=BaseModel)

_MOST_FIELDS = 5000
_DEEPEST = 12
# `request.query[]` is in the form even when no row is left: the list is there, and it is empty.
_LIST_MARK = "[]"
_EMPTY_IS_NONE = ("when_empty", "repeat", "every_s")


@dataclass
class Typed(Generic[M]):
    """What a form said: as it was typed (blank rows included), the model it makes, or what is wrong.

    `errors`: a sentence by the name of the field.
    """

    data: Data
    model: M | None = None
    errors: dict[str, str] = field(default_factory=dict)


def field_key(key: str) -> str:
    """A connector's input key as one part of a field's name, dots and all."""
    return quote(key, safe="").replace(".", "%2E")


def nested(pairs: Iterable[tuple[str, str]]) -> Data:
    """The flat pairs of a form as nested data; the last one wins, so that a hidden `0` may stand
    before a tick box."""
    tree: Data = {}
    marks: set[str] = set()
    for name, value in itertools.islice(pairs, _MOST_FIELDS):
        keys = name.removesuffix(_LIST_MARK).split(".")
        if len(keys) > _DEEPEST:
            continue
        if name.endswith(_LIST_MARK):
            marks.add(name)
        _put(tree, keys, {} if name in marks else value.replace("\r\n", "\n"))
    result = _lists(tree, marks)
    return result if isinstance(result, dict) else {}


def _put(tree: Data, keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = tree.setdefault(unquote(key), {})
        if not isinstance(inner, dict):
            return
        tree = inner
    last = unquote(keys[-1])
    if value != {} or last not in tree:
        tree[last] = value


def _lists(value: Any, marks: set[str], path: str = "") -> Any:
    """Dictionaries whose keys are all numbers become lists, in the order of the numbers."""
    if not isinstance(value, dict):
        return value
    if f"{path}{_LIST_MARK}" in marks or (value and all(key.isdecimal() for key in value)):
        rows = sorted((int(key), inner) for key, inner in value.items() if key.isdecimal() and len(key) < 6)
        return [_lists(inner, marks, f"{path}.{number}") for number, inner in rows]
    return {key: _lists(inner, marks, f"{path}.{key}" if path else key) for key, inner in value.items()}


def merged(old: Any, new: Any) -> Any:
    """`new` over `old`: what the form did not show stays as it is; lists are replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: merged(old.get(key), value) for key, value in new.items()}
    return new


def as_model(kind: type[M], data: Data, errors: dict[str, str] | None = None) -> Typed[M]:
    """`errors`: what was found wrong before, where a field of the form is not one of the model's."""
    found = dict(errors or {})
    try:
        model = kind.model_validate(_for_model(data))
    except ValidationError as reason:
        for error in reason.errors(include_url=False):
            found[".".join(str(part) for part in error["loc"])] = _sentence(error)
        return Typed(data, None, found)
    return Typed(data, None if found else model, found)


def _for_model(value: Any) -> Any:
    if isinstance(value, list):
        return [_for_model(row) for row in value if not _is_blank(row)]
    if isinstance(value, dict):
        return {
            key: None if key in _EMPTY_IS_NONE and inner == "" else _for_model(inner)
            for key, inner in value.items()
        }
    return value


def _is_blank(row: Any) -> bool:
    """A row that was added and not filled in yet is no part of the flow."""
    if not isinstance(row, dict) or set(row) - {"name", "mapping"} or "name" not in row:
        return False
    mapping = row.get("mapping")
    value = mapping.get("value", "") if isinstance(mapping, dict) else mapping
    return not str(row["name"] or "").strip() and not value


_SENTENCES = {
    "int_parsing": "Write a whole number. “{value}” is none.",
    "int_from_float": "Write a whole number. “{value}” is none.",
    "float_parsing": "Write a number. “{value}” is none.",
    "greater_than": "This must be more than {gt}. You wrote “{value}”.",
    "greater_than_equal": "This must be at least {ge}. You wrote “{value}”.",
    "less_than": "This must be less than {lt}. You wrote “{value}”.",
    "less_than_equal": "This can be at most {le}. You wrote “{value}”.",
    "literal_error": "“{value}” is not one of the choices.",
    "bool_parsing": "Choose yes or no.",
    "missing": "This is missing.",
    "too_short": "At least one is needed here.",
    "string_too_long": "Write at most {max_length} characters.",
    "string_too_short": "Write something here.",
}


def _sentence(error: Any) -> str:
    shown = str(error.get("input", ""))[:60]
    template = _SENTENCES.get(error["type"], "“{value}” cannot be used here.")
    return template.format(**{"value": shown, **error.get("ctx", {})})


# --------------------------------------------------------------------- rows, added and removed


def change_rows(data: Data, change: str) -> str:
    """Carries out `add:<list>`, `remove:<list>.<number>` or `group:<list of groups>` on what was
    typed; returns the name of the row that the eye should go to."""
    verb, _, path = change.partition(":")
    if verb == "remove":
        parent, _, number = path.rpartition(".")
        return _remove(data, parent, number)
    rows = at(data, path)
    if verb not in ("add", "group") or not isinstance(rows, list):
        return ""
    blank = blank_condition() if ".groups." in path else {"name": "", "mapping": {"value": ""}}
    rows.append([blank_condition()] if verb == "group" else blank)
    return f"{path}.{len(rows) - 1}" + (".0" if verb == "group" else "")


def blank_condition() -> Data:
    return {"left": {"value": ""}, "operator": "equals", "right": {"value": ""}}


def _remove(data: Data, path: str, number: str) -> str:
    rows = at(data, path)
    if not isinstance(rows, list) or not number.isdecimal() or int(number) >= len(rows):
        return ""
    del rows[int(number)]
    if not rows and ".groups." in path:
        groups_path, _, group = path.rpartition(".")
        groups = at(data, groups_path)
        del groups[int(group)]
        if not groups:
            groups.append([blank_condition()])
        return f"{groups_path}.0.0"
    return f"{path}.{max(0, int(number) - 1)}"


def at(data: Any, path: str) -> Any:
    """What lies at a field's name; None where nothing does."""
    for key in path.split("."):
        if isinstance(data, list) and key.isdecimal() and int(key) < len(data):
            data = data[int(key)]
        elif isinstance(data, dict):
            data = data.get(unquote(key))
        else:
            return None
    return data
