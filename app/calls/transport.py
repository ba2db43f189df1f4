"""The way out: httpx over aiohttp, with the guard where the socket is opened."""

from __future__ import annotations

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from app.calls.guard import Guard

_KEEP_IDLE_S = 4.0  # below the 5 s after which common servers close: a POST must not meet that
_MAX_LINE = 16 * 1024
_MAX_HEADER = 64 * 1024
_MAX_HEADERS = 512


def open_transport(guard: Guard) -> httpx.AsyncBaseTransport:
    """To be called inside the loop that makes the calls.  No proxy of the environment, no cookies
    kept between calls, answers as they come (inflating is ours, bounded)."""

    def open_session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=0,
            socket_factory=guard.socket_factory,
            ssl=httpx.create_ssl_context(),
            keepalive_timeout=_KEEP_IDLE_S,
            ttl_dns_cache=30,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_HEADER,
            max_headers=_MAX_HEADERS,
            skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
        )

    return AiohttpTransport(client=open_session)
