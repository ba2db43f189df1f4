"""Flows for the tests of the builder, and its forms as a browser sends them."""

from __future__ import annotations

import re
from typing import Any

from werkzeug.test import TestResponse

from app.calls.connections.book import seal_secrets
from app.flows.model import FlowDefinition, HttpStep, walk
from app.ids import new_id
from app.parts import Parts
from app.storage.connections.connections import create_connection
from app.storage.flows.flows import FlowRow, create_flow, get_flow, get_samples, set_sample
from tests.web.browser import Browser

ORDER = {
    "email": "ana.silva@example.com",
    "first_name": "ana",
    "phone": None,
    "total": 184.5,
    "created_at": "2026-11-18T09:24:11Z",
    "line_items": [{"title": "Trail shoes", "price": 129.0}, {"title": "Socks", "price": 27.75}],
}
REQUEST = {
    "id": "s1",
    "kind": "http",
    "request": {"method": "POST", "url": "https://api.example.com/contacts", "body_kind": "json"},
}


def make_flow(
    parts: Parts, *steps: dict[str, Any], sample: Any = ORDER, name: str = "Orders", **facts: Any
) -> str:
    data = {"name": name, "trigger": {"kind": "webhook"}, "steps": list(steps), **facts}
    definition = FlowDefinition.model_validate(data)
    now = parts.clock.now()
    flow_id = parts.database.write(
        lambda db: create_flow(db, name=name, definition=definition, owner_id=None, now=now)
    )
    if sample is not None:
        parts.database.write(lambda db: set_sample(db, flow_id, sample))
    return flow_id


def stored(parts: Parts, flow_id: str) -> FlowRow:
    with parts.database.read() as db:
        return get_flow(db, flow_id)


def samples(parts: Parts, flow_id: str) -> dict[str, Any]:
    with parts.database.read() as db:
        return get_samples(db, flow_id)


def web_request(parts: Parts, flow_id: str) -> HttpStep:
    """The first step of the draft."""
    step = next(walk(stored(parts, flow_id).draft.steps))
    assert isinstance(step, HttpStep)
    return step


def send(browser: Browser, parts: Parts, flow_id: str, path: str, **fields: str) -> TestResponse:
    """A form of the builder as htmx sends it, based on the newest revision.  `__` in a name is a dot."""
    data = {name.replace("__", "."): value for name, value in fields.items()}
    revision = str(stored(parts, flow_id).draft_revision)
    return browser.post_part(f"/flows/{flow_id}/{path}", {"revision": revision} | data)


def part(answer: TestResponse, target: str) -> str:
    """What an answer puts into one place of the page."""
    found = re.search(
        rf'<hx-partial hx-target="{re.escape(target)}"[^>]*>(.*?)</hx-partial>', answer.text, re.S
    )
    return found[1] if found else ""


def connect(parts: Parts, connector: str, auth: str, secrets: dict[str, str], **public: str) -> str:
    """A connection as the page for connections keeps it."""
    connection_id, now = new_id("con"), parts.clock.now()
    sealed = seal_secrets(parts.vault, connection_id, secrets)
    return parts.database.write(
        lambda db: create_connection(
            db,
            connection_id=connection_id,
            connector=connector,
            name=f"{connector} account",
            auth=auth,
            public=public,
            sealed=sealed,
            owner_id=None,
            now=now,
        )
    )
