"""The server: deliveries, pages, engine, ticks and writer in one process, and its clean end."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
from typing import Any, cast

import uvicorn

from app.errors import SettingInvalid
from app.log import fields, set_up_logging
from app.parts import ALL_ROLES, Parts, open_parts
from app.server_connection import BoundedConnection
from app.settings import Settings
from app.web.account import setup_link
from app.web.asgi import Pages, create_asgi

log = logging.getLogger("plumbline.server")

_GRACE_S = 20.0
_GRACE_OF_PAGES_S = 5
_IDLE_CONNECTION_S = 75  # longer than most senders and proxies keep one, so that they close it


def serve(settings: Settings, roles: frozenset[str] = ALL_ROLES) -> None:
    """Serve until SIGTERM or SIGINT.  Raises SettingInvalid when it cannot start."""
    set_up_logging(settings.log_level)
    # Deliveries, writer and engine hand the interpreter to each other many times per group of
    # commits: with the usual 5 ms each of them waits for the other's turn to end.
    sys.setswitchinterval(0.001)
    _check_port(settings)
    parts = open_parts(settings, roles=roles)
    try:
        parts.start()
        pages = Pages(parts)
        _spare_the_collector()
        _serve_web(parts, pages)
    finally:
        parts.stop(_GRACE_S)
        log.info("%s", fields(event="stopped"))
    if not pages.close(_GRACE_OF_PAGES_S):
        log.warning("%s", fields(event="page_left_behind"))
        logging.shutdown()
        os._exit(0)  # everything is on disk; the interpreter would wait for that page without end


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, parts: Parts, pages: Pages) -> None:
        super().__init__(config)
        self._parts = parts
        self._pages = pages

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _greet(self._parts)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._pages.send_away()
        await super().shutdown(sockets)


def _serve_web(parts: Parts, pages: Pages) -> None:
    settings = parts.settings
    config = uvicorn.Config(
        cast("Any", create_asgi(parts, pages)),
        host=settings.host,
        port=settings.port,
        http=BoundedConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_CONNECTION_S,
        timeout_graceful_shutdown=_GRACE_OF_PAGES_S,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again once it has ended, and then the rest has to be stopped
        signal.signal(number, lambda *_: None)
    _Server(config, parts, pages).run()


def _spare_the_collector() -> None:
    """What is there once the server stands stays to the end; looking through it again and again for
    garbage cost a twentieth of all CPU time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _greet(parts: Parts) -> None:
    if (link := setup_link(parts)) is not None:
        print(f"Make the owner's account (this link works once): {link}", flush=True)
    print(f"Plumbline is ready: {parts.settings.base_url}", flush=True)


def _check_port(settings: Settings) -> None:
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as reason:
            raise SettingInvalid(
                f"The address {settings.host}:{settings.port} cannot be used ({reason.strerror}).",
                remedy="Stop what listens there, or set PLUMBLINE_PORT.",
            ) from reason
