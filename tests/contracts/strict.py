"""Does a request keep to a vendor's document?  Every violation is named with its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.contracts.documents import Document, Operation, Parameter

_TRUE_FALSE = {"true": True, "false": False}


@dataclass(frozen=True)
class Sent:
    """A request as it goes on the wire."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes | None

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.url).query, keep_blank_values=True)


def violations(
    document: Document, base: str, sent: Sent, *, waived: frozenset[str] = frozenset()
) -> list[str]:
    """`base`: what stands before the document's paths.  `waived`: parameters the document asks for
    although the service has given them up, as `place:name`."""
    path = urlsplit(sent.url).path
    if not path.startswith(base):
        return [f"path: {path} does not begin with {base}"]
    operation = document.find(sent.method, path.removeprefix(base))
    if operation is None:
        return [f"path: {document.name} has no {sent.method} {path.removeprefix(base)}"]
    return [
        *_path(document, operation, path.removeprefix(base)),
        *_named(document, operation, sent, waived),
        *_unknown_query(operation, sent),
        *_security(operation, sent),
        *_body(document, operation, sent),
    ]


def _path(document: Document, operation: Operation, path: str) -> Iterator[str]:
    found = operation.pattern.fullmatch(path)
    assert found is not None
    names = re.findall(r"\{([^}]+)\}", operation.path)
    schemas = {one.name: one.schema for one in operation.parameters if one.place == "path"}
    for name, text in zip(names, found.groups(), strict=True):
        yield from _value(document, f"path/{name}", schemas.get(name, {}), [unquote(text)])


def _named(document: Document, operation: Operation, sent: Sent, waived: frozenset[str]) -> Iterator[str]:
    for one in operation.parameters:
        if one.place == "path":
            continue
        values = _given(one, sent)
        if deep := _deep(one, sent):
            value = _typed(document, one.schema, deep)
            for pointer, words in document.errors(one.schema, value):
                yield f"{one.place}/{one.name}{pointer.rstrip('/')}: {words}"
        elif values:
            yield from _value(document, f"{one.place}/{one.name}", one.schema, values)
        elif one.required and f"{one.place}:{one.name}" not in waived:
            yield f"{one.place}/{one.name}: it is required and missing"


def _given(one: Parameter, sent: Sent) -> list[str]:
    if one.place == "query":
        return [value for name, value in sent.query if name in (one.name, f"{one.name}[]")]
    value = sent.header(one.name)
    return [] if value is None else [value]


def _deep(one: Parameter, sent: Sent) -> Any:
    """`created[gte]=7` is a table, `{"gte": "7"}`."""
    if one.place != "query":
        return None
    rows = [(name, value) for name, value in sent.query if name.startswith(f"{one.name}[")]
    return nested(rows).get(one.name) if rows and not rows[0][0].endswith("[]") else None


def _unknown_query(operation: Operation, sent: Sent) -> Iterator[str]:
    known = {one.name for one in operation.parameters if one.place == "query"}
    for name, _ in sent.query:
        if name.removesuffix("[]") not in known and re.sub(r"(\[[^\]]*\])+$", "", name) not in known:
            yield f"query/{name}: the document has no such parameter"


def _value(document: Document, place: str, schema: Any, texts: list[str]) -> Iterator[str]:
    listed = _as_list(document, schema)
    if listed is not None:
        texts = texts[0].split(",") if len(texts) == 1 else texts
        inner = document.resolved(listed.get("items", {}))
        value: Any = [_coerced(inner, text) for text in texts]
    else:
        value = _coerced(document.resolved(schema), texts[0])
    for pointer, words in document.errors(schema, value):
        yield f"{place}{pointer.rstrip('/')}: {words}"


def _as_list(document: Document, schema: Any) -> dict[str, Any] | None:
    """The schema of a list, also where that is one of several possibilities."""
    found = document.resolved(schema)
    if not isinstance(found, dict):
        return None
    several = found.get("anyOf") or found.get("oneOf") or [found]
    lists = [one for one in map(document.resolved, several) if one.get("type") == "array"]
    return lists[0] if lists else None


def _coerced(schema: Any, text: str) -> Any:
    """A text as the type the schema wants, or left as it is, to fail there."""
    wanted = schema.get("type") if isinstance(schema, dict) else None
    kinds = wanted if isinstance(wanted, list) else [wanted]
    if "boolean" in kinds and text in _TRUE_FALSE:
        return _TRUE_FALSE[text]
    if "integer" in kinds and re.fullmatch(r"-?\d+", text):
        return int(text)
    if "number" in kinds and re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text)
    return text


def _security(operation: Operation, sent: Sent) -> Iterator[str]:
    if operation.security and not any(_is_met(scheme, sent) for scheme in operation.security):
        names = ", ".join(
            f"{one['type']} {one.get('scheme') or one.get('name') or ''}".strip()
            for one in operation.security
        )
        yield f"security: none of these is met: {names}"


