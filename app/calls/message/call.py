"""One call as data: what is to be sent, checked and made ready in one form with secrets for the wire and
one without for the history; and what came back, with its body as a document that mappings can read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urljoin

import httpx
import orjson
import xmltodict

from app.calls.connections.secrets import (
    HIDDEN,
    NO_SECRETS,
    Origin,
    Placed,
    Scrubber,
    check_home,
    fill_body,
    fill_text,
    fill_url,
    hide_parameters,
    holds_placeholder,
    is_secret_header,
)
from app.calls.connections.signing import ToSign, sign
from app.catalog.format.auth import HmacAuth
from app.catalog.format.definition import Limit
from app.errors import CallFailed

if TYPE_CHECKING:
    from app.calls.connections.book import ConnectionFacts


Headers = list[tuple[str, str]]

AGENT = "Plumbline/0.1"
IDEMPOTENCY_HEADER = "Idempotency-Key"
READS = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_LONGEST_URL = 16_384
_OWN_HEADERS = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect")
)
_START = re.compile(r"(https?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_SCHEME = re.compile(r"\s*([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_PLAIN_REST = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@/%?\[\]]*")
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]*")
_BAD_SIGNS = re.compile(r"[\x00-\x20\x7f\\]")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_BAD_VALUE = re.compile(r"[\r\n\x00]")


@dataclass(slots=True)
class CallRequest:
    """`idempotency_header` '' = the service takes no key.  `expects` json: an answer that is no JSON
    is a failure.  `limits`: the windows this call counts in.  `secrets`: those of this call alone, which
    its connection does not know."""

    method: str
    url: str
    query: Sequence[tuple[str, str]] = ()
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    content_type: str = ""
    connection: ConnectionFacts | None = None
    idempotency_key: str | None = None
    timeout_s: float = 30
    follow_redirects: bool = False
    limits: tuple[Limit, ...] = ()
    step_sentence: str = ""
    idempotency_header: str = IDEMPOTENCY_HEADER
    expects: str = ""
    secrets: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(slots=True)
class Ready:
    """`secret_headers`: names that must not follow a redirect to another origin."""

    method: str
    origin: Origin
    url: str
    headers: Headers
    body: bytes | None
    url_shown: str
    headers_shown: Headers
    scrubber: Scrubber
    body_is_secret: bool = False
    own_headers: frozenset[str] = field(default_factory=frozenset)


def make_ready(request: CallRequest, now: datetime | None = None) -> Ready:
    """Raises CallFailed for what must not or cannot be sent."""
    method = request.method.upper()
    if method not in _METHODS:
        raise _refuse(
            f"“{request.method[:20]}” is not a method of HTTP.", "Choose GET, POST, PUT, PATCH or DELETE."
        )
    url, shown, origin = _addresses(request)
    headers, headers_shown, own = _headers(request, method, origin)
    body, is_secret = _body(request, origin)
    connection = request.connection
    scrubber = connection.credentials.scrubber if connection is not None else NO_SECRETS
    ready = Ready(
        method,
        origin,
        url,
        headers,
        body,
        hide_parameters(shown),
        headers_shown,
        scrubber,
        is_secret,
        own,
    )
    if connection is not None and isinstance(connection.auth, HmacAuth):
        return _signed(ready, connection, connection.auth, now or datetime.now(UTC))
    return ready


def _signed(ready: Ready, connection: ConnectionFacts, auth: HmacAuth, now: datetime) -> Ready:
    """The last thing that is done to it: what is signed is what is sent."""
    check_home(ready.origin, connection.hosts, connection.name)
    to_sign = ToSign(ready.method, ready.origin, ready.url, ready.headers, ready.body or b"")
    made = sign(auth, connection.public, connection.secrets, to_sign, now)
    return replace(
        ready,
        url=add_query(ready.url, made.query),
        url_shown=hide_parameters(add_query(ready.url_shown, [(name, HIDDEN) for name, _ in made.query])),
        headers=ready.headers + made.headers,
        headers_shown=ready.headers_shown + made.shown,
        own_headers=ready.own_headers | {name.lower() for name, _ in made.headers},
    )


# ---------------------------------------------------------------------------------- addresses


def _addresses(request: CallRequest) -> tuple[str, str, Origin]:
    """The address as sent, as shown, and where it leads."""
    plain = add_query(request.url, request.query)
    connection = request.connection
    if connection is None:
        origin, url = read_address(plain)
        return url, url, origin
    credentials = connection.credentials
    has_placeholder = connection.may_place and holds_placeholder(plain)
    added = credentials.query
    if not has_placeholder and not added:
        origin, url = read_address(plain)
        if credentials.headers:
            check_home(origin, connection.hosts, connection.name)
        return url, url, origin
    filled = fill_url(plain, credentials.secrets) if has_placeholder else plain
    origin, url = read_address(add_query(filled, [(one.name, one.real) for one in added]))
    check_home(origin, connection.hosts, connection.name)
    return url, add_query(plain, [(one.name, one.shown) for one in added]), origin


def add_query(url: str, query: Iterable[tuple[str, str]]) -> str:
    pairs = [(name, value) for name, value in query if name]
    if not pairs:
        return url
    base = url.partition("#")[0]
    joint = "&" if "?" in base else "?"
    if base.endswith(("?", "&")):
        joint = ""
    return base + joint + "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in pairs])


def _quoted(text: str) -> str:
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="", errors="replace")


def read_address(text: str) -> tuple[Origin, str]:
    """The origin and the address as it goes on the wire: without fragment, everything unusual
    percent-encoded.  Raises CallFailed."""
    text = text.strip()
    if len(text) > _LONGEST_URL:
        raise _refuse(f"The address is {len(text)} characters long; at most {_LONGEST_URL} can be sent.", "")
    found = _START.fullmatch(text)
    if found is None:
        raise _no_address(text)
    origin, start = _read_origin(found[1].lower(), found[2])
    rest = found[3].partition("#")[0]
    if _PLAIN_REST.fullmatch(rest) is None:
        rest = quote(rest, safe="-._~!$&'()*+,;=:@/%?[]", errors="replace")
    return origin, start + (rest if rest.startswith("/") else f"/{rest}")


def join_address(base: str, target: str) -> str:
    """Where a link leads that an answer names.  Raises CallFailed."""
    try:
        return urljoin(base, target)
    except ValueError as reason:
        raise _refuse(f"The answer leads to “{target[:80]}”, which is not an address.", "") from reason


@lru_cache(4096)
def _read_origin(scheme: str, place: str) -> tuple[Origin, str]:
    if "@" in place:
        raise _refuse(
            "The address holds a user name or password before the “@”.",
            "Put the user name and password into a connection instead.",
        )
    if not place or _BAD_SIGNS.search(place):
        raise _refuse(
            f"“{scheme}://{place[:80]}” is not an address.", "Write it like https://example.com/path."
        )
    try:
        url = httpx.URL(f"{scheme}://{place}/")
        host = url.raw_host.decode("ascii").lower()
        port = url.port or (443 if scheme == "https" else 80)
    except (httpx.InvalidURL, ValueError) as reason:
        raise _refuse(f"“{scheme}://{place[:80]}” is not an address.", "Check the spelling.") from reason
    if not host or len(host) > 253 or not 0 < port < 65536:
        raise _refuse(f"“{scheme}://{place[:80]}” is not an address.", "Check the spelling.")
    origin = Origin(scheme, host.strip("[]"), port)
    return origin, f"{scheme}://{origin.label}"


def _no_address(text: str) -> CallFailed:
    if not text:
        return _refuse("The address is empty.", "Fill in the address, such as https://example.com/path.")
    named = _SCHEME.match(text)
    if named and "//" in text:
        return _refuse(
            f"The address begins with “{named[1]}:”, but only https:// and http:// can be called.",
            "Write https:// in front of the address.",
        )
    return _refuse(f"“{text[:80]}” does not begin with https://.", "Write https:// in front of the address.")


def _refuse(sentence: str, remedy: str) -> CallFailed:
    return CallFailed("invalid_payload", sentence, remedy=remedy, permanent=True)


# ------------------------------------------------------------------------------------ headers


def _headers(request: CallRequest, method: str, origin: Origin) -> tuple[Headers, Headers, frozenset[str]]:
    sent: Headers = []
    shown: Headers = []
    own: set[str] = set()  # those that carry secrets
    names: set[str] = set()
    for name, value in request.headers:
        lower = name.lower()
        _check_header(name, lower)
        names.add(lower)
        real = _filled_header(value, request, origin)
        sent.append((name, _header_value(name, real)))
        hidden = is_secret_header(name) and real is value
        shown.append((name, HIDDEN if hidden else value))
        if hidden or real is not value:
            own.add(lower)
    for placed in _placed(request):
        if placed.name.lower() not in names:
            sent.append((placed.name, _header_value(placed.name, placed.real)))
            shown.append((placed.name, placed.shown))
            own.add(placed.name.lower())
    usual = [(name, value) for name, value in _usual(request, method) if name.lower() not in names]
    return sent + usual, shown + usual, frozenset(own)


def _placed(request: CallRequest) -> tuple[Placed, ...]:
    return request.connection.credentials.headers if request.connection is not None else ()


def _usual(request: CallRequest, method: str) -> Headers:
    rows = [("Accept", "application/json, */*"), ("Accept-Encoding", "gzip"), ("User-Agent", AGENT)]
    if request.body is not None and request.content_type:
        rows.append(("Content-Type", request.content_type))
    if request.idempotency_key and request.idempotency_header and method not in READS:
        rows.append((request.idempotency_header, request.idempotency_key))
    return rows


def _filled_header(value: str, request: CallRequest, origin: Origin) -> str:
    connection = request.connection
    if connection is None or not connection.may_place or not holds_placeholder(value):
        return value
    check_home(origin, connection.hosts, connection.name)
    return fill_text(value, connection.credentials.secrets)


@lru_cache(2048)
def _check_header(name: str, lower: str) -> None:
    if _HEADER_NAME.fullmatch(name) is None:
        raise _refuse(
            f"“{name[:60]}” is not a name for a header.",
            "Use letters, digits and dashes, such as X-Api-Id.",
        )
    if lower in _OWN_HEADERS:
        raise _refuse(f"The header {name} is set by Plumbline itself.", "Remove it from the request.")


def _header_value(name: str, value: str) -> str:
    if _BAD_VALUE.search(value):
        raise _refuse(
            f"The header {name} holds a line break.", "Map a value without line breaks into this header."
        )
    return value.strip() if value.isascii() else value.strip().encode("utf-8", "replace").decode()


# --------------------------------------------------------------------------------------- body


def _body(request: CallRequest, origin: Origin) -> tuple[bytes | None, bool]:
    connection = request.connection
    if request.body is None or connection is None or not connection.may_place:
        return request.body, False
    filled = fill_body(request.body, request.content_type, connection.credentials.secrets)
    if filled is not request.body and filled != request.body:
        check_home(origin, connection.hosts, connection.name)
        return filled, True
    return request.body, False


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
