"""Whether the browser that asked is still there, for answers that go on for minutes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from app.web.hooks import Application, Receive, Scope, Send

_GONE = "plumbline.gone"


class WatchReader:
    """Around the pages: their threads cannot see a connection close, the event loop can."""

    def __init__(self, pages: Application) -> None:
        self._pages = pages
        self._open: set[threading.Event] = set()

    def send_away(self) -> None:
        """The server is about to end: answers that go on for minutes end now."""
        for gone in self._open:
            gone.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._pages(scope, receive, send)
            return
        gone = scope[_GONE] = threading.Event()
        self._open.add(gone)
        watch = asyncio.create_task(_watch(receive, gone))
        try:
            await self._pages(scope, _nothing, send)
        finally:
            self._open.discard(gone)
            gone.set()
            watch.cancel()


async def _watch(receive: Receive, gone: threading.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()


async def _nothing() -> dict[str, Any]:
    """The body of a request that has none."""
    return {"type": "http.request", "body": b"", "more_body": False}


def pause_while_there(environ: Mapping[str, Any]) -> Callable[[float], bool]:
    """Sleeps for so many seconds; True as soon as the browser is gone."""
    gone = environ.get("asgi.scope", {}).get(_GONE)
    if isinstance(gone, threading.Event):
        return gone.wait
    return _sleep


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False
