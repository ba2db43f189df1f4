"""A connector's files as forms: what was typed goes over what is in the file; what no form shows stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

from app.catalog.format.definition import Category, FieldType, OutputType
from app.errors import ConnectorInvalid
from app.web.builder.forms import nested

Data = dict[str, Any]

CATEGORIES = tuple(get_args(Category))
FIELD_TYPES = tuple(one for one in get_args(FieldType) if one != "fields")
OUTPUT_TYPES = tuple(get_args(OutputType))
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
BODY_KINDS = (("json", "JSON"), ("form", "Form fields"))
AUTH_KINDS = (
    ("bearer", "A token, sent as “Authorization: Bearer …”"),
    ("header", "A key in a header"),
    ("query", "A key in the address"),
    ("basic", "User name and password"),
    ("none", "Nothing"),
)
_MOST_FIELDS_OF_A_SAMPLE = 40
_BLANK_ROWS = 3
_SIMPLE = ("bearer", "api_key", "basic", "none")


def typed(form: Any) -> Data:
    """What a form says, nested by the names of its fields."""
    return nested(form.items(multi=True))


_OF_CONNECTOR = (
    *("key", "name", "category", "description", "owner", "docs", "base_url", "version"),
    *("auth", "auth_name", "check_path", "account", "limit", "per"),
)
_OF_OPERATION = (
    *("key", "label", "description", "docs", "idempotent", "method", "path", "body", "body_kind"),
    *("every", "items", "dedupe", "cursor_path", "cursor_type", "sample"),
)
_OF_ROWS = {
    "input": ("key", "label", "type", "help", "required", "choices"),
    "query": ("name", "value"),
    "output": ("path", "label", "type"),
}


def shown(form: Data) -> Data:
    """With a text for everything that a page may show, and a few empty rows: without JavaScript the
    form grows by these."""
    whole: Data = dict.fromkeys((*_OF_CONNECTOR, *_OF_OPERATION), "") | form
    for name, columns in _OF_ROWS.items():
        blank = dict.fromkeys(columns, "")
        filled = [row for row in _rows(whole, name) if any(row.values())]
        whole[name] = [blank | row for row in [*filled, *[{}] * _BLANK_ROWS]]
    return whole


# ------------------------------------------------------------------------------ the connector


def connector_form(data: Data) -> Data:
    """The file as the form shows it."""
    auth = (data.get("auth") or [{}])[0]
    check = (data.get("check") or {}).get("request") or {}
    limit = (data.get("limits") or [{}])[0]
    api = data.get("api") or {}
    return {
        **{name: data.get(name, "") for name in ("key", "name", "category", "description", "owner", "docs")},
        "base_url": api.get("base_url", ""),
        "version": api.get("version", ""),
        "auth": _auth_kind(data),
        "auth_name": auth.get("name", ""),
        "check_path": check.get("path", "") if check.get("method", "GET") == "GET" else "",
        "account": (data.get("check") or {}).get("account", ""),
        "limit": limit.get("requests", ""),
        "per": limit.get("per", "1m"),
    }


def _auth_kind(data: Data) -> str:
    """'' where the file says more than the form can."""
    blocks = data.get("auth") or []
    if len(blocks) != 1 or blocks[0].get("type") not in _SIMPLE:
        return "" if blocks else "bearer"
    kind = blocks[0]["type"]
    return blocks[0].get("location", "header") if kind == "api_key" else str(kind)


def connector_data(old: Data, form: Data, today: str) -> Data:
    """The file with what the form says.  Raises ConnectorInvalid."""
    data = dict(old)
    for name in ("key", "name", "category", "description", "owner", "docs"):
        data[name] = _text(form, name) if name != "key" or "key" not in old else old["key"]
    data["docs"] = data["docs"] or _text(form, "base_url")
    data["api"] = {
        **(old.get("api") or {}),
        "base_url": _text(form, "base_url").rstrip("/"),
        "version": _text(form, "version"),
        "checked": today,
    }
    if _text(form, "auth"):
        data["auth"] = [_auth(_text(form, "auth"), _text(form, "auth_name"))]
    _set_check(data, _text(form, "check_path"), _text(form, "account"))
    _set_limit(data, _text(form, "limit"), _text(form, "per"))
    return data


def _auth(kind: str, name: str) -> Data:
    secret = {"key": "api_key", "label": "API key", "secret": True}
    if kind == "bearer":
        fields = [{"key": "token", "label": "Token", "secret": True}]
        return {"key": "token", "type": "bearer", "label": "Access token", "fields": fields}
    if kind in ("header", "query"):
        named = name or ("X-Api-Key" if kind == "header" else "api_key")
        place = {"location": kind, "name": named, "value": "${connection.api_key}"}
        return {"key": "api_key", "type": "api_key", "label": "API key", **place, "fields": [secret]}
    if kind == "basic":
        pair = {"username": "${connection.username}", "password": "${connection.password}"}
        fields = [
            {"key": "username", "label": "User name"},
            {"key": "password", "label": "Password", "secret": True},
        ]
        return {
            "key": "password",
            "type": "basic",
            "label": "User name and password",
            **pair,
            "fields": fields,
        }
    return {"key": "open", "type": "none", "label": "Nothing needed"}


def _set_check(data: Data, path: str, account: str) -> None:
    if not path:
        if (data.get("check") or {}).get("request", {}).get("method", "GET") == "GET":
            data.pop("check", None)
        return
    check = dict(data.get("check") or {})
    check["request"] = {**(check.get("request") or {}), "method": "GET", "path": path}
    check.pop("account", None)
    data["check"] = {**check, **({"account": account} if account else {})}


def _set_limit(data: Data, number: str, per: str) -> None:
    others = list(data.get("limits") or [])[1:]
    if not number:
        data["limits"] = others
        return
    if not number.isdecimal() or len(number) > 9:
        raise ConnectorInvalid(f"“{number[:40]}” is not a number of calls.", file="", field="limit")
    first = dict((data.get("limits") or [{"key": "calls", "default": True}])[0])
    data["limits"] = [{**first, "requests": int(number), "per": per or "1m"}, *others]


# ------------------------------------------------------------------------- actions and triggers


def operation_form(part: str, data: Data) -> Data:
    request = (data.get("requests") or [{}])[0] if part == "actions" else data.get("request") or {}
    cursor = data.get("cursor") or {}
    body = request.get("body")
    query = [{"name": key, "value": _shown(value)} for key, value in (request.get("query") or {}).items()]
    return {
        **{name: data.get(name, "") for name in ("key", "label", "description", "docs")},
        "idempotent": bool(data.get("idempotent")),
        "method": request.get("method", "POST" if part == "actions" else "GET"),
        "path": request.get("path", ""),
        "query": query,
        "body": "" if body is None else json.dumps(body, indent=2, ensure_ascii=False),
        "body_kind": request.get("body_kind", "json"),
        "input": [dict(row) for row in data.get("input") or []],
        "output": [dict(row) for row in (data.get("output") or {}).get("fields") or []],
        "every": data.get("every", "5m"),
        "items": data.get("items", "$[*]"),
        "dedupe": data.get("dedupe", "$.id"),
        "cursor_path": cursor.get("path", ""),
        "cursor_type": cursor.get("type", "datetime"),
    }


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def operation_data(part: str, old: Data, form: Data, docs: str) -> Data:
    """The file of an action, or of a trigger that polls.  Raises ConnectorInvalid."""
    data = dict(old)
    data["key"] = old.get("key") or _text(form, "key")
    for name in ("label", "description", "docs"):
        data[name] = _text(form, name) or (docs if name == "docs" else "")
    if part == "actions":
        data["idempotent"] = bool(form.get("idempotent"))
    else:
        data |= {"kind": "poll", "every": _text(form, "every") or "5m"}
    known = {row.get("key"): row for row in old.get("input") or []}
    data["input"] = [_input_row(row, known) for row in _rows(form, "input") if _text(row, "key")]
    request = (old.get("requests") or [{}])[0] if part == "actions" else old.get("request") or {}
    made = _request(dict(request), form)
    if part == "actions":
        data["requests"] = [made, *(old.get("requests") or [])[1:]]
    else:
        data["request"] = made
        _set_records(data, form)
    output = old.get("output") or {}
    data["output"] = {**output, "fields": _outputs(form, output.get("fields") or [])}
    return data


def _request(request: Data, form: Data) -> Data:
    request |= {"method": _text(form, "method") or "GET", "path": _text(form, "path")}
    named = [row for row in _rows(form, "query") if _text(row, "name")]
    rows = {_text(row, "name"): _value(row.get("value", "")) for row in named}
    request["query"] = rows
    body = _text(form, "body")
    for name in ("body", "body_kind"):
        request.pop(name, None)
    if body and request["method"] != "GET":
        request["body"] = _json(body)
        if _text(form, "body_kind") == "form":
            request["body_kind"] = "form"
    return request if rows else {key: value for key, value in request.items() if key != "query"}


def _value(text: Any) -> Any:
    """Lists and tables that were in the file come back as they were; all else is text."""
    if isinstance(text, str) and text[:1] in ("[", "{") and "${" not in text[:2]:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as reason:
        raise ConnectorInvalid(
            f"this is not JSON: {reason}.",
            file="",
            field="body",
            remedy='Write it like {"email": "${input.email}"}: each ${input.…} inside quotes.',
        ) from reason


def _set_records(data: Data, form: Data) -> None:
    data |= {"items": _text(form, "items") or "$[*]", "dedupe": _text(form, "dedupe") or "$.id"}
    path = _text(form, "cursor_path")
    cursor = data.pop("cursor", None) or {}
    if path:
        kind = _text(form, "cursor_type") or "datetime"
        data["cursor"] = {"start": "now", **cursor, "path": path, "type": kind}


def _input_row(row: Data, known: dict[Any, Data]) -> Data:
    """`known`: the file's own rows, for what no form shows."""
    key = _text(row, "key")
    shown = ("required", "choices", "help")
    made = {name: value for name, value in known.get(key, {}).items() if name not in shown}
    made |= {"key": key, "label": _text(row, "label") or _words(key), "type": _text(row, "type") or "string"}
    if row.get("required"):
        made["required"] = True
    if _text(row, "help"):
        made["help"] = _text(row, "help")
    choices = [one.strip() for one in _text(row, "choices").split(",") if one.strip()]
    return {**made, "choices": choices} if choices else made


