"""Where the API is: absolute, relative and templated servers as one address with connection fields."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

from pydantic import TypeAdapter, ValidationError

from app.catalog.format.values import FixedAddress
from app.imports.apis.names import key_of, label_of, plain_text

_VARIABLE = re.compile(r"\{([^{}]*)\}")
_IN_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,100}[A-Za-z0-9])?"
_IN_PATH = r"[A-Za-z0-9._~-]{1,200}"
_WHOLE_HOST = r"[A-Za-z0-9][A-Za-z0-9.-]{0,200}(?::[0-9]{2,5})?"
_ADDRESS = r"https?://[A-Za-z0-9][A-Za-z0-9.-]{0,200}(?::[0-9]{2,5})?(?:/[A-Za-z0-9._~/-]{0,300})?"
_ORIGIN = re.compile(r"https?://[^/?#\s]+")
_FIXED: TypeAdapter[str] = TypeAdapter(FixedAddress)


@dataclass
class Base:
    """`address`: the connector's base_url, which `fields` complete; `path`: what is left of a server's
    own path, before each operation's."""

    address: str
    fields: list[dict[str, Any]] = field(default_factory=list)
    path: str = ""


def servers_of(root: Any, home: str) -> list[Any]:
    """The document's own, in the words of OpenAPI 3, absolute where that is possible."""
    if "openapi" in root:
        found = root.get("servers")
        listed = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        return [_joined(one, home) for one in listed] or [{"url": _of_home(home)}]
    schemes = [one for one in root.get("schemes") or [] if one in ("https", "http")]
    scheme = "https" if "https" in schemes or not schemes else "http"
    host, path = str(root.get("host") or ""), str(root.get("basePath") or "")
    if not host:
        return [{"url": urljoin(_of_home(home) or "/", path)}]
    if schemes == ["http"] and not re.match(r"localhost|127\.|\[?::1|10\.|192\.168\.", host):
        scheme = "https"  # keys are not sent in the open where the service can do better, which it can today
    return [{"url": f"{scheme}://{host}{path}"}]


def _joined(server: dict[str, Any], home: str) -> dict[str, Any]:
    url = str(server.get("url") or "/").strip()
    if url.startswith("//"):
        url = f"https:{url}"
    if not _ORIGIN.match(url) and not url.startswith("{") and home:
        url = urljoin(home, url)
    return {**server, "url": url}


def _of_home(home: str) -> str:
    found = _ORIGIN.match(home)
    return found[0] + "/" if found else ""


def base_of(server: dict[str, Any], taken: set[str], also: Iterable[dict[str, Any]] = ()) -> Base:
    """Without an address of its own, each connection says where its server is."""
    url = server["url"].partition("#")[0].partition("?")[0].strip().rstrip("/")
    if _ORIGIN.match(url.replace("{", "").replace("}", "")) is None and not url.startswith("{"):
        path = f"/{url.strip('/')}" if url.strip("/") else ""
        return Base("${connection.server}" + _safe(path), [_address_field()])
    variables = server.get("variables")
    variables = variables if isinstance(variables, dict) else {}
    fields: list[dict[str, Any]] = []
    if regions := _regions(url, variables, also):
        return regions
    keys: dict[str, str] = {}

    def filled(found: re.Match[str]) -> str:
        name = found[1]
        if name not in keys:
            keys[name] = key_of(name, taken | set(keys.values()), "server")
            key = keys[name]
            described = variables.get(name)
            at = found.start()
            facts = described if isinstance(described, dict) else {}
            default = str(facts.get("default") or "")
            choices = [str(one) for one in facts["enum"]] if isinstance(facts.get("enum"), list) else []
            made: dict[str, Any] = {"key": key, "label": label_of(name)}
            if help := plain_text(facts.get("description")):
                made["help"] = help
            pattern = "|".join(re.escape(one) for one in choices)
            if 0 < len(choices) <= 100 and len(pattern) <= 500 and "" not in choices:
                made |= {"choices": choices, "pattern": pattern}
            else:
                made["pattern"] = _pattern(name, default, url, at)
            if default and (not choices or default in choices) and re.fullmatch(made["pattern"], default):
                made["default"] = default
            fields.append(made)
        return f"${{connection.{keys[name]}}}"

    address, (path, hidden) = _without_secrets(_safe(url))
    address = _VARIABLE.sub(filled, address)
    return Base(address, [*fields, *hidden], path)


