"""What is wrong with a web request that somebody described by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from app.flows.model import HttpRequest, Mapping, NamedMapping
from app.flows.review.notes import Notes

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_SCHEME = re.compile(r"(?i)https?://[^\s/?#]")


def check_request(notes: Notes, part_id: str, request: HttpRequest, extra: frozenset[str]) -> None:
    _address(notes, part_id, request.url.value.strip())
    for kind, rows in (("query", request.query), ("headers", request.headers), ("body", _body_rows(request))):
        _rows(notes, part_id, kind, rows)
    for index, row in enumerate(request.headers):
        if row.name.strip() and not _HEADER.fullmatch(row.name):
            notes.add(
                part_id, f"request.headers.{index}.name", f"'{row.name[:60]}' cannot be the name of a header."
            )
    _body(notes, part_id, request, extra)
    notes.connection(part_id, "request.connection_id", request.connection_id)


def _address(notes: Notes, part_id: str, text: str) -> None:
    place = "request.url"
    if not text:
        notes.add(part_id, place, "Address is empty: it does not say where to send the request.")
    elif not text.startswith("{{") and not _SCHEME.match(text):
        notes.add(part_id, place, f"Address: '{text[:60]}' has to begin with https:// (or http://).")
    elif " " in re.sub(r"\{\{.*?\}\}", "", text):
        notes.add(part_id, place, f"Address: '{text[:60]}' has a space in it.")


def _body_rows(request: HttpRequest) -> list[NamedMapping]:
    return request.body if request.body_kind in ("json", "form", "multipart") else []


def _rows(notes: Notes, part_id: str, kind: str, rows: list[NamedMapping]) -> None:
    for index, row in enumerate(rows):
        if not row.name.strip() and row.mapping.value.strip():
            notes.add(
                part_id,
                f"request.{kind}.{index}.name",
                f"A row of the {_KINDS[kind]} has a value and no name.",
            )


_KINDS = {"query": "query", "headers": "headers", "body": "body"}


def _body(notes: Notes, part_id: str, request: HttpRequest, extra: frozenset[str]) -> None:
    kind, text = request.body_kind, request.body_text.value
    if request.method in ("GET", "HEAD") and kind != "none":
        notes.hint(
            part_id, "request.body_kind", f"Most services ignore the body of a {request.method} request."
        )
    if kind in ("json", "form", "multipart") and not request.body:
        notes.hint(part_id, "request.body", "The body has no fields.")
    if kind == "json_text":
        _json_text(notes, part_id, text, extra)
    elif kind == "raw" and not text.strip():
        notes.hint(part_id, "request.body_text", "The body is empty.")


def _json_text(notes: Notes, part_id: str, text: str, extra: frozenset[str]) -> None:
    place = "request.body_text"
    try:
        document = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        notes.add(
            part_id,
            place,
            f"Body: this is not JSON (line {line}). "
            'References stand inside quotes: {"email": "{{$.email}}"}.',
        )
        return
    except RecursionError:
        notes.add(part_id, place, "Body: the JSON is nested too deeply.")
        return
    for inner in _texts(document):
        notes.mapping(part_id, place, "Body", Mapping(value=inner), extra)


def _texts(document: Any) -> Iterator[str]:
    if isinstance(document, str) and "{{" in document:
        yield document
    elif isinstance(document, dict | list):
        for inner in document.values() if isinstance(document, dict) else document:
            yield from _texts(inner)
