"""connector.yaml of a draft: its name, address, ways to connect and check."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from app.imports.apis.choices import Choices
from app.imports.apis.names import key_of, plain_text
from app.imports.apis.operations import OperationMaker
from app.imports.apis.servers import Base
from app.imports.apis.sign_in import SignIn, token_way

_URL = re.compile(r"https?://[^\s\"<>]{3,500}")
_MOST_WAYS = 6
_NOISE = re.compile(
    r"\s*[-–:|]?\s*\b(REST |Web )?(API|OpenAPI|Swagger)( Reference| Documentation| Specification)?s?"
    r"( v?\d[\d.]*)?\s*$",
    re.IGNORECASE,
)
_WHO = re.compile(
    r"/(me|whoami|self|account|accounts/me|users?/me|current[_-]?user|ping|status|health|profile|user"
    r"|auth\.test|getme|verify[a-z]*|account-info)/?(\.json)?$",
    re.IGNORECASE,
)


def head_of(
    root: Any,
    base: Base,
    sign_in: SignIn,
    maker: OperationMaker,
    choices: Choices,
    *,
    today: str,
    home: str,
    file: str,
) -> dict[str, Any]:
    info = root["info"] if isinstance(root.get("info"), dict) else {}
    name = choices.name or _name(info, home, file)
    external = root.get("externalDocs")
    contact = info.get("contact")
    found = [
        external.get("url") if isinstance(external, dict) else "",
        contact.get("url") if isinstance(contact, dict) else "",
        home,
        base.address,
        info.get("termsOfService"),
    ]
    fitting = [one for one in found if isinstance(one, str) and _URL.fullmatch(one) and "${" not in one]
    docs = fitting[0] if fitting else "https://www.openapis.org"
    head: dict[str, Any] = {
        "key": choices.key or key_of(name, set(), "api"),
        "name": name,
        "category": "other",
        "description": plain_text(info.get("description"), 300) or f"From {name}’s own description.",
        "owner": "you",
        "docs": docs,
        "api": {"base_url": base.address, "checked": today},
    }
    if version := str(info.get("version") or "")[:60]:
        head["api"]["version"] = plain_text(version)
    ways = sign_in.blocks()[:_MOST_WAYS]
    fields = [*base.fields]
    if fields:
        head["connection_fields"] = fields
    made: list[dict[str, Any]] = []
    taken: set[str] = set()
    for way in ways:
        auth = {word: one for word, one in way.auth.items() if one not in ("", None)}
        auth["key"] = key_of(str(auth["key"]), taken)
        taken.add(auth["key"])
        made.append(auth)
    if extra := token_way(ways):
        made.append(extra)
    head["auth"] = made or [{"key": "open", "type": "none", "label": "Nothing needed"}]
    headers = {name: value for way in ways for name, value in way.headers.items()}
    if headers:
        head["headers"] = headers
    if check := _check(maker):
        head["check"] = {"request": check}
    return head


def _name(info: dict[str, Any], home: str, file: str) -> str:
    title = plain_text(info.get("title"), 80)
    title = re.sub(r"[\"\\{}$]", "", title)
    title = _NOISE.sub("", title).strip() or title
    return title or urlsplit(home).hostname or PurePath(file).stem or "API"


def _check(maker: OperationMaker) -> dict[str, Any] | None:
    """What “Test connection” asks: who am I, else the shortest list that needs nothing."""
    free = [one for one in maker.made_requests if one[1]["method"] == "GET" and not _needs_input(one[1])]
    if not free:
        return None
    locked = [one for one in free if one[2]] or free
    _, request, _ = min(locked, key=lambda one: (not _WHO.search(one[0]), one[0].count("/"), len(one[0])))
    query = {
        name: value
        for name, value in request.get("query", {}).items()
        if isinstance(value, str) and "${input." not in value
    }
    made = {"method": "GET", "path": request["path"]}
    return {**made, "query": query} if query else made


def _needs_input(request: dict[str, Any]) -> bool:
    return "${input." in request["path"] or bool(request.get("needs"))