def _is_met(scheme: dict[str, Any], sent: Sent) -> bool:
    given = sent.header("Authorization") or ""
    kind, word = scheme["type"], str(scheme.get("scheme", "")).lower()
    if kind == "apiKey":
        if scheme["in"] == "header":
            return bool(sent.header(scheme["name"]))
        return any(name == scheme["name"] and value for name, value in sent.query)
    if kind == "basic" or word == "basic":
        return re.fullmatch(r"Basic [A-Za-z0-9+/]+=*", given) is not None
    return re.fullmatch(r"Bearer \S+", given) is not None


def _body(document: Document, operation: Operation, sent: Sent) -> Iterator[str]:
    described = operation.body
    if sent.body is None:
        if described is not None and described.required:
            yield "body: it is required and missing"
        return
    if described is None:
        yield "body: the document has none here"
        return
    kind = (sent.header("Content-Type") or "").partition(";")[0].strip().lower()
    if kind not in described.schemas:
        yield f"body: {kind or 'no content type'} is none of {', '.join(described.schemas)}"
        return
    schema = described.schemas[kind]
    value = _read(document, schema, kind, sent.body)
    for pointer, words in document.errors(schema, value):
        yield f"body{pointer.rstrip('/')}: {words}"
    yield from _unknown_fields(document, schema, value, "body")


def _read(document: Document, schema: Any, kind: str, body: bytes) -> Any:
    if "json" in kind:
        return json.loads(body)
    rows = _parts(body) if kind == "multipart/form-data" else parse_qsl(body.decode(), keep_blank_values=True)
    return _typed(document, schema, nested(rows))


def _parts(body: bytes) -> list[tuple[str, str]]:
    """The fields of a multipart body; its boundary is its first line."""
    pieces = body.decode().split(body.decode().partition("\r\n")[0])
    found = [re.search(r'name="([^"]*)".*?\r\n\r\n(.*)\r\n$', piece, re.DOTALL) for piece in pieces]
    return [(one[1], one[2]) for one in found if one]


def nested(rows: list[tuple[str, str]]) -> dict[str, Any]:
    """Form fields with brackets as tables and lists: `a[b]=1`, `tags[]=x`, `lines[0][sku]=7`."""
    found: dict[str, Any] = {}
    for name, text in rows:
        first_part, *inner = re.findall(r"[^\[\]]+|\[\]", name)
        here, key = found, first_part
        for part in inner:
            here = here.setdefault(key, {})
            key = str(len(here)) if part == "[]" else part
        here[key] = text if key not in here else [*_listed(here[key]), text]
    return {key: _with_lists(value) for key, value in found.items()}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _with_lists(one) for key, one in value.items()}
    return list(inner.values()) if inner and all(key.isdigit() for key in inner) else inner


def _typed(document: Document, schema: Any, value: Any) -> Any:
    """The texts of a form in the types the schema wants, as far as they can be read so."""
    kinds = _possible(document, schema)
    if isinstance(value, dict):
        tables = [one for one in kinds if "properties" in one or one.get("type") == "object"]
        known = {name: one for table in tables for name, one in table.get("properties", {}).items()}
        return {name: _typed(document, known.get(name, {}), one) for name, one in value.items()}
    if isinstance(value, list):
        items = next((one["items"] for one in kinds if "items" in one), {})
        return [_typed(document, items, one) for one in value]
    for one in kinds:
        typed = _coerced(one, value)
        if not isinstance(typed, str):
            return typed
        if one.get("type") == "array":
            return [_typed(document, one.get("items", {}), value)]
    return value


def _possible(document: Document, schema: Any) -> list[dict[str, Any]]:
    found = document.resolved(schema)
    if not isinstance(found, dict):
        return []
    several = [one for word in ("anyOf", "oneOf", "allOf") for one in found.get(word, [])]
    return [found, *(inner for one in several for inner in _possible(document, one))]


def _unknown_fields(document: Document, schema: Any, value: Any, place: str) -> Iterator[str]:
    """A misspelt field is taken by most schemas, and by most services, without a word."""
    resolved = document.resolved(schema)
    if not isinstance(resolved, dict) or {"allOf", "anyOf", "oneOf"} & set(resolved):
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown_fields(document, resolved.get("items", {}), item, f"{place}/{index}")
    if not isinstance(value, dict) or "properties" not in resolved:
        return
    for name, item in value.items():
        if name in resolved["properties"]:
            yield from _unknown_fields(document, resolved["properties"][name], item, f"{place}/{name}")
        elif "additionalProperties" not in resolved:
            yield f"{place}/{name}: the document has no such field"
