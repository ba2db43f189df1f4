"""How a body is written: JSON, form fields, multipart, plain bytes."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import orjson

from app.errors import MappingFailed

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
_MAX_INDEX = 1000
_MAX_PARTS = 32
_PART = re.compile(r"\\(.)|(\.)|\[(\d{0,6})\]|([^.\[\\]+)|(.)", re.DOTALL)
_QUOTED_NAME = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})

Pairs = list[tuple[str, Any]]


def encode_body(kind: str, value: Any, content_type: str = "") -> tuple[bytes | None, str]:
    """The bytes and their content type.  kind: none | json | form | multipart | raw.
    `value`: any document for json; a dict or rows (name, value) for form and multipart."""
    if kind == "none" or (value is None and kind != "json"):
        return None, ""
    if kind == "json":
        return json_body(value), content_type or JSON
    if kind == "form":
        return form_body(value), FORM
    if kind == "multipart":
        return multipart_body(value)
    body = value if isinstance(value, bytes) else as_text(value).encode("utf-8", "replace")
    return body, content_type or "text/plain; charset=utf-8"


# ---------------------------------------------------------------------------------------- JSON


def json_body(value: Any) -> bytes:
    """Raises MappingFailed for what JSON cannot hold."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except (orjson.JSONEncodeError, RecursionError):
        return _odd_json(value)


def _odd_json(value: Any) -> bytes:
    """Numbers beyond 64 bits and half surrogate pairs, which the fast encoder refuses."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as reason:
        raise MappingFailed(
            f"The body cannot be written as JSON: {reason}.", remedy="Check the values that are mapped here."
        ) from reason
    return text.encode("utf-8", "replace")


def set_at_path(document: dict[str, Any], name: str, value: Any) -> None:
    """Puts a value at a dotted path: `contact.tags[0].name`, `list[]` appends, `a\\.b` is one name.
    Raises MappingFailed where two names claim the same place in different shapes."""
    parts = _parts(name)
    here: Any = document
    for part, following in pairwise(parts):
        here = _step_into(here, part, [] if isinstance(following, int | None) else {}, name)
    _put(here, parts[-1], value, name)


def _parts(name: str) -> list[str | int | None]:
    """Names as str, positions as int, None for "one more"."""
    parts: list[str | int | None] = []
    word = ""
    for escaped, dot, index, plain, other in _PART.findall(name):
        if dot or index or (not (escaped or plain or other)):
            parts, word = ([*parts, word], "") if word else (parts, "")
            if not dot:
                parts.append(_index(index, name))
        else:
            word += escaped or plain or other
    if word:
        parts.append(word)
    if not parts or not isinstance(parts[0], str) or len(parts) > _MAX_PARTS:
        raise MappingFailed(f"“{name}” is not a name for a body field.", field=name)
    return parts


def _index(text: str, name: str) -> int | None:
    if text and int(text) > _MAX_INDEX:
        raise MappingFailed(f"“{name}”: a list may have at most {_MAX_INDEX} places.", field=name)
    return int(text) if text else None


def _step_into(here: Any, part: str | int | None, fresh: Any, name: str) -> Any:
    if isinstance(part, str):
        inner = _named(here, name).setdefault(part, fresh)
    else:
        items = _listed(here, name)
        position = len(items) if part is None else part
        items.extend([None] * (position + 1 - len(items)))
        if items[position] is None:
            items[position] = fresh
        inner = items[position]
    if type(inner) is not type(fresh):
        raise _clash(name)
    return inner


def _put(here: Any, part: str | int | None, value: Any, name: str) -> None:
    if isinstance(part, str):
        _named(here, name)[part] = value
        return
    items = _listed(here, name)
    position = len(items) if part is None else part
    items.extend([None] * (position + 1 - len(items)))
    items[position] = value


def _named(here: Any, name: str) -> dict[str, Any]:
    if not isinstance(here, dict):
        raise _clash(name)
    return here


def _listed(here: Any, name: str) -> list[Any]:
    if not isinstance(here, list):
        raise _clash(name)
    return here


def _clash(name: str) -> MappingFailed:
    return MappingFailed(
        f"The body field “{name}” lies inside another field that already holds a value.",
        field=name,
        remedy="Rename one of the two body fields.",
    )


# --------------------------------------------------------------------------------------- forms


def as_text(value: Any) -> str:
    """A value as a form field, a query parameter or a header writes it."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else json_body(value).decode()


def form_body(value: Any) -> bytes:
    """Nested values in bracket notation: `a[b]=1`, `tags[]=x`, `lines[0][sku]=7`."""
    pairs = [(name, as_text(item)) for name, item in flat_pairs(rows_of(value))]
    return urlencode(pairs, errors="replace").encode()


def rows_of(value: Any) -> Pairs:
    if isinstance(value, dict):
        return [(str(name), item) for name, item in value.items()]
    return [(str(name), item) for name, item in value]


def flat_pairs(rows: Iterable[tuple[str, Any]], depth: int = 0) -> Pairs:
    pairs: Pairs = []
    for name, value in rows:
        if isinstance(value, dict | list) and depth < _MAX_PARTS:
            pairs.extend(flat_pairs(_inner_rows(name, value), depth + 1))
        else:
            pairs.append((name, value))
    return pairs


def _inner_rows(name: str, value: dict[Any, Any] | list[Any]) -> Pairs:
    if isinstance(value, dict):
        return [(f"{name}[{key}]", item) for key, item in value.items()]
    return [
        (f"{name}[{index}]" if isinstance(item, dict | list) else f"{name}[]", item)
        for index, item in enumerate(value)
    ]


# ----------------------------------------------------------------------------------- multipart


def multipart_body(value: Any) -> tuple[bytes, str]:
    """A part per row; a value {filename, content, content_type} is sent as a file."""
    boundary = f"plumbline-{secrets.token_hex(16)}"
    parts = [_part(boundary, name, item) for name, item in rows_of(value)]
    body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
    return body, f"multipart/form-data; boundary={boundary}"


def _part(boundary: str, name: str, value: Any) -> bytes:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
    if isinstance(value, dict) and "filename" in value and "content" in value:
        kind = as_text(value.get("content_type") or "application/octet-stream").translate(_QUOTED_NAME)
        head += f'; filename="{_quoted(as_text(value["filename"]))}"\r\nContent-Type: {kind}'
        value = value["content"]
    content = value if isinstance(value, bytes) else as_text(value).encode("utf-8", "replace")
    return head.encode("utf-8", "replace") + b"\r\n\r\n" + content + b"\r\n"


def _quoted(text: str) -> str:
    return text.translate(_QUOTED_NAME)
