"""What came back from a call, and how its body becomes a document that mappings can read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson
import xmltodict

from app.errors import CallFailed

_MAX_DEPTH = 100  # deeper documents cannot be written to the history
_MANY = 100
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_HIGH_ALONE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})")
_LOW_ALONE = re.compile(r"(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}")


class Unreadable(ValueError):
    """The body is not what it should be; the message goes into a sentence."""


@dataclass(slots=True)
class Answer:
    """`body` is inflated and bounded; `truncated`: the service sent more than we take."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    truncated: bool = False
    duration_ms: int = 0
    host: str = "The service"

    def header(self, name: str, default: str = "") -> str:
        name = name.lower()
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return default

    @property
    def content_type(self) -> str:
        return self.header("content-type").lower()

    def text(self) -> str:
        """Whatever bytes came, some text is returned: unreadable ones become U+FFFD."""
        found = _CHARSET.search(self.content_type)
        try:
            return self.body.decode(found[1] if found else "utf-8-sig", "replace")
        except (LookupError, ValueError):
            return self.body.decode("utf-8", "replace")

    def document(self, parse: str = "auto") -> Any:
        """The body as a JSON document.  `auto` goes by the content type and falls back to text;
        `json` and `xml` raise CallFailed when the body is something else."""
        if not self.body.strip():
            return None
        try:
            return self._read(parse)
        except Unreadable as reason:
            raise self._not_readable(parse, str(reason)) from reason

    def _read(self, parse: str) -> Any:
        if parse == "json":
            return read_json(self.body, self.text)
        if parse == "xml":
            return read_xml(self.body)
        return self.text() if parse == "text" else self._read_by_type()

    def _read_by_type(self) -> Any:
        kind = self.content_type
        try:
            if "json" in kind or (not _names_a_text(kind) and self.body.lstrip()[:1] in (b"{", b"[")):
                return read_json(self.body, self.text)
            if "xml" in kind and "html" not in kind:
                return read_xml(self.body)
            if "x-www-form-urlencoded" in kind:
                return dict(parse_qsl(self.text(), keep_blank_values=True, max_num_fields=10_000))
        except ValueError:
            return self.text()
        return self.text()

    def _not_readable(self, parse: str, reason: str) -> CallFailed:
        """The service did answer, so what was asked of it may well be done: ambiguous."""
        wanted = "JSON" if parse == "json" else "XML"
        got = "a web page (HTML)" if self.looks_like_html() else f"something else ({reason})"
        return CallFailed(
            "unavailable",
            f"{self.host} answered {self.status}, but with {got} instead of {wanted}.",
            remedy="Check the address: it may lead to a sign-in or maintenance page instead of the API.",
            status=self.status,
            ambiguous=True,
        )

    def looks_like_html(self) -> bool:
        start = self.body[:200].lstrip().lower()
        return "html" in self.content_type or start.startswith((b"<!doctype html", b"<html"))


def _names_a_text(kind: str) -> bool:
    return "html" in kind or "csv" in kind


def read_json(body: bytes, text: Any = None) -> Any:
    """Raises Unreadable.  `text`: gives the body as text, for one that is not UTF-8."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = _read_odd_json(text() if text else body.decode("utf-8-sig", "replace"))
    if body.count(b"{") + body.count(b"[") > _MANY:
        _check_depth(document)
    return document


def _read_odd_json(text: str) -> Any:
    """JSON behind a byte order mark, in another charset, or with half a surrogate pair."""
    text = _LOW_ALONE.sub(r"\\ufffd", _HIGH_ALONE.sub(r"\\ufffd", text.lstrip("\ufeff")))
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as reason:
        raise Unreadable(f"line {reason.lineno}, column {reason.colno}: {reason.msg}") from reason


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(_MAX_DEPTH):
        inner: list[Any] = []
        for value in level:
            if type(value) is dict:
                inner.extend(value.values())
            elif type(value) is list:
                inner.extend(value)
        level = [value for value in inner if type(value) is dict or type(value) is list]
        if not level:
            return
    raise Unreadable(f"nested more than {_MAX_DEPTH} deep")


def read_xml(body: bytes) -> Any:
    """Raises Unreadable.  Entities a document declares itself are refused by the parser."""
    try:
        document = xmltodict.parse(body)
    except Exception as reason:  # expat raises its own error and ValueError for entities
        raise Unreadable(f"not XML: {reason}") from reason
    _check_depth(document)
    return document
