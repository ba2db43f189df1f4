"""What the demo services have in common: their parts, the log of calls, and checks of a request."""

from __future__ import annotations

import hmac
import json
import re
from dataclasses import dataclass, field
from typing import Any

from flask import Response, abort, current_app, request

from seed_data.services.faults import Faults, RateLimit, refusal, too_many
from seed_data.services.outbox import Outbox
from seed_data.services.shelf import Shelf, Thing, now_text

# Printed on the pages: whoever tries Plumbline with these services needs them.
KEYS = {"shop": "demo-shop-key", "crm": "demo-crm-key", "mail": "demo-mail-key", "chat": "demo-chat-key"}
SECRETS = {"shop": "demo-shop-signing-secret", "crm": "demo-crm-signing-secret"}
_EMAIL = re.compile(r"[^\s@<>,;]{1,64}@[^\s@<>,;]{1,180}\.[^\s@<>,;]{2,}")
_CALLS_KEPT = 200


@dataclass
class Services:
    shelf: Shelf
    outbox: Outbox
    faults: Faults
    limits: dict[str, RateLimit] = field(default_factory=dict)


def services() -> Services:
    found = current_app.extensions["services"]
    assert isinstance(found, Services)
    return found


def is_email(text: Any) -> bool:
    return isinstance(text, str) and _EMAIL.fullmatch(text) is not None


def require_key(service: str, given: str) -> Response | None:
    """The refusal, or None: key, rate limit and the switch of the page are all right."""
    if not hmac.compare_digest(given.encode(), KEYS[service].encode()):
        return refusal(401, "This key is not known here.")
    if (fault := services().faults.answer(service)) is not None:
        return fault
    limit = services().limits.get(service)
    wait = limit.wait_s() if limit is not None else 0.0
    return too_many(max(1, round(wait))) if wait > 0 else None


def bearer() -> str:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if kind.lower() == "bearer" else ""


def json_object() -> Thing:
    """The body, which has to be a JSON object; else 400."""
    document = request.get_json(silent=True)
    if not isinstance(document, dict):
        abort(refusal(400, "The body has to be a JSON object."))
    return document


def page_of(rows: list[Any], *, most: int = 50) -> tuple[list[Any], int | None]:
    """The page asked for by `page` and `per_page`, and the number of the next one."""
    number = max(1, request.args.get("page", 1, int))
    size = min(max(1, request.args.get("per_page", most, int)), most)
    part = rows[(number - 1) * size : number * size]
    return part, number + 1 if number * size < len(rows) else None


def log_call(answer: Response) -> Response:
    """Keeps every call of the services' APIs, so that their pages can show what arrived."""
    service = request.path.split("/")[1]
    if "/api/" in request.path and service in ("shop", "crm", "mail", "chat", "site"):
        shelf = services().shelf
        shelf.add(
            f"{service}.call",
            {
                "at": now_text(),
                "method": request.method,
                "path": request.full_path.rstrip("?"),
                "status": answer.status_code,
                "body": _excerpt(request.get_data(cache=True)),
                "key": request.headers.get("Idempotency-Key", ""),
            },
        )
        shelf.trim(f"{service}.call", _CALLS_KEPT)
    return answer


def _excerpt(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), ensure_ascii=False)[:400]
    except ValueError:
        return body[:400].decode("utf-8", "replace")


def once(service: str, key: str) -> Thing | None:
    """What the first call under this idempotency key was answered, if there was one."""
    return services().shelf.get(f"{service}.answered", key) if key else None


def remember(service: str, key: str, answer: Thing) -> None:
    if key:
        services().shelf.put(f"{service}.answered", key, answer)
        services().shelf.trim(f"{service}.answered", 1000)
