"""What the server serves: the door for deliveries in its event loop, pages on threads behind it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, cast

from a2wsgi import WSGIMiddleware

from app.web import create_app
from app.web.hooks import Application, HookApp
from app.web.reader import WatchReader

if TYPE_CHECKING:
    from app.parts import Parts


class Pages(WatchReader):
    """Flask's pages on threads of their own."""

    def __init__(self, parts: Parts) -> None:
        flask = WSGIMiddleware(create_app(parts), workers=parts.settings.web_threads)  # type: ignore[arg-type]
        super().__init__(cast("Application", flask))
        self._threads = flask.executor

    def close(self, wait_s: float) -> bool:
        """Whether all threads ended; one that hangs in a page would keep the process for ever."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        until = time.monotonic() + wait_s
        mine = [thread for thread in threading.enumerate() if thread.name.startswith("WSGI")]
        for thread in mine:
            thread.join(max(until - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in mine)


def create_asgi(parts: Parts, pages: Pages | None = None) -> HookApp:
    most_bytes = parts.settings.max_body_mb * 1024 * 1024
    return HookApp(pages or Pages(parts), parts.intake.deliveries, most_bytes=most_bytes)
