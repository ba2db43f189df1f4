"""From a described request and the data to what is sent; secrets stay placeholders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import re2

from app.catalog.definition import BodyKind, Connector, ErrorRule, Limit, Request
from app.catalog.templates import MISSING, fill, fill_text, references_in
from app.errors import MappingFailed
from app.flows.values import as_text

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
    return Plan(
        method=request.method,
        url=_url(connector, request, whole),
        query=_filled_rows(request.query, whole),
        headers=_filled_rows({**connector.headers, **request.headers}, whole),
        body=_body(request, whole),
        body_kind=request.kind_of_body,
        content_type=request.content_type,
        limits=limits_of(connector, request),
        errors=request.errors + connector.errors,
        next_on=request.next_on,
    )


def _body(request: Request, scope: dict[str, Any]) -> Any:
    if request.body is None:
        return None
    filled = fill(request.body, scope)
    if filled is not MISSING:
        return filled
    return {} if isinstance(request.body, dict) else [] if isinstance(request.body, list) else None


def limits_of(connector: Connector, request: Request) -> tuple[Limit, ...]:
    if request.limits is None:
        return tuple(limit for limit in connector.limits if limit.default)
    return tuple(limit for limit in connector.limits if limit.key in request.limits)


def base_url(connector: Connector, public: Mapping[str, Any]) -> str:
    """The address this connection's calls begin with.  Raises MappingFailed when the connection's
    own part of it does not have the form the connector asks for."""
    _check_fields(connector, public)
    filled = fill_text(connector.api.base_url, {"connection": public, "api": _api(connector)})
    return as_text(filled).rstrip("/")


def _filled_rows(table: Any, scope: dict[str, Any]) -> Rows:
    filled = fill(table, scope)
    return [] if filled is MISSING else rows(filled)


def rows(table: Mapping[str, Any]) -> Rows:
    """A value that is a list is given once per item."""
    return [(name, as_text(item)) for name, value in table.items() for item in _flat(value)]


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [one for item in value for one in _flat(item)]
    return [] if value is None else [value]


def _url(connector: Connector, request: Request, scope: dict[str, Any]) -> str:
    return base_url(connector, scope["connection"]) + _path(request.path, scope)


def _path(template: str, scope: dict[str, Any]) -> str:
    """A path with a gap would be another address: `/contacts/` in place of `/contacts/7`."""
    for reference in references_in(template):
        value = fill_text(reference.text, scope)
        if value is MISSING or as_text(value).strip() == "":
            raise MappingFailed(
                f"{reference.text} is empty, and the address of this call needs it.",
                field=reference.path[0] if reference.path else reference.root,
                remedy="Map a value into this field.",
            )
        if as_text(value) in (".", ".."):
            raise MappingFailed(
                f"“{as_text(value)}” cannot be part of an address.",
                field=reference.path[0] if reference.path else reference.root,
                remedy="Map another value into this field.",
            )
    return as_text(fill_text(template, scope))


def _scope(connector: Connector, scope: Mapping[str, Any]) -> dict[str, Any]:
    given: Mapping[str, Any] = scope.get("connection") or {}
    secret = _secret_fields(connector)
    hidden = {key: f"{{{{secret:{key}}}}}" for key in secret if key in given}
    return {**scope, "api": _api(connector), "connection": {**given, **hidden}}


def _api(connector: Connector) -> dict[str, str]:
    return {"version": connector.api.version, "base_url": connector.api.base_url}


def _secret_fields(connector: Connector) -> frozenset[str]:
    return frozenset(field.key for field in connector.all_fields() if field.secret)


def _check_fields(connector: Connector, public: Mapping[str, Any]) -> None:
    for reference in references_in(connector.api.base_url):
        if reference.root != "connection":
            continue
        key = reference.path[0]
        field = connector.field_of(key)
        value = as_text(public.get(key))
        if field is None or not field.pattern or not _fits(field.pattern, value):
            raise MappingFailed(
                f"The connection's “{field.label if field else key}” is “{value[:80]}”, which does not look "
                "right.",
                field=key,
                remedy="Open the connection and correct it.",
            )


@lru_cache(maxsize=256)
def _pattern(text: str) -> Any:
    return re2.compile(text)


def _fits(pattern: str, value: str) -> bool:
    return cast(Any, _pattern(pattern).fullmatch(value)) is not None
