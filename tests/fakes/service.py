"""A scriptable service behind httpx.MockTransport: what it answers is said beforehand, what it got
is kept.

    service = FakeService()
    service.answers("POST", "/contacts", (429, {"message": "slow down"}, {"Retry-After": "7"}), {"id": 7})
    caller = Caller(settings, clock, transport=service.transport)
    ...
    assert service.requests[0].json == {"email": "ada@example.com"}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

Headers = Mapping[str, str]
Reply = httpx.Response | Exception | dict[str, Any] | list[Any] | str | bytes | int | tuple[Any, ...]
Script = Reply | Callable[["Received"], Reply]


@dataclass(frozen=True)
class Received:
    method: str
    url: str
    host: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Route:
    """Answers in order; the last one stays."""

    method: str
    place: str
    script: list[Script]
    used: int = 0

    def matches(self, received: Received) -> bool:
        if self.method not in ("*", received.method):
            return False
        place = self.place
        return place in ("*", received.path, f"{received.host}{received.path}", received.host)

    def next(self) -> Script:
        step = self.script[min(self.used, len(self.script) - 1)]
        self.used += 1
        return step


@dataclass
class FakeService:
    """A reply is a document (200, JSON), a text, bytes, a status, (status, document[, headers]), an
    httpx.Response, an exception to raise, or a function of the request that returns one of these."""

    routes: list[Route] = field(default_factory=list)
    requests: list[Received] = field(default_factory=list)

    def answers(self, method: str, place: str, *script: Script) -> FakeService:
        """`place`: a path, host + path, a host, or `*`; `method` may be `*`.  A later rule for the
        same place wins."""
        self.routes.insert(0, Route(method, place, list(script)))
        return self

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._handle)

    def to(self, path: str) -> list[Received]:
        """The requests that path has got so far."""
        return [one for one in self.requests if one.path == path]

    def _handle(self, request: httpx.Request) -> httpx.Response:
        received = Received(
            method=request.method,
            url=str(request.url),
            host=request.url.host,
            path=request.url.path,
            query=dict(request.url.params),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=request.content,
        )
        self.requests.append(received)
        route = next((one for one in self.routes if one.matches(received)), None)
        if route is None:
            return httpx.Response(404, json={"message": f"nothing at {received.method} {received.path}"})
        step = route.next()
        return _response(step(received) if callable(step) else step)


def _response(reply: Reply) -> httpx.Response:
    if isinstance(reply, Exception):
        raise reply
    if isinstance(reply, httpx.Response):
        # A response may be given once only; the same script may answer several times.
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)
    if isinstance(reply, int):
        return httpx.Response(reply)
    if isinstance(reply, tuple):
        status, document, *rest = reply
        response = _response(document) if document is not None else httpx.Response(200)
        headers = {**response.headers, **(rest[0] if rest else {})}
        return httpx.Response(status, headers=headers, content=response.content)
    if isinstance(reply, str):
        return httpx.Response(200, text=reply)
    if isinstance(reply, bytes):
        return httpx.Response(200, content=reply)
    return httpx.Response(200, json=reply)
