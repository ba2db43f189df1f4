"""Secrets enter a call here and nowhere else, and here they are kept out of the history: in place of
`{{secret:field}}`, and as the header or query parameter the connector's auth block asks for.  They go only
to the connection's own hosts; what the history shows are placeholders and bounded bodies."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

from app.errors import CallFailed

HISTORY_BODY = 256 * 1024
HIDDEN = "•••"
_SHORTEST = 4  # a shorter secret would be "found" in half of all texts
SHORTEST_IN_DATA = 12  # what flows go on with is changed for unmistakable secrets only

_SECRET_HEADERS = frozenset(
    ("authorization", "proxy-authorization", "cookie", "set-cookie", "api-key", "apikey")
)
_SECRET_HEADER = re.compile(r"(^|[-_])(key|token|secret|signature|password|authorization|apikey)$")
_NOT_SECRET = frozenset({"idempotency-key"})
_SECRET_PARAMETER = re.compile(
    r"([?&;](?:access_token|refresh_token|id_token|auth_token|api_?key|apikey|key|token|secret"
    r"|client_secret|password|passwd|sig|signature|hmac|code|auth)=)[^&#;]+",
    re.IGNORECASE,
)


class Scrubber:
    """Replaces known secrets wherever a service may have echoed them: as they are, URL-encoded,
    in base64 (also inside a longer text), escaped for JSON."""

    def __init__(self, secrets: Mapping[str, str], *, shortest: int = _SHORTEST) -> None:
        forms: dict[bytes, bytes] = {}
        for name, value in secrets.items():
            label = HIDDEN if name.startswith("auth_") else f"{{{{secret:{name}}}}}"
            for form in _forms(str(value)) if len(str(value)) >= shortest else ():
                forms.setdefault(form, label.encode())
        self._forms = sorted(forms.items(), key=lambda pair: -len(pair[0]))
        self._longest = len(self._forms[0][0]) if self._forms else 0

    def __repr__(self) -> str:
        return "Scrubber(…)"

    def data(self, data: bytes) -> bytes:
        for form, label in self._forms:
            if form in data:
                data = data.replace(form, label)
        return data

    def finds_any(self, parts: Iterable[bytes | str]) -> bool:
        """One look over all parts of a call: mostly there is nothing to replace."""
        if not self._forms:
            return False
        data = b"\n".join(
            [part.encode("utf-8", "replace") if isinstance(part, str) else part for part in parts]
        )
        return any(form in data for form, _ in self._forms)

    def text(self, text: str) -> str:
        if not self._forms:
            return text
        data = text.encode("utf-8", "replace")
        clean = self.data(data)
        return text if clean is data else clean.decode("utf-8", "replace")

    def body(self, body: bytes) -> bytes:
        """At most HISTORY_BODY bytes; a secret that the cut would divide does not stay either."""
        if len(body) <= HISTORY_BODY:
            return self.data(body)
        clean = self.data(body[: HISTORY_BODY + self._longest])
        return clean[: min(HISTORY_BODY, len(clean) - self._longest)]


def _forms(value: str) -> set[bytes]:
    raw = value.encode("utf-8", "replace")
    texts = {
        value,
        quote(value, safe=""),
        quote(value),
        quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(value)[1:-1].replace("/", "\\/"),
    }
    forms = {text.encode("utf-8", "replace") for text in texts}
    return {form for form in forms | _base64_forms(raw) if len(form) >= _SHORTEST}


def _base64_forms(raw: bytes) -> set[bytes]:
    """Base64 of the value alone, and what stays the same of it at each place in a longer text."""
    forms = {base64.b64encode(raw), base64.urlsafe_b64encode(raw)}
    if len(raw) >= 8:
        for before in range(3):
            packed = base64.b64encode(b"\0" * before + raw)
            inner = packed[(0, 2, 3)[before] :].rstrip(b"=")
            inner = inner[: len(inner) - (1 if (before + len(raw)) % 3 else 0)]
            forms |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_"))}
    return forms


NO_SECRETS = Scrubber({})


@lru_cache(4096)
def is_secret_header(name: str) -> bool:
    name = name.lower()
    return name in _SECRET_HEADERS or (name not in _NOT_SECRET and _SECRET_HEADER.search(name) is not None)


def shown_headers(headers: Iterable[tuple[str, str]], scrubber: Scrubber) -> list[tuple[str, str]]:
    """Headers that carry secrets by their name are hidden, whatever they hold."""
    return [(name, HIDDEN if is_secret_header(name) else scrubber.text(value)) for name, value in headers]


def hide_parameters(url: str) -> str:
    """Parameters that carry secrets by their name are hidden, whatever they hold."""
    return _SECRET_PARAMETER.sub(rf"\1{HIDDEN}", url) if "?" in url else url


def shown_url(url: str, scrubber: Scrubber) -> str:
    return scrubber.text(hide_parameters(url))


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
