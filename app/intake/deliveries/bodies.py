"""The body of an inbound request as a JSON document: bounded, and refused with a reason when hostile.

What JSON cannot say exactly is kept as text: integers above 64 bits.  Halves of surrogate pairs, which
some senders make by cutting a text in the middle of an emoji, become the replacement character.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

import orjson
from werkzeug.formparser import FormDataParser

from app.errors import DeliveryRefused
from app.intake.deliveries.bodies_slow import (
    MOST_DEPTH,
    exact_json,
    replaced_surrogates,
    too_deep,
    xml_document,
)
from app.intake.deliveries.forms import gathered

MOST_FIELDS = 200_000
_MOST_FORM_FIELDS = 10_000
_DIGITS = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
_LONG_NUMBER = b"0" * 19
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


@dataclass(slots=True)
class Document:
    """`raw`: the document as JSON bytes; the body itself where that is JSON already."""

    value: Any
    raw: bytes


def read_body(body: bytes, content_type: str, *, query: str = "", encoding: str = "") -> Document:
    """Raises `DeliveryRefused` (400, 413, 415) with a sentence that says what is wrong."""
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    if not body:
        return form_document(query) if query else Document({}, b"{}")
    if encoding.strip().lower() not in ("identity", ""):
        raise DeliveryRefused("The body is compressed; send it without Content-Encoding.", status=415)
    if kind == "application/x-www-form-urlencoded":
        return form_document(_text(body, parameters))
    if kind == "multipart/form-data":
        return _multipart(body, content_type)
    if kind.endswith(("/xml", "+xml")):
        return _xml(body)
    if kind in ("text/plain", "application/octet-stream", ""):
        return _sniffed(body, kind, parameters)
    if kind.endswith(("/json", "+json")) or kind in ("text/javascript", "application/csp-report"):
        return _json(body, parameters)
    if kind in ("text/html", "text/csv"):
        return _kept({"text": _text(body, parameters)})
    raise DeliveryRefused(
        f"A body of the type {kind[:80]} cannot be read. Send JSON, a form, XML or text.", status=415
    )


# ---------------------------------------------------------------------------------------- JSON


def _json(body: bytes, parameters: str = "") -> Document:
    body = _as_utf8(body, parameters)
    _check_shape(body)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as reason:
        return _second_try(body, reason)
    if _LONG_NUMBER in body.translate(_DIGITS) and (exact := exact_json(body)) is not None:
        return _kept(exact)
    return Document(value, body)


def _as_utf8(body: bytes, parameters: str) -> bytes:
    if body.startswith(b"\xef\xbb\xbf"):
        return body[3:]
    charset = _charset(parameters)
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        charset = "utf-16"
    return body if charset in ("", "utf-8", "utf8", "us-ascii") else _decoded(body, charset).encode()


def _second_try(body: bytes, reason: orjson.JSONDecodeError) -> Document:
    """Only for what senders really do; everything else is refused."""
    message = str(reason)
    if "surrogate" in message and (fixed := replaced_surrogates(body)) is not None:
        if too_deep(fixed):
            raise _nested()
        return _kept(fixed)
    raise _not_json(message)


def _not_json(message: str) -> DeliveryRefused:
    if "depth" in message or "recursion" in message:
        return _nested()
    if "infinity" in message:
        return DeliveryRefused("The JSON body holds a number that is too large.")
    place = message.rpartition(": ")[2] if ": line" in message else ""
    what = message.partition(": ")[0]
    return DeliveryRefused(f"The body is not valid JSON: {what}{f', at {place}' if place else ''}.")


def _nested() -> DeliveryRefused:
    return DeliveryRefused(f"The body is nested deeper than {MOST_DEPTH} levels.")


def _check_shape(body: bytes) -> None:
    """Depth and number of values, before anything is built: most bodies pass at the first line.  A
    body whose brackets do not fit together is left to the parser, which says where."""
    if body.count(b"[") + body.count(b"{") <= MOST_DEPTH and len(body) <= MOST_FIELDS:
        return
    bare = b"".join(body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])  # without texts
    if bare.count(b",") > MOST_FIELDS:
        raise DeliveryRefused(f"The body holds more than {MOST_FIELDS:,} values.", status=413)
    brackets = bare.translate(_BRACKETS, _NOT_BRACKETS)
    for _ in range(MOST_DEPTH):
        inner = brackets.replace(b"[]", b"")  # each round takes away the innermost level
        if len(inner) == len(brackets):
            return
        brackets = inner
    if b"[]" in brackets:
        raise _nested()


# ---------------------------------------------------------------------------------------- forms


def form_document(text: str) -> Document:
    """Names and texts, as `gathered` puts them together."""
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, max_num_fields=_MOST_FORM_FIELDS, errors="replace", separator="&"
        )
    except ValueError as reason:
        raise DeliveryRefused(
            f"The form holds more than {_MOST_FORM_FIELDS:,} fields.", status=413
        ) from reason
    return _kept(gathered(pairs))


def _multipart(body: bytes, content_type: str) -> Document:
    """The fields; of a file its name, type and size: a flow works with data, not with files."""
    parser = FormDataParser(
        max_form_memory_size=len(body) + 1, max_form_parts=_MOST_FORM_FIELDS, silent=False
    )
    options = {"boundary": _parameter(content_type, "boundary")}
    if not options["boundary"]:
        raise DeliveryRefused("The multipart body cannot be read: its Content-Type names no boundary.")
    try:
        _, form, files = parser.parse(BytesIO(body), "multipart/form-data", len(body), options)
    except Exception as reason:  # the parser raises ValueError, HTTPException and others of hostile bodies
        raise DeliveryRefused("The multipart body cannot be read: it is cut off or malformed.") from reason
    pairs: list[tuple[str, Any]] = list(form.items(multi=True))
    for name, file in files.items(multi=True):
        size = file.stream.seek(0, 2)
        pairs.append((name, {"filename": file.filename, "content_type": file.content_type, "size": size}))
        file.close()
    return _kept(gathered(pairs))


# ---------------------------------------------------------------------------------- XML and text


def _xml(body: bytes) -> Document:
    value = xml_document(body)
    if too_deep(value):
        raise _nested()
    return _kept(value)


def _sniffed(body: bytes, kind: str, parameters: str) -> Document:
    """Many senders call their JSON plain text, or name no type at all."""
    start = body.lstrip()[:1]
    if start in (b"{", b"["):
        try:
            return _json(body, parameters)
        except DeliveryRefused:
            if kind != "text/plain":
                raise
    if kind == "application/octet-stream":
        raise DeliveryRefused(
            "A binary body cannot be read. Send JSON, a form, XML or text and name it in Content-Type.",
            status=415,
        )
    return _kept({"text": _text(body, parameters)})


def _text(body: bytes, parameters: str) -> str:
    return _decoded(body, _charset(parameters) or "utf-8", lenient=True)


def _charset(parameters: str) -> str:
    return _parameter(";" + parameters, "charset").lower() if parameters else ""


def _parameter(header: str, name: str) -> str:
    found = re.search(rf";\s*{name}\s*=\s*(?:\"([^\"]*)\"|([^\s;]+))", header, re.IGNORECASE)
    return (found[1] or found[2] or "") if found else ""


def _decoded(body: bytes, charset: str, *, lenient: bool = False) -> str:
    try:
        text = body.decode(charset, "replace" if lenient else "strict")
    except LookupError as reason:
        raise DeliveryRefused(f"The character set {charset[:40]} is not known.", status=415) from reason
    except ValueError as reason:
        raise DeliveryRefused(f"The body is not valid {charset[:40]}.") from reason
    if not isinstance(text, str):
        raise DeliveryRefused(f"The character set {charset[:40]} is not known.", status=415)
    return text


def _kept(value: Any) -> Document:
    try:
        return Document(value, orjson.dumps(value))
    except orjson.JSONEncodeError as reason:
        raise DeliveryRefused("The body holds text that is not valid Unicode.") from reason
