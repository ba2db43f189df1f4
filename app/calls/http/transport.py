"""The way out: httpx over aiohttp, with the guard where the socket is opened."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from functools import lru_cache
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from multidict import CIMultiDict
from yarl import URL

from app.calls.guard import Guard

_KEEP_IDLE_S = 4.0  # below the 5 s after which common servers close: a POST must not meet that
_MAX_LINE = 16 * 1024
_MAX_HEADER = 64 * 1024
_MAX_HEADERS = 512
_LARGE = 2**20  # above, aiohttp wants a file, which it sends in pieces


RawHeaders = Sequence[tuple[bytes, bytes]]


class CallToSend(httpx.Request):
    """A request whose parts were checked already.  The address and the headers as httpx knows them
    are built only for a transport that asks: that halves the cost of a small call."""

    def __init__(
        self, method: str, address: str, rows: Sequence[tuple[str, str]], body: bytes | None, connect_s: float
    ) -> None:
        self.method = method
        self.address = address
        self.rows = rows
        self.connect_s = connect_s
        self.extensions = {"timeout": {"connect": connect_s, "pool": connect_s}}
        self.stream = httpx.ByteStream(body or b"")
        self.read()

    def __getattr__(self, name: str) -> Any:
        if name == "url":
            self.url = httpx.URL(self.address)
            return self.url
        if name == "headers":
            self.headers = httpx.Headers(list(self.rows), encoding="utf-8")
            self.headers.setdefault("Host", self.url.netloc.decode("ascii"))
            if self.content or self.method in ("POST", "PUT", "PATCH"):
                self.headers["Content-Length"] = str(len(self.content))
            return self.headers
        raise AttributeError(name)


class GuardedTransport(AiohttpTransport):
    """Sends such requests without translating them twice."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(request, CallToSend):
            return await super().handle_async_request(request)
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        answer = await self.client.request(
            request.method,
            URL(request.address, encoded=True),
            headers=CIMultiDict(request.rows),
            data=_data(request.content),
            allow_redirects=False,
            timeout=_timeout(request.connect_s),
        )
        return AnswerToRead(answer.status, answer.raw_headers, _Answering(answer))


class AnswerToRead(httpx.Response):
    """The head of an answer; here too httpx's form of the headers is made for who asks."""

    def __init__(self, status: int, rows: RawHeaders, stream: httpx.AsyncByteStream) -> None:
        super().__init__(status, stream=stream)
        self.rows = rows
        del self.headers

    def __getattr__(self, name: str) -> Any:
        if name == "headers":
            self.headers = httpx.Headers(list(self.rows))
            return self.headers
        raise AttributeError(name)


class _Answering(httpx.AsyncByteStream):
    """The body as it arrives."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._answer.content.readany()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        self._answer.release()


def _data(body: bytes) -> bytes | io.BytesIO | None:
    if len(body) < _LARGE:
        return body or None
    return io.BytesIO(body)


@lru_cache(256)
def _timeout(connect_s: float) -> aiohttp.ClientTimeout:
    """For connecting alone, names included; the whole call has its own deadline."""
    return aiohttp.ClientTimeout(total=None, connect=connect_s, sock_connect=connect_s)


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

    return GuardedTransport(client=open_session)
