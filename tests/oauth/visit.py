"""A person in a browser who signs in at the club: leaves Plumbline by its page, comes back by its address."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from werkzeug.test import TestResponse

from app.storage.connections import connections
from app.storage.connections.connections import ConnectionRow
from tests.engine.world import World
from tests.web.browser import Browser

ACCESS, REFRESH = "access-canary-9a8b7c6d", "refresh-canary-5e4f3a2b"
TOKENS = {
    "access_token": ACCESS,
    "refresh_token": REFRESH,
    "expires_in": 3600,
    "scope": "openid members.write members.read",
}
_REFRESH = re.compile(r'<meta http-equiv="refresh" content="0; url=([^"]+)">')


def begin(browser: Browser, data: dict[str, Any] | None = None, key: str = "club") -> TestResponse:
    return browser.post(f"/sign-in/{key}", {"auth": "oauth", "name": "", **(data or {})})


def way_text(page: TestResponse) -> str:
    """Where the browser is sent."""
    found = _REFRESH.search(page.text)
    assert found is not None, page.text
    return html.unescape(found[1])


def way(page: TestResponse) -> tuple[str, dict[str, str]]:
    """The address it is sent to, and what stands in its query."""
    parts = urlsplit(way_text(page))
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return f"{parts.scheme}://{parts.netloc}{parts.path}", query


def leave(browser: Browser, data: dict[str, Any] | None = None) -> str:
    """The state that the browser brings back."""
    return way(begin(browser, data))[1]["state"]


def come_back(browser: Browser, key: str = "club", **answer: str) -> TestResponse:
    return browser.client.get(f"/sign-in/{key}/callback", query_string=answer)


def sign_in(browser: Browser, data: dict[str, Any] | None = None) -> TestResponse:
    return come_back(browser, state=leave(browser, data), code="the-code")


def rows(world: World) -> list[ConnectionRow]:
    """The connections that there are."""
    with world.parts.database.read() as db:
        return connections.list_connections(db)


def asked(world: World) -> dict[str, str]:
    """What the token endpoint got, in its only call."""
    (request,) = world.service.to("/token")
    return {name: values[0] for name, values in parse_qs(request.text).items()}
