"""What the history shows of a call: placeholders where secrets were, bodies bounded."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import quote, quote_plus

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
