"""Signs a request the way its connector describes: which parts, with which key, where the result stands."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from app.calls.connections.secrets import Origin, filled
from app.catalog.format.auth import HmacAuth
from app.errors import CallFailed

Headers = list[tuple[str, str]]
_PART = re.compile(r"(?<!\$)\{([a-z_]+)\}")
_UNRESERVED = "-._~"


@dataclass(frozen=True)
class ToSign:
    method: str
    origin: Origin
    url: str
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Signature:
    """What is added to the request; `query` and `headers` as sent, `shown` without what is secret."""

    headers: Headers
    shown: Headers
    query: Headers


def sign(
    auth: HmacAuth, public: Mapping[str, Any], secret: Mapping[str, str], request: ToSign, now: datetime
) -> Signature:
    """Raises CallFailed when the key cannot be used."""
    added, query, parts = _before(auth, public, secret, request, now)
    headers = [*request.headers, ("host", request.origin.label), *added]
    parts |= _of_headers(auth, headers)
    digest = getattr(hashlib, auth.algorithm)
    canonical = _put(_filled(auth.canonical, public, secret), parts)
    parts["canonical_hash"] = digest(canonical.encode()).hexdigest()
    message = _bytes(_filled(auth.message, public, secret), parts, request.body)
    made = hmac.new(_key(auth, public, secret, parts), message, auth.algorithm).digest()
    real, shown = filled(auth.value, public, secret)
    signature = _encoded(made, auth.encoding)
    sent = (auth.name, _put(real, {**parts, "signature": signature}))
    hidden = (auth.name, _put(shown, {**parts, "signature": "•••"}))
    if auth.location == "query":
        return Signature(added, list(added), [*query, sent])
    return Signature([*added, sent], [*added, hidden], query)


def _before(
    auth: HmacAuth, public: Mapping[str, Any], secret: Mapping[str, str], request: ToSign, now: datetime
) -> tuple[Headers, Headers, dict[str, str]]:
    """The headers and parameters that are signed themselves, and the parts they give."""
    added: Headers = []
    query: Headers = []
    parts = _of_request(auth, request)
    if auth.timestamp is not None:
        parts["timestamp"] = _time(now, auth.timestamp.format)
        parts["date"] = now.astimezone(UTC).strftime("%Y%m%d")
        if auth.timestamp.name:
            where = added if auth.timestamp.location == "header" else query
            where.append((auth.timestamp.name, parts["timestamp"]))
    if auth.nonce is not None:
        parts["nonce"] = secrets.token_hex(16)
        if auth.nonce.name:
            where = added if auth.nonce.location == "header" else query
            where.append((auth.nonce.name, parts["nonce"]))
    for name, value in auth.headers.items():
        added.append((name, _put(_filled(value, public, secret), parts)))
    return added, query, parts


def _of_request(auth: HmacAuth, request: ToSign) -> dict[str, str]:
    split = urlsplit(request.url)
    digest = getattr(hashlib, auth.algorithm)
    return {
        "method": request.method,
        "host": request.origin.label,
        "path": split.path or "/",
        "query": split.query,
        "sorted_query": _sorted(split.query),
        "url": request.url,
        "body_hash": digest(request.body).hexdigest(),
    }


def _sorted(query: str) -> str:
    """Each name and value encoded anew, in order: two programs that sign have to write alike."""
    pairs = [part.partition("=") for part in query.split("&") if part]
    again = [(_quoted(name), _quoted(value)) for name, _, value in pairs]
    return "&".join(f"{name}={value}" for name, value in sorted(again))


def _quoted(text: str) -> str:
    return quote(unquote(text.replace("+", " ")), safe=_UNRESERVED)


def _of_headers(auth: HmacAuth, headers: Headers) -> dict[str, str]:
    """One line `name:value` for each of `signed_headers` that is there, by name."""
    wanted = {name.lower() for name in auth.signed_headers}
    found: dict[str, list[str]] = {}
    for name, value in headers:
        if name.lower() in wanted:
            found.setdefault(name.lower(), []).append(" ".join(value.split()))
    names = sorted(found)
    lines = "".join(f"{name}:{','.join(found[name])}\n" for name in names)
    return {"headers": lines, "signed_headers": ";".join(names)}


def _time(now: datetime, how: str) -> str:
    now = now.astimezone(UTC)
    if how == "epoch_s":
        return str(int(now.timestamp()))
    if how == "epoch_ms":
        return str(int(now.timestamp() * 1000))
    if how == "http":
        return format_datetime(now.replace(microsecond=0), usegmt=True)
    return now.strftime("%Y%m%dT%H%M%SZ" if how == "compact" else "%Y-%m-%dT%H:%M:%SZ")


def _key(
    auth: HmacAuth, public: Mapping[str, Any], secret: Mapping[str, str], parts: Mapping[str, str]
) -> bytes:
    key = _decoded(auth, secret.get(auth.secret, ""))
    for step in auth.derive:
        key = hmac.new(key, _put(_filled(step, public, secret), parts).encode(), auth.algorithm).digest()
    return key


def _decoded(auth: HmacAuth, text: str) -> bytes:
    try:
        if not text:
            raise ValueError("empty")
        if auth.secret_encoding == "base64":  # noqa: S105 - no password
            return base64.b64decode(text, validate=True)
        if auth.secret_encoding == "hex":  # noqa: S105 - no password
            return bytes.fromhex(text)
    except (ValueError, binascii.Error) as reason:
        raise CallFailed(
            "auth_expired",
            "The key that signs requests cannot be read. Nothing was sent.",
            remedy="Enter the key again, exactly as the service shows it.",
        ) from reason
    return (auth.secret_prefix + text).encode()


def _encoded(made: bytes, how: str) -> str:
    if how == "hex":
        return made.hex()
    return (base64.b64encode if how == "base64" else base64.urlsafe_b64encode)(made).decode()


def _filled(template: str, public: Mapping[str, Any], secret: Mapping[str, str]) -> str:
    return filled(template, public, secret)[0]


def _put(text: str, parts: Mapping[str, str]) -> str:
    return _PART.sub(lambda found: parts.get(found[1], found[0]), text)


def _bytes(text: str, parts: Mapping[str, str], body: bytes) -> bytes:
    """The body goes in as it is: it need not be a text."""
    pieces: Sequence[str] = text.split("{body}")
    return body.join(_put(piece, parts).encode() for piece in pieces)
