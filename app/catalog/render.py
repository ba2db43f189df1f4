"""From a described request and the data to what is sent; secrets stay placeholders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import re2

from app.catalog.format.definition import BodyKind, Connector, ErrorRule, Limit, Request
from app.catalog.templates import Filler, Scope
from app.errors import MappingFailed
from app.flows.mapping.jsonpath import MISSING
from app.flows.mapping.values import as_text

Rows = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Plan:
    """A request without credentials: what proves who we are is added where it is sent.  `body` None
    with body_kind `none`."""

    method: str
    url: str
    query: Rows
    headers: Rows
    body: Any
    body_kind: BodyKind
    content_type: str
    limits: tuple[Limit, ...]
    errors: tuple[ErrorRule, ...]
    next_on: tuple[int, ...]


def plan(connector: Connector, request: Request, *, scope: Mapping[str, Any]) -> Plan:
    """`scope`: what the templates see, of input, fields, connection, cursor, page.  Raises
    MappingFailed when a value cannot be put where it belongs."""
    whole = _scope(connector, scope)
    headers = _rows(connector.headers_filler, whole) if connector.headers else []
    own = _rows(request.headers_filler, whole) if request.headers else []
    names = {name.lower() for name, _ in own}
    body = _body(request, whole)
    return Plan(
        method=request.method,
        url=(request.at or base_url(connector, whole["connection"])) + _path(request, whole),
        query=_rows(request.query_filler, whole) if request.query else [],
        headers=[row for row in headers if row[0].lower() not in names] + own,
        body=None if body is MISSING else body,
        body_kind="none" if body is MISSING else request.kind_of_body,
        content_type=request.content_type,
        limits=limits_of(connector, request),
        errors=request.errors + connector.errors,
        next_on=request.next_on,
    )


def limits_of(connector: Connector, request: Request) -> tuple[Limit, ...]:
    if request.limits is None:
        return connector.default_limits
    return tuple(limit for limit in connector.limits if limit.key in request.limits)


def base_url(connector: Connector, public: Mapping[str, Any]) -> str:
    """The address this connection's calls begin with.  Raises MappingFailed when the connection's
    own part of it does not have the form the connector asks for."""
    for key, field in connector.base_url_parts:
        value = as_text(public.get(key))
        if field is None or not field.pattern or not fits(field.pattern, value):
            label = field.label if field is not None else key
            raise MappingFailed(
                f"The connection's “{label}” is “{value[:80]}”, which does not look right.",
                field=key,
                remedy="Open the connection and correct it.",
            )
    filled = connector.base_url_filler({"connection": public, "api": _api(connector)})
    return as_text(filled).rstrip("/")


@lru_cache(maxsize=512)
def _pattern(text: str) -> Any:
    return re2.compile(text)


def fits(pattern: str, text: str) -> bool:
    """The whole text, not a part of it."""
    return _pattern(pattern).fullmatch(text.encode("utf-8", "replace").decode()) is not None


def _path(request: Request, scope: Scope) -> str:
    """A path with a gap would be another address: `/contacts/` in place of `/contacts/7`.  `/` alone
    is the base address itself."""
    if request.path == "/":
        return ""
    for reference, fill in request.path_parts:
        text = unquote(as_text(fill(scope)))
        if text.strip() in ("", ".", ".."):
            shown = f"“{text}” cannot be part of an address" if text.strip() else "it is empty"
            raise MappingFailed(
                f"The address of this call needs {reference.text}, but {shown}.",
                field=reference.path[0] if reference.path else reference.root,
                remedy="Map a value into this field.",
            )
    return as_text(request.path_filler(scope))


def _body(request: Request, scope: Scope) -> Any:
    if request.body is None:
        return None
    filled = request.body_filler(scope)
    if filled is not MISSING:
        return filled
    return {} if isinstance(request.body, dict) else [] if isinstance(request.body, list) else MISSING


def _rows(filler: Filler, scope: Scope) -> Rows:
    """A value that is a list is given once per item."""
    filled = filler(scope)
    if filled is MISSING:
        return []
    return [(name, as_text(item)) for name, value in filled.items() for item in _flat(value)]


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [one for item in value for one in _flat(item)]
    return [] if value is None else [value]


def _scope(connector: Connector, scope: Mapping[str, Any]) -> Scope:
    given: Mapping[str, Any] = scope.get("connection") or {}
    hidden = {key: f"{{{{secret:{key}}}}}" for key in connector.secret_keys if key in given}
    return {**scope, "api": _api(connector), "connection": {**given, **hidden}}


def _api(connector: Connector) -> dict[str, str]:
    return {"version": connector.api.version}
