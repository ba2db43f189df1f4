"""Where senders reach flows: `/hooks/<token>`.  No session, no cookies, answers in JSON.

It stands before Flask, in the server's event loop: a delivery needs none of what pages need, and while
it waits for its commit it holds no thread.  A burst costs a quarter of the work, and waits on nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from app.errors import AppError, DeliveryRefused, NotFound, Unavailable
from app.intake.deliveries.inbound import Accepted, MethodRefused
from app.log import fields

if TYPE_CHECKING:
    from app.intake.deliveries.webhooks import Deliveries

log = logging.getLogger("plumbline.hooks")

PREFIX = "/hooks/"
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

# A form on any page may post here: the secret is in the address, there is no cookie to misuse.
_ALWAYS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]
_PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, POST, PUT"),
    (b"access-control-allow-headers", b"Content-Type, Idempotency-Key"),
    (b"access-control-max-age", b"600"),
]
_JSON = (b"content-type", b"application/json")


class HookApp:
    """Takes the requests to addresses of flows and hands all others to the pages."""

    def __init__(self, pages: Application, deliveries: Deliveries, *, most_bytes: int) -> None:
        self._pages = pages
        self._deliveries = deliveries
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._pages(scope, receive, send)
            return
        status, headers, body = await self._answer(scope, receive)
        headers += [*_ALWAYS, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, Headers, bytes]:
        if scope["method"] == "OPTIONS":
            return 204, list(_PREFLIGHT), b""
        try:
            return _accepted(await self._accept(scope, receive))
        except AppError as reason:
            return _refused(reason)
        except Exception:  # a mistake of ours must not cost the sender's event: it is told to come again
            log.exception("%s", fields(event="accept_failed"))
            return _refused(Unavailable("Something went wrong here; nothing was accepted."))

    async def _accept(self, scope: Scope, receive: Receive) -> Accepted:
        body, fits = await self._body(scope, receive)
        path: str = scope["path"]
        return await self._deliveries.accept(
            path[len(PREFIX) :],
            method=scope["method"],
            path_url=path,
            query=scope["query_string"].decode("latin-1"),
            headers=[(_shown(name), value.decode("latin-1")) for name, value in scope["headers"]],
            body=body,
            remote_addr=(scope.get("client") or ("",))[0],
            too_large=not fits,
        )

    async def _body(self, scope: Scope, receive: Receive) -> tuple[bytes, bool]:
        """What was sent, unless it is too large; then it is not read to its end."""
        length = _length(scope)
        if length is not None and length > self._most_bytes:
            return b"", False
        message = await receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body", False):
            if len(body) > self._most_bytes:
                return b"", False
            message = await receive()
            body += message.get("body", b"")
        if message["type"] == "http.disconnect" or (length is not None and len(body) < length):
            raise DeliveryRefused("The body was cut off on its way.")
        return body, len(body) <= self._most_bytes


def _length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return None


@lru_cache(4096)
def _shown(name: bytes) -> str:
    """`x-shop-id` as people write it: `X-Shop-Id`."""
    return name.decode("latin-1").title()


def _accepted(accepted: Accepted) -> tuple[int, Headers, bytes]:
    if accepted.reply is None:
        return accepted.status, [_JSON], orjson.dumps(accepted.document())
    headers = [(b"content-type", accepted.reply_type.encode("latin-1"))]
    headers += [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in accepted.reply_headers.items()
    ]
    return accepted.status, headers, accepted.reply


def _refused(reason: AppError) -> tuple[int, Headers, bytes]:
    headers = [_JSON]
    status = 404 if isinstance(reason, NotFound) else 503
    if isinstance(reason, DeliveryRefused):
        status = reason.status
    if isinstance(reason, Unavailable):
        headers.append((b"retry-after", str(reason.retry_after_s).encode()))
    if isinstance(reason, MethodRefused):
        headers.append((b"allow", ", ".join(reason.allowed).encode()))
    return status, headers, orjson.dumps({"error": reason.sentence})
