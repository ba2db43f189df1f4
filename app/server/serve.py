"""The server: deliveries, pages, engine, ticks and writer in one process, and its clean end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from functools import partial

import uvicorn

from app.commands.people import make_setup_link
from app.errors import SettingInvalid
from app.log import fields, set_up_logging
from app.parts import ALL_ROLES, Parts, open_parts
from app.server.door import DoorProcess
from app.server.lifetime import Lifetime
from app.server.listening import GRACE_OF_PAGES_S, spare_the_collector, web_config
from app.server.sockets import BoundedSocket, RoutedSocket
from app.settings import Settings
from app.web.asgi import Pages, create_asgi

log = logging.getLogger("plumbline.server")

_GRACE_S = 20.0


def serve(settings: Settings, roles: frozenset[str] = ALL_ROLES, *, door: DoorProcess | None = None) -> None:
    """Serve until SIGTERM or SIGINT, with deliveries taken by the door, if there is one.  Raises
    SettingInvalid when it cannot start."""
    set_up_logging(settings.log_level)
    # Deliveries, writer and engine hand the interpreter to each other many times per group of
    # commits: with the usual 5 ms each of them waits for the other's turn to end.
    sys.setswitchinterval(0.001)
    _check_port(settings)
    parts = open_parts(settings, roles=roles, writes_beside=door is not None)
    lifetime = Lifetime(parts)
    try:
        lifetime.start()
        if door is not None:
            door.open(settings)
        pages = Pages(parts)
        spare_the_collector()
        _serve_web(parts, pages, door)
    finally:
        lifetime.stop(_GRACE_S)
        log.info("%s", fields(event="stopped"))
    if not pages.close(GRACE_OF_PAGES_S):
        log.warning("%s", fields(event="page_left_behind"))
        logging.shutdown()
        os._exit(0)  # everything is on disk; the interpreter would wait for that page without end


class _PagesServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, parts: Parts, pages: Pages, door: DoorProcess | None) -> None:
        super().__init__(config)
        self._parts = parts
        self._pages = pages
        self._door = door

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._door is not None:
            self._door.attach(self._parts, self)
        _greet(self._parts)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._door is not None:
            await self._door.stop()
        self._pages.send_away()
        await super().shutdown(sockets)


def _serve_web(parts: Parts, pages: Pages, door: DoorProcess | None) -> None:
    settings = parts.settings
    connection = BoundedSocket if door is None else partial(RoutedSocket, route=door)
    config = web_config(settings.host, settings.port, create_asgi(parts, pages), connection)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again once it has ended, and then the rest has to be stopped
        signal.signal(number, lambda *_: None)
    _PagesServer(config, parts, pages, door).run()


def _greet(parts: Parts) -> None:
    if (link := make_setup_link(parts)) is not None:
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