_SECRET = re.compile(r"/[^/{]*\{([^{}]*(?:token|secret|key|password)[^{}]*)\}", re.IGNORECASE)


def _without_secrets(url: str) -> tuple[str, tuple[str, list[dict[str, Any]]]]:
    """A key that is part of the server's path goes into each request's path, where it stays hidden."""
    origin = _ORIGIN.match(url)
    found = _SECRET.search(url, origin.end() if origin else len(url))
    if found is None:
        return url, ("", [])
    key = key_of(found[1], set(), "key")
    rest = url[found.start() :].replace("{" + found[1] + "}", f"${{connection.{key} | path}}")
    if _VARIABLE.search(re.sub(r"\$\{[^}]*\}", "", rest)):
        return url, ("", [])
    return url[: found.start()], (rest, [{"key": key, "label": label_of(found[1]), "secret": True}])


def _safe(text: str) -> str:
    return re.sub(r"\s", "%20", text).replace("${", "{")


def _regions(url: str, variables: dict[str, Any], also: Iterable[dict[str, Any]]) -> Base | None:
    """Several servers that differ by their host alone: the connection says which."""
    if variables or "{" in url:
        return None
    path = urlsplit(url).path
    addresses = [url]
    names = {url: ""}
    for one in also:
        other = one["url"].rstrip("/")
        fits = _ORIGIN.match(other) and "{" not in other and urlsplit(other).path == path
        if fits and other not in addresses and not re.search(r"localhost|127\.0\.0\.1", other):
            addresses.append(other)
            names[other] = plain_text(one.get("description"), 60)
    if len(addresses) < 2 or len(addresses) > 20:
        return None
    said = "; ".join(f"{one}: {names[one]}" for one in addresses if names[one])
    field = {
        "key": "server",
        "label": "Server",
        "help": said[:400],
        "pattern": "|".join(re.escape(one) for one in addresses)[:500],
        "default": addresses[0],
        "choices": addresses,
    }
    if len("|".join(re.escape(one) for one in addresses)) > 500:
        return None
    return Base("${connection.server}", [field])


def _address_field() -> dict[str, Any]:
    return {
        "key": "server",
        "label": "Address of the API",
        "help": "The document does not say where the API is. For example: https://api.example.com",
        "pattern": _ADDRESS,
    }


def _pattern(name: str, default: str, url: str, at: int) -> str:
    """What may stand there without leading to another host than the document means."""
    if at == 0:
        return _ADDRESS if not url[len(name) + 2 :].startswith("://") else "https?"
    origin = _ORIGIN.match(url)
    if origin is None or at >= origin.end():
        return r"[A-Za-z0-9._~-]{1,100}(?:/[A-Za-z0-9._~-]{1,100}){0,8}" if "/" in default else _IN_PATH
    before, after = url[:at], url[at + len(name) + 2 : origin.end()]
    if before.endswith("://") and not after.startswith("."):
        return _WHOLE_HOST if not after else _IN_HOST
    return "[0-9]{2,5}" if before.endswith(":") else _IN_HOST


# ---------------------------------------------------------------------- several servers at a time

MOST_OTHERS = 10


def is_fixed(url: str) -> bool:
    """Nothing in it is for a connection to fill in, and keys are not sent in the open there."""
    try:
        _FIXED.validate_python(url)
    except ValidationError:
        return False
    return True


def commonest(servers: Iterable[str]) -> str:
    """Most operations live there."""
    counted = Counter(servers)
    return counted.most_common(1)[0][0] if counted else ""


def path_between(base: str, server: str) -> str | None:
    """What has to stand before a path of `server`, seen from the origin `base`; None = another host."""
    one, other = base.rstrip("/"), server.rstrip("/")
    if one == other:
        return ""
    return other[len(one) :] if other.startswith(f"{one}/") else None
