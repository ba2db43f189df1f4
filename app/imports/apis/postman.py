"""A Postman collection (2.0 and 2.1): folders, variables, and sign-ins that are inherited."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from app.errors import ConnectorInvalid
from app.imports.apis.samples import AsDocument, Collector, Recorded

_MOST = 2_000
_DEEPEST = 20
_VARIABLE = re.compile(r"\{\{\s*([^{}]{1,80}?)\s*\}\}")


def is_postman(root: Any) -> bool:
    info = root.get("info") if isinstance(root, dict) else None
    return isinstance(info, dict) and isinstance(root.get("item"), list)


def read_postman(root: Any, file: str) -> AsDocument:
    """Requests of the commonest host; the others are named."""
    rows = root.get("variable") or []
    variables = {
        str(one.get("key") or one.get("id")): str(one["value"])
        for one in rows
        if isinstance(one, dict) and isinstance(one.get("value"), str | int | float) and one["value"] != ""
    }
    found = list(_requests(root["item"], variables, _auth(root.get("auth"), variables), "", 0))[:_MOST]
    if not found:
        raise ConnectorInvalid("the collection holds no request.", file=file)
    servers = [_server(one.url) for one in found]
    main = max(dict.fromkeys(servers), key=servers.count)
    collector = Collector(str(root["info"].get("name") or "API"), main)
    left = []
    for one, server in zip(found, servers, strict=True):
        if server == main:
            one.url = re.sub(r"^\{\{[^{}]*\}\}", "https://server", one.url)
            collector.add(one)
        elif server not in left:
            left.append(server)
    notes = [f"Requests to {other[:100]} are left out: another service." for other in left[:10]]
    return collector.document(notes)


def _server(url: str) -> str:
    """`{{base}}/orders`: a variable without a value is asked for in the connection."""
    found = re.match(r"\{\{\s*([^{}]+?)\s*\}\}", url)
    if found:
        return "{" + (re.sub(r"\W+", "_", found[1]) or "server") + "}"
    parts = urlsplit(url if "://" in url else f"https://{url}")
    return _VARIABLE.sub(
        lambda one: "{" + re.sub(r"\W+", "_", one[1]) + "}", f"{parts.scheme}://{parts.netloc}"
    )


def _filled(text: str, variables: dict[str, str]) -> str:
    for _ in range(3):  # a variable may name another
        text = _VARIABLE.sub(lambda one: variables.get(one[1], one[0]), text[:20_000])
    return text


def _requests(
    items: Any, variables: dict[str, str], auth: Any, folder: str, depth: int
) -> Iterator[Recorded]:
    for item in items if isinstance(items, list) and depth <= _DEEPEST else ():
        if not isinstance(item, dict):
            continue
        name = str(item.get("name") or "")[:120]
        own = _auth(item.get("auth"), variables) or auth
        if isinstance(item.get("item"), list):
            yield from _requests(item["item"], variables, own, name, depth + 1)
        elif item.get("request"):
            one = _request(item, variables, own)
            one.name, one.folder = name, folder
            yield one


def _request(item: Any, variables: dict[str, str], auth: Any) -> Recorded:
    told = item["request"]
    if isinstance(told, str):
        return Recorded("GET", _whole(_filled(told, variables)), auth=auth)
    described = told.get("description")
    url = told.get("url")
    part = url.get("variable") if isinstance(url, dict) else None
    one = Recorded(
        str(told.get("method") or "GET").upper(),
        _whole(_filled(_url(told.get("url")), variables)),
        description=str(described.get("content") if isinstance(described, dict) else described or ""),
        headers=_rows(told.get("header"), variables),
        path_values=dict(_rows(part, variables)),
        auth=_auth(told.get("auth"), variables) or auth,
    )
    _body(one, told.get("body"), variables)
    one.answer = _answer(item.get("response"))
    return one


def _whole(url: str) -> str:
    return url if "://" in url or url.startswith("{{") else f"https://{url}"


def _url(url: Any) -> str:
    if isinstance(url, str):
        return url
    if not isinstance(url, dict):
        return ""
    if isinstance(url.get("raw"), str):
        return str(url["raw"])
    host = url.get("host")
    path = url.get("path")
    words = ".".join(map(str, host)) if isinstance(host, list) else str(host or "")
    rest = "/".join(str(one) for one in path) if isinstance(path, list) else str(path or "")
    return f"{url.get('protocol') or 'https'}://{words}/{rest}"


def _rows(rows: Any, variables: dict[str, str]) -> list[tuple[str, str]]:
    if isinstance(rows, str):
        pairs = [line.partition(":") for line in rows.splitlines()]
        return [(name.strip(), _filled(value.strip(), variables)) for name, _, value in pairs if name.strip()]
    return [
        (str(one.get("key")), _filled(str(one.get("value") or ""), variables))
        for one in rows or []
        if isinstance(one, dict) and one.get("key") and not one.get("disabled") and one.get("type") != "file"
    ]


def _body(one: Recorded, body: Any, variables: dict[str, str]) -> None:
    if not isinstance(body, dict) or body.get("disabled"):
        return
    mode = body.get("mode")
    if mode == "raw":
        one.text = _filled(str(body.get("raw") or ""), variables)
    elif mode == "urlencoded":
        one.form = _rows(body.get("urlencoded"), variables)
    elif mode == "formdata":
        rows = body.get("formdata")
        one.form, one.content_type = _rows(rows, variables), "multipart/form-data"
        files = [row for row in rows or [] if isinstance(row, dict) and row.get("type") == "file"]
        one.files = [str(row["key"]) for row in files if row.get("key")]
    elif mode == "graphql" and isinstance(body.get("graphql"), dict):
        one.text, one.content_type = '{"query": "", "variables": {}}', "application/json"
    elif mode == "file":
        one.text, one.content_type = "file", "application/octet-stream"


def _auth(auth: Any, variables: dict[str, str]) -> Any:
    """(kind, its facts); 2.0 writes a table where 2.1 writes rows."""
    if not isinstance(auth, dict) or not isinstance(auth.get("type"), str) or auth["type"] == "noauth":
        return None
    told = auth.get(auth["type"])
    if isinstance(told, list):
        told = {str(one.get("key")): one.get("value") for one in told if isinstance(one, dict)}
    facts = told if isinstance(told, dict) else {}
    return auth["type"], {str(key): _filled(str(value), variables) for key, value in facts.items()}


def _answer(responses: Any) -> Any:
    for one in responses if isinstance(responses, list) else ():
        if isinstance(one, dict) and isinstance(one.get("body"), str) and str(one.get("code", 200))[0] == "2":
            try:
                found = json.loads(one["body"], strict=False)
            except (ValueError, RecursionError):
                continue
            if isinstance(found, dict | list):
                return found
    return None