def _outputs(form: Data, known: list[Data]) -> list[Data]:
    """What the rows say; with a sample answer, its fields in their place."""
    sample = _text(form, "sample")
    if sample:
        return fields_of(_json(sample))
    samples = {row.get("path"): row["sample"] for row in known if "sample" in row}
    made = []
    for row in _rows(form, "output"):
        if path := _text(row, "path"):
            kept = {"sample": samples[path]} if path in samples else {}
            label = _text(row, "label") or _words(path)
            made.append({"path": path, "label": label, "type": _text(row, "type") or "string", **kept})
    return made


def fields_of(document: Any) -> list[Data]:
    """The values in an answer as fields that later steps can pick."""
    found: list[Data] = []
    for path, value in _leaves(document, "$"):
        kind = _type_of(value)
        if kind and len(found) < _MOST_FIELDS_OF_A_SAMPLE:
            kept = {} if kind in ("list", "object") else {"sample": value}
            found.append({"path": path, "label": _words(path), "type": kind, **kept})
    return found


def _leaves(value: Any, path: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and depth < 6:
        for key, inner in value.items():
            plain = isinstance(key, str) and key.replace("_", "a").isalnum() and not key[:1].isdigit()
            quoted = str(key).replace("\\", "\\\\").replace("'", "\\'")
            yield from _leaves(inner, f"{path}.{key}" if plain else f"{path}['{quoted}']", depth + 1)
    elif isinstance(value, list) and value and isinstance(value[0], dict) and depth < 6:
        yield from _leaves(value[0], f"{path}[0]", depth + 1)
    elif path != "$":
        yield path, value


def _type_of(value: Any) -> str:
    if value is None:
        return "string"
    kinds = {bool: "bool", int: "integer", float: "number", str: "string", list: "list", dict: "object"}
    return kinds.get(type(value), "string")


def _words(path: str) -> str:
    """`$.customer.first_name` -> `Customer first name`."""
    plain = "".join(letter if letter.isalnum() else " " for letter in path)
    return " ".join(plain.split()).capitalize()[:80] or "Value"


def _rows(form: Data, name: str) -> list[Data]:
    rows = form.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _text(form: Data, name: str) -> str:
    value = form.get(name)
    return value.strip() if isinstance(value, str) else ""
