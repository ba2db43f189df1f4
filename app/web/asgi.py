"""What the server serves: the door for deliveries in its event loop, pages on threads behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from a2wsgi import WSGIMiddleware

from app.web import create_app
from app.web.hooks import Application, HookDoor
from app.web.reader import WatchReader

if TYPE_CHECKING:
    from app.parts import Parts


def create_asgi(parts: Parts) -> HookDoor:
    pages = WSGIMiddleware(create_app(parts), workers=parts.settings.web_threads)  # type: ignore[arg-type]
    most_bytes = parts.settings.max_body_mb * 1024 * 1024
    return HookDoor(WatchReader(cast("Application", pages)), parts.intake, most_bytes=most_bytes)
