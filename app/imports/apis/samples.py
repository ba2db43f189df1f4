"""Requests somebody recorded (cURL, Postman, HAR) as an OpenAPI document: one model, one report, one
set of pages.  Secrets that stood in them are taken out on the way."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from app.imports.apis.names import clean, key_of, label_of
from app.imports.apis.outputs import schema_of

FORM = "application/x-www-form-urlencoded"
_SECRET_NAME = re.compile(
    r"(x-)?(authorization|(api|app|access|auth|private|secret|public|client|consumer|subscription|admin)?[-_]?"
    r"(key|token|secret|password|passwd|pwd|signature|sig)|appid|hapikey|sid_token|bearer|jwt|.*api[-_]?key"
    r"|.*(access|auth|api|csrf|session|refresh|id)[-_]?token|.*secret|.*password|ocp-apim-subscription-key)",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"(sk|pk|rk|pat|ghp|gho|xox[abp]|shpat|shpss|eyJ[A-Za-z0-9_-]{10,}\.|key|SG\.)[-_.A-Za-z0-9]{16,}"
)
_DROPPED = re.compile(
    r"(cookie|host|content-length|connection|user-agent|accept(-.*)?|origin|referer|sec-.*|:.*|te|dnt|priority"
    r"|cache-control|pragma|if-.*|upgrade.*|x-requested-with|x-csrf.*|x-xsrf.*|traceparent|tracestate|x-b3-.*"
    r"|x-amzn-trace.*|x-datadog.*|sentry-trace|baggage|newrelic|x-client-data|postman-token|save-data|viewport.*)",
    re.IGNORECASE,
)
_TRACKING = re.compile(r"(utm_.*|_ga|_gl|gclid|fbclid|msclkid|mc_[ce]id|_hs.*|yclid|dclid)", re.IGNORECASE)
_ID = re.compile(
    r"\d{2,}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{16,}"
    r"|(?=[A-Za-z_]*\d)[A-Za-z0-9]{2,6}_[A-Za-z0-9]{6,}|(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_:.~=-]{18,}",
    re.IGNORECASE,
)
_RANDOM = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_:.~+/=-]{16,}")
_VARIABLE = re.compile(r"\{\{\s*([^{}]{1,80}?)\s*\}\}")


@dataclass
class Recorded:
    """One request.  `auth`: (kind, name, value parts), where the tool keeps it apart; `form` and
    `files`: rows of a form; `text`: any other body."""

    method: str
    url: str
    name: str = ""
    description: str = ""
    folder: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    query: list[tuple[str, str]] = field(default_factory=list)
    text: str = ""
    form: list[tuple[str, str]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    content_type: str = ""
    path_values: dict[str, str] = field(default_factory=dict)
    auth: tuple[str, dict[str, str]] | None = None
    answer: Any = None
    basic: tuple[str, str] | None = None


@dataclass
class AsDocument:
    """`secrets` and `public`: by the field of the connection they belong into."""

    root: dict[str, Any]
    secrets: dict[str, str] = field(default_factory=dict)
    public: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Collector:
    """All requests of one host, as `paths` and `securitySchemes`.  `keeps_values`: what stood in them
    becomes examples."""

    def __init__(self, title: str, server: str, *, keeps_values: bool = True) -> None:
        self._keeps_values = keeps_values
        self._paths: dict[str, Any] = {}
        self._schemes: dict[str, Any] = {}
        self._server = server
        self._title = title
        self.secrets: dict[str, str] = {}
        self.public: dict[str, str] = {}

    def document(self, notes: Iterable[str] = ()) -> AsDocument:
        root = {
            "openapi": "3.0.3",
            "info": {"title": self._title, "version": ""},
            "servers": [{"url": self._server}],
            "paths": self._paths,
            "components": {"securitySchemes": self._schemes},
        }
        return AsDocument(root, self.secrets, self.public, list(notes))

    # ------------------------------------------------------------------------------ one request

    def add(self, one: Recorded) -> None:
        parts = urlsplit(one.url)
        path, in_path = _path(parts.path or "/", one.path_values)
        query = [*parse_qsl(parts.query, keep_blank_values=True), *one.query]
        wanted: dict[str, Any] = {}
        if one.auth is not None:
            wanted |= self._said(*one.auth)
        if one.basic is not None:
            wanted |= self._basic(*one.basic)
        for name, value in one.headers:
            if name.lower() == "authorization" and "Access token" not in wanted and "Password" not in wanted:
                wanted |= self._authorization(value)
            elif not _DROPPED.fullmatch(name) and _is_secret(name, value) and name.lower() != "authorization":
                wanted |= self._key("header", name, value)
        for name, value in query:
            if _is_secret(name, value) and not _TRACKING.fullmatch(name):
                wanted |= self._key("query", name, value)
        security = [wanted] if wanted else []
        parameters = [
            *({"in": "path", "name": name, "required": True, **_text(value)} for name, value in in_path),
            *self._query(query),
            *self._headers(one.headers),
        ]
        operation: dict[str, Any] = {
            "summary": clean(one.name)[:120] or f"{label_of(one.method.lower())} {label_of(path)}",
            "description": clean(one.description),
            "tags": [one.folder] if one.folder else [],
            "parameters": parameters,
            "security": security,
        }
        if (body := self._body(one)) is not None:
            operation["requestBody"] = body
        if one.answer is not None:
            media = {"application/json": {"schema": _safe(schema_of(one.answer))}}
            operation["responses"] = {"200": {"description": "", "content": media}}
        if not self._keeps_values:
            operation = _bare(operation)
        self._put(path, one.method.lower(), operation)

    def _put(self, path: str, method: str, operation: dict[str, Any]) -> None:
        """The same request twice is one; another body on the same path is another operation."""
        number, place = 1, path
        while method in self._paths.get(place, {}):
            before = self._paths[place][method]
            if before.get("requestBody") == operation.get("requestBody") or number > 50:
                return
            number += 1
            place = f"{path}#{number}"
        self._paths.setdefault(place, {})[method] = operation

    def _query(self, query: list[tuple[str, str]]) -> list[dict[str, Any]]:
        found: dict[str, list[str]] = {}
        for name, value in query:
            if name and not self._is_key("query", name) and not _TRACKING.fullmatch(name):
                found.setdefault(name, []).append(value)
        return [
            {"in": "query", "name": name, **(_text(values[0]) if len(values) == 1 else _texts(values))}
            for name, values in found.items()
        ]

    def _headers(self, headers: list[tuple[str, str]]) -> list[dict[str, Any]]:
        kept = {name: value for name, value in headers if not _DROPPED.fullmatch(name)}
        return [
            {"in": "header", "name": name, **_text(value)}
            for name, value in kept.items()
            if name.lower() not in ("content-type", "authorization") and not self._is_key("header", name)
        ]

    def _is_key(self, place: str, name: str) -> bool:
        return any(one.get("in") == place and one.get("name") == name for one in self._schemes.values())

    # ------------------------------------------------------------------------------- signing in

    def _said(self, kind: str, told: dict[str, str]) -> dict[str, Any]:
        """As Postman keeps it apart."""
        if kind in ("bearer", "oauth2"):
            return self._bearer(told.get("token") or told.get("accessToken") or "")
        if kind == "basic":
            return self._basic(told.get("username", ""), told.get("password", ""))
        if kind == "apikey" and told.get("key"):
            place = "query" if told.get("in") == "query" else "header"
            return self._key(place, told["key"], told.get("value", ""))
        return {}

    def _authorization(self, value: str) -> dict[str, Any]:
        word, _, rest = value.strip().partition(" ")
        if word.lower() == "bearer" and rest:
            return self._bearer(rest.strip())
        if word.lower() == "basic" and rest:
            try:
                user, _, password = base64.b64decode(rest, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError, ValueError):
                user, password = "", ""
            return self._basic(user, password)
        return self._key("header", "Authorization", value)

    def _bearer(self, token: str) -> dict[str, Any]:
        self._schemes["Access token"] = {"type": "http", "scheme": "bearer"}
        self._found("token", token)
        return {"Access token": []}

    def _basic(self, user: str, password: str) -> dict[str, Any]:
        self._schemes["Password"] = {"type": "http", "scheme": "basic"}
        if user and not _VARIABLE.search(user):
            self.public.setdefault("username", user)
        self._found("password", password)
        return {"Password": []}

    def _key(self, place: str, name: str, value: str) -> dict[str, Any]:
        scheme = f"{name} key" if not re.search(r"key|token|secret|auth", name, re.IGNORECASE) else name
        self._schemes[scheme] = {"type": "apiKey", "in": place, "name": name}
        self._found(key_of(scheme, set(), "key"), value)
        return {scheme: []}

    def _found(self, key: str, value: str) -> None:
        """A variable of the tool is no secret yet."""
        if value and not _VARIABLE.search(value) and not re.match(r"[<$\[]|your[-_ ]", value, re.IGNORECASE):
            self.secrets.setdefault(key, value)

    # ------------------------------------------------------------------------------------- body

    def _body(self, one: Recorded) -> dict[str, Any] | None:
        if one.method in ("GET", "HEAD") and not (one.form or one.files):
            return None
        kind = (one.content_type or _header(one.headers, "content-type")).partition(";")[0].strip().lower()
        if one.form or one.files:
            is_multipart = bool(one.files) or kind.startswith("multipart/")
            return _content("multipart/form-data" if is_multipart else FORM, _form_schema(one))
        if not one.text.strip():
            return None
        document = _json(one.text)
        if isinstance(document, dict | list):
            return _content(kind if "json" in kind else "application/json", _safe(schema_of(document)))
        if kind == FORM or (not kind and re.match(r"[^\s=&{\[<]+=", one.text)):
            rows = parse_qsl(one.text, keep_blank_values=True)
            return _content(FORM, _form_schema(Recorded("POST", "", form=rows)))
        return _content(kind if "/" in kind else "text/plain", {"type": "string"})


# ------------------------------------------------------------------------------------- small parts


def _path(path: str, values: dict[str, str]) -> tuple[str, list[tuple[str, str]]]:
    """Parts that look like an id become fields; a variable keeps its name."""
    found: list[tuple[str, str]] = []
    made: list[str] = []
    for part in path.split("/"):
        plain = unquote(part)
        named = re.fullmatch(r":([A-Za-z_]\w*)|\{\{?\s*([^{}]+?)\s*\}\}?", plain)
        if named:
            name = re.sub(r"[^A-Za-z0-9_]+", "_", named[1] or named[2]) or "value"
            value = values.get(named[1] or named[2], "")
        elif _ID.fullmatch(plain) and not re.fullmatch(r"v?\d{1,4}(\.\d+)?", plain):
            before = re.sub(r"[^a-z0-9]+", "_", made[-1].lower()).strip("_") if made else ""
            name, value = (
                (f"{before.removesuffix('s')}_id" if before and "{" not in made[-1] else "id"),
                plain,
            )
        else:
            made.append(part)
            continue
        while name in [one for one, _ in found]:
            name += "_2"
        found.append((name, value))
        made.append("{" + name + "}")
    return "/".join(made) or "/", found


def _text(value: str) -> dict[str, Any]:
    """A parameter with its example; a secret-looking one keeps none."""
    if _VARIABLE.search(value) or _looks_secret(value) or len(value) > 300:
        return {"schema": {"type": "string"}}
    kind = "integer" if re.fullmatch(r"-?\d{1,15}", value) else "string"
    if value in ("true", "false"):
        return {"schema": {"type": "boolean"}}
    return {"schema": {"type": kind}, **({"example": value} if value else {})}


def _texts(values: list[str]) -> dict[str, Any]:
    return {"schema": {"type": "array", "items": {"type": "string"}}, "example": values[:5]}


def _form_schema(one: Recorded) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, value in one.form:
        told = _text("" if _is_secret(name, value) else value)
        properties[name] = {**told["schema"], **({"example": told["example"]} if "example" in told else {})}
    for name in one.files:
        properties[name] = {"type": "string", "format": "binary"}
    return {"type": "object", "properties": properties}


def _content(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {kind: {"schema": schema}}}


def _safe(schema: Any) -> Any:
    """Without the values of fields that are secrets by their name."""
    if isinstance(schema, dict):
        inner = {name: _safe(one) for name, one in schema.items()}
        properties = inner.get("properties")
        for name, one in properties.items() if isinstance(properties, dict) else ():
            if isinstance(one, dict) and "example" in one:
                value = str(one["example"])
                if _is_secret(name, value) or _looks_secret(value):
                    del one["example"]
        return inner
    return schema


def _bare(node: Any) -> Any:
    """Without examples."""
    if isinstance(node, dict):
        return {name: _bare(one) for name, one in node.items() if name != "example" or isinstance(one, dict)}
    return [_bare(one) for one in node] if isinstance(node, list) else node


def _looks_secret(value: str) -> bool:
    """Long, with letters and digits, and nothing that people write."""
    return bool(_SECRET_VALUE.fullmatch(value)) or _RANDOM.fullmatch(value) is not None


def _is_secret(name: str, value: str) -> bool:
    return bool(value) and (_SECRET_NAME.fullmatch(name) is not None or bool(_SECRET_VALUE.fullmatch(value)))


def _header(headers: list[tuple[str, str]], name: str) -> str:
    return next((value for key, value in headers if key.lower() == name), "")


def _json(text: str) -> Any:
    try:
        return json.loads(_VARIABLE.sub(_as_json_value, text), strict=False)
    except (ValueError, RecursionError):
        return None


def _as_json_value(found: re.Match[str]) -> str:
    """`{"id": {{id}}}` is JSON once the variable is a value; inside quotes a word does as well."""
    before = found.string[: found.start()].rstrip()
    return f'"{found[1]}"' if before.endswith((":", "[", ",")) else found[1].replace('"', "")
