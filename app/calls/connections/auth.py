"""Secrets enter a call here and nowhere else: in place of `{{secret:field}}`, and as the header or
query parameter the connector's auth block asks for.  They go only to the connection's own hosts."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

from app.calls.connections.record import SHORTEST_IN_DATA, Scrubber
from app.errors import CallFailed

_PLACEHOLDER = re.compile(
    r"\{\{secret:([a-z][a-z0-9_]*)\}\}|%7B%7Bsecret(?::|%3A)([a-z][a-z0-9_]*)%7D%7D", re.IGNORECASE
)
_CONNECTION_FIELD = re.compile(r"\$\{connection\.([a-z][a-z0-9_]*)\}")


@dataclass(frozen=True)
class Placed:
    """A header or parameter that a connection adds: how it is sent, how the history shows it."""

    name: str
    real: str
    shown: str


@dataclass(frozen=True, repr=False)
class Credentials:
    """What a connection adds to its calls, worked out once.  `scrubber` cleans the history,
    `data_scrubber` the answers that flows go on with."""

    headers: tuple[Placed, ...]
    query: tuple[Placed, ...]
    secrets: Mapping[str, str]
    scrubber: Scrubber
    data_scrubber: Scrubber

    def __repr__(self) -> str:
        return "Credentials(…)"


def credentials_of(auth: Any, public: Mapping[str, Any], secrets: Mapping[str, str]) -> Credentials:
    """`auth`: the catalog's auth block, or None for a connection without one."""
    headers, query = _placed(auth, public, secrets)
    derived = {f"auth_{at}": placed.real for at, placed in enumerate(headers)}
    known = {**derived, **secrets}
    in_data = Scrubber(known, shortest=SHORTEST_IN_DATA)
    return Credentials(headers, query, secrets, Scrubber(known), in_data)


def _placed(
    auth: Any, public: Mapping[str, Any], secrets: Mapping[str, str]
) -> tuple[tuple[Placed, ...], tuple[Placed, ...]]:
    kind = auth.type if auth is not None else "none"
    if kind == "bearer":
        template = getattr(auth, "value", "") or f"Bearer ${{connection.{_secret_field(auth)}}}"
        return (_place("Authorization", template, public, secrets),), ()
    if kind == "basic":
        return (_basic(auth, public, secrets),), ()
    if kind == "api_key":
        placed = _place(filled(auth.name, public, secrets)[0], auth.value, public, secrets)
        return ((placed,), ()) if auth.location == "header" else ((), (placed,))
    if kind in ("oauth2", "client_credentials", "service_account"):
        placed = _place(auth.header, auth.value, public, secrets)
        return ((placed,) if secrets.get("access_token") else ()), ()
    if kind == "headers":
        rows = auth.headers.items()
        placed_rows = [_place(filled(n, public, secrets)[0], v, public, secrets) for n, v in rows]
        return tuple(one for one in placed_rows if one.name and one.real), ()
    return (), ()


def _secret_field(auth: Any) -> str:
    return next((str(one.key) for one in auth.fields if one.secret), "token")


def _place(name: str, template: str, public: Mapping[str, Any], secrets: Mapping[str, str]) -> Placed:
    real, shown = filled(template, public, secrets)
    return Placed(name, real, shown)


def filled(template: str, public: Mapping[str, Any], secrets: Mapping[str, str]) -> tuple[str, str]:
    """The text with the values, and the text with placeholders for those that are secret."""

    def real(found: re.Match[str]) -> str:
        return str(secrets.get(found[1]) or public.get(found[1]) or "")

    def shown(found: re.Match[str]) -> str:
        return f"{{{{secret:{found[1]}}}}}" if found[1] in secrets else str(public.get(found[1]) or "")

    return _CONNECTION_FIELD.sub(real, template), _CONNECTION_FIELD.sub(shown, template)


def _basic(auth: Any, public: Mapping[str, Any], secrets: Mapping[str, str]) -> Placed:
    user, user_shown = filled(auth.username, public, secrets)
    password, _ = filled(auth.password, public, secrets)
    packed = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Placed("Authorization", f"Basic {packed}", f"Basic {user_shown}:{{{{secret:password}}}}")


# ------------------------------------------------------------------------------- placeholders


def holds_placeholder(text: str) -> bool:
    return "secret" in text and _PLACEHOLDER.search(text) is not None


def fill_url(text: str, secrets: Mapping[str, str]) -> str:
    return _fill(text, secrets, lambda value: quote(value, safe=""))


def fill_text(text: str, secrets: Mapping[str, str]) -> str:
    return _fill(text, secrets, str)


def fill_body(body: bytes, content_type: str, secrets: Mapping[str, str]) -> bytes:
    """Written the way the body's own format needs it."""
    if b"secret" not in body:
        return body
    text = body.decode("utf-8", "surrogateescape")
    return _fill(text, secrets, _writer(content_type.lower())).encode("utf-8", "surrogateescape")


def _writer(content_type: str) -> Any:
    if "json" in content_type:
        return lambda value: json.dumps(value, ensure_ascii=False)[1:-1]
    if "x-www-form-urlencoded" in content_type:
        return quote_plus
    return escape if "xml" in content_type else str


def _fill(text: str, secrets: Mapping[str, str], write: Any) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name not in secrets:
            raise CallFailed(
                "auth_expired",
                f"The connection has no “{name}”, which this call needs.",
                remedy="Open the connection and fill in what is missing.",
                permanent=True,
            )
        return str(write(secrets[name]))

    return _PLACEHOLDER.sub(value, text)


# -------------------------------------------------------------------------------------- hosts


@dataclass(frozen=True)
class Origin:
    scheme: str
    host: str
    port: int

    @property
    def label(self) -> str:
        """As a person writes it: the port only where it is not the usual one."""
        usual = 443 if self.scheme == "https" else 80
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == usual else f"{host}:{self.port}"


@lru_cache(4096)
def is_home(origin: Origin, hosts: tuple[str, ...]) -> bool:
    """May this connection's secrets go there?  `hosts`: `host` (https on its usual port),
    `host:port`, or `scheme://host[:port]`."""
    return any(_is_same(origin, host.strip().lower()) for host in hosts)


def _is_same(origin: Origin, entry: str) -> bool:
    scheme, _, rest = entry.rpartition("://")
    rest = rest.partition("/")[0]
    if scheme and scheme != origin.scheme:
        return False
    if rest == f"{_bracketed(origin.host)}:{origin.port}":
        return True
    usual = 443 if origin.scheme == "https" else 80
    return rest == _bracketed(origin.host) and origin.port == usual and (bool(scheme) or usual == 443)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def check_home(origin: Origin, hosts: tuple[str, ...], connection: str) -> None:
    """Raises CallFailed, before anything is sent."""
    if is_home(origin, hosts):
        return
    home = hosts[0] if hosts else "no address yet"
    if origin.scheme == "http" and is_home(Origin("https", origin.host, 443), hosts):
        sentence = f"The connection “{connection}” sends its secrets over https only; the address says http."
        remedy = "Write https:// in the address."
    else:
        sentence = f"The connection “{connection}” belongs to {home}, but this call goes to {origin.label}."
        remedy = "Choose a connection for that address. Nothing was sent."
    raise CallFailed("permission_missing", sentence, remedy=remedy, permanent=True)
