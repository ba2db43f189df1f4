"""How one proves who one is: the document's security schemes as ways to connect."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from app.imports.apis.names import key_of, label_of, plain_text
from app.imports.apis.references import References

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,80}")
_CREDENTIAL = re.compile(
    r"(x-)?(authorization|api[-_]?key|apikey|api[-_]token|access[-_]?token|auth[-_]?token|app[-_]?key|appid)",
    re.IGNORECASE,
)
_BEARER_WORDS = re.compile(r"bearer|\btoken\b", re.IGNORECASE)


@dataclass
class Way:
    """One way to be let in.  `auth`: its block in connector.yaml; `query`: what each request carries
    besides; `hidden`: parameters that are credentials; `reason`: why it cannot be used, '' if it can."""

    names: tuple[str, ...]
    auth: dict[str, Any] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    scopes: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()
    reason: str = ""


class SignIn:
    """The ways of one document; each is made once, when the first operation asks for it."""

    def __init__(self, root: Any, references: References, base: str, said: str = "", name: str = "") -> None:
        components = root.get("components")
        found = components.get("securitySchemes") if isinstance(components, dict) else None
        schemes = found if isinstance(found, dict) else root.get("securityDefinitions")
        schemes = schemes if isinstance(schemes, dict) else {}
        self._schemes = {str(name): references.resolved(one) for name, one in schemes.items()}
        self._everywhere = root.get("security")
        self._base = base
        self._said = False
        if said:
            # A person knows better than the document how one signs in.
            kinds: dict[str, dict[str, Any]] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
                "header": {"type": "apiKey", "in": "header", "name": name or "X-Api-Key"},
                "query": {"type": "apiKey", "in": "query", "name": name or "api_key"},
            }
            self._schemes = {"access": kinds[said]} if said in kinds else {}
            self._everywhere = [{"access": []}] if said in kinds else []
            self._said = True
        self._ways: dict[tuple[str, ...], Way] = {}
        self.used: dict[tuple[str, ...], int] = {}

    def ways_of(self, security: Any, needed: frozenset[str] = frozenset()) -> list[Way]:
        """Those that let an operation through; empty when it is open to everybody.  `needed`: its
        required parameters, as `place:name`: keys that are all among them are wanted together."""
        wanted = self._everywhere if security is None or self._said else security
        if security is None and wanted is None:
            # A document that describes one scheme and asks for none has forgotten to.
            wanted = [{name: []} for name in list(self._schemes)[:3]]
        given = [one for one in wanted if isinstance(one, dict)] if isinstance(wanted, list) else []
        if not given or any(not one for one in given):
            return []
        together = [one for one in given if self._is_needed(one, needed)]
        if len(together) > 1:
            given = [{name: one[name] for one in together for name in one}]
        ways = [self._way(tuple(str(name) for name in one), one) for one in given]
        if security is None and self._everywhere is None:  # nobody says that it is wanted at all
            ways = [way for way in ways if not way.reason]
        for way in ways:
            if not way.reason:
                self.used[way.names] = self.used.get(way.names, 0) + 1
        return ways

    def guess(self, parameters: Iterable[tuple[str, str]]) -> None:
        """A document without any scheme may still ask for a header or parameter that is a key."""
        if self._schemes or self._said:
            return
        for place, name in parameters:
            if place in ("header", "query") and _CREDENTIAL.fullmatch(name):
                self._schemes.setdefault(name, {"type": "apiKey", "in": place, "name": name})

    def _is_needed(self, wanted: dict[str, Any], needed: frozenset[str]) -> bool:
        schemes = [self._schemes.get(str(name)) for name in wanted]
        places = [f"{one.get('in')}:{one.get('name')}".lower() for one in schemes if isinstance(one, dict)]
        return bool(places) and set(places) <= needed

    def blocks(self) -> list[Way]:
        """The ways some operation uses, the commonest first."""
        ranked = sorted(self.used, key=lambda names: (-self.used[names], _rank(self._ways[names].auth)))
        return [self._ways[names] for names in ranked]

    def hidden(self) -> frozenset[str]:
        return frozenset(name for way in self._ways.values() for name in way.hidden)

    def _way(self, names: tuple[str, ...], wanted: dict[str, Any]) -> Way:
        scopes = tuple(str(one) for name in names for one in _texts(wanted[name]))
        made = self._ways.get(names)
        if made is None:
            made = self._ways[names] = self._made(names)
        return Way(**{**made.__dict__, "scopes": scopes}) if scopes else made

    def _made(self, names: tuple[str, ...]) -> Way:
        ways = _one_token([self._one(name) for name in names])
        for way in ways:
            if way.reason:
                return Way(names, reason=way.reason)
        ways.sort(key=lambda way: _rank(way.auth))
        first, rest = ways[0], ways[1:]
        made = Way(names, dict(first.auth), hidden=frozenset(name for way in ways for name in way.hidden))
        for way in rest:
            if not _beside(made, way.auth):
                return Way(names, reason=f"it wants {' and '.join(names)[:80]} at once, which cannot be done")
        if rest:
            made.auth["label"] = " and ".join(way.auth["label"] for way in ways)[:200]
        return made

    def _one(self, name: str) -> Way:
        scheme = self._schemes.get(name)
        if not isinstance(scheme, dict):
            return Way((name,), reason=f"it wants “{name[:40]}”, which the document does not describe")
        kind, word = str(scheme.get("type")).lower(), str(scheme.get("scheme") or "").lower()
        words = {"name": name, "help": plain_text(scheme.get("description"))}
        if kind == "apikey":
            return self._api_key(scheme, **words)
        if kind == "basic" or (kind == "http" and word == "basic"):
            return Way((name,), _basic(**words))
        if kind == "http" and word == "bearer":
            return Way((name,), _bearer(**words))
        if kind == "oauth2":
            return self._oauth2(scheme, **words)
        if kind == "openidconnect":
            words["help"] = f"An access token of the service. {words['help']}".strip()
            return Way((name,), _bearer(**words))
        if kind == "mutualtls":
            return Way((name,), reason="it wants a certificate of the caller (mutual TLS)")
        return Way((name,), reason=f"it wants “{word or kind}”, a way to sign in that is not known")

    def _api_key(self, scheme: dict[str, Any], name: str, help: str) -> Way:
        place, sent = str(scheme.get("in")), str(scheme.get("name") or "")
        if place == "cookie":
            return Way((name,), reason=f"it wants the cookie “{sent[:40]}”, which only a browser has")
        if place not in ("header", "query") or not _HEADER_NAME.fullmatch(sent):
            return Way((name,), reason=f"its key “{sent[:40]}” has a name or place that cannot be sent")
        key = key_of(name, set(), "key")
        label = label_of(name) if name.lower() not in ("authorization", "default", "api_key") else "API key"
        if place == "header" and sent.lower() == "authorization":
            help = f"{help} The whole value of the header Authorization, such as “Bearer abc…”.".strip()
        auth = {
            "key": key,
            "type": "api_key",
            "label": label,
            "help": help,
            "location": place,
            "name": sent,
            "value": f"${{connection.{key}}}",
            "fields": [{"key": key, "label": label, "secret": True}],
        }
        return Way((name,), auth, hidden=frozenset({f"{place}:{sent.lower()}"}))

    def _oauth2(self, scheme: dict[str, Any], name: str, help: str) -> Way:
        found = scheme.get("flows")
        flows: dict[str, Any] = found if isinstance(found, dict) else {}
        if not flows and scheme.get("flow"):
            flows = {str(scheme["flow"]): scheme}
        for kind in ("authorizationCode", "accessCode"):
            flow = flows.get(kind)
            if isinstance(flow, dict) and (made := self._code(flow, name, help)):
                return Way((name,), made)
        for kind in ("clientCredentials", "application"):
            flow = flows.get(kind)
            if isinstance(flow, dict) and (token := self._address(flow.get("tokenUrl"))):
                made = {"key": key_of(name, set(), "client"), "type": "client_credentials"}
                return Way((name,), {**made, "label": label_of(name), "help": help, "token_url": token})
        help = f"An access token of the service. {help}".strip()
        return Way((name,), _bearer(name, help))

    def _code(self, flow: dict[str, Any], name: str, help: str) -> dict[str, Any]:
        authorize, token = self._address(flow.get("authorizationUrl")), self._address(flow.get("tokenUrl"))
        if not authorize or not token:
            return {}
        made: dict[str, Any] = {
            "key": key_of(name, set(), "sign_in"),
            "type": "oauth2",
            "label": "Sign in",
            "help": help,
            "authorize_url": authorize,
            "token_url": token,
        }
        if refresh := self._address(flow.get("refreshUrl")):
            made["refresh_url"] = refresh
        return made

    def _address(self, value: Any) -> str:
        """Secrets go there: https or nothing."""
        text = urljoin(self._base, value.strip()) if isinstance(value, str) and value.strip() else ""
        fits = text.startswith("https://") and not re.search(r"[\s\"<>{}$]", text) and len(text) < 500
        return text if fits else ""


_TOKENS = ("oauth2", "client_credentials", "bearer")


def _one_token(ways: list[Way]) -> list[Way]:
    """Several that end in the same header are one: the sign-in that renews itself counts."""
    tokens = [way for way in ways if not way.reason and way.auth.get("type") in _TOKENS]
    if len(tokens) < 2:
        return ways
    best = min(tokens, key=lambda way: _TOKENS.index(way.auth["type"]))
    return [way for way in ways if way is best or way not in tokens]


def _texts(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _rank(auth: dict[str, Any]) -> int:
    """A token that is pasted works at once; a sign-in wants an app to be registered first."""
    order = ("bearer", "api_key", "basic", "headers", "oauth2", "client_credentials")
    kind = auth.get("type", "")
    return order.index(kind) if kind in order else len(order)


def _beside(made: Way, auth: dict[str, Any]) -> bool:
    """A second key goes along with the requests; only one may need more than a place."""
    if auth["type"] == "bearer":
        place, name, value = "header", "Authorization", f"Bearer ${{connection.{auth['fields'][0]['key']}}}"
    elif auth["type"] == "api_key":
        place, name, value = auth["location"], auth["name"], auth["value"]
    else:
        return False
    taken = {one["key"] for one in made.auth.get("fields", [])}
    field = dict(auth["fields"][0])
    new = key_of(field["key"], taken, "key")
    value = value.replace("${connection." + field["key"] + "}", "${connection." + new + "}")
    made.auth["fields"] = [*made.auth.get("fields", []), {**field, "key": new}]
    (made.headers if place == "header" else made.query)[name] = value
    return made.auth["type"] not in ("oauth2", "client_credentials")


def _bearer(name: str, help: str) -> dict[str, Any]:
    label = label_of(name) if _BEARER_WORDS.search(name) else "Access token"
    return {
        "key": key_of(name, set(), "token"),
        "type": "bearer",
        "label": label,
        "help": help,
        "fields": [{"key": "token", "label": label, "secret": True}],
    }


def _basic(name: str, help: str) -> dict[str, Any]:
    return {
        "key": key_of(name, set(), "password"),
        "type": "basic",
        "label": "User name and password",
        "help": help,
        "username": "${connection.username}",
        "password": "${connection.password}",
        "fields": [
            {"key": "username", "label": "User name or key"},
            {"key": "password", "label": "Password or secret", "secret": True, "required": False},
        ],
    }


def token_way(ways: list[Way]) -> dict[str, Any] | None:
    """A sign-in needs an app registered at the service; whoever has a token already may paste it."""
    kinds = {way.auth.get("type") for way in ways}
    if "oauth2" not in kinds or "bearer" in kinds:
        return None
    made = _bearer("access_token", "A token that the service gave you, in place of signing in.")
    made["key"] = key_of("access_token", {way.auth["key"] for way in ways})
    made["fields"] = [{"key": "pasted_token", "label": "Access token", "secret": True}]
    return made
