"""The server: web threads, engine, ticks and writer in one process, and its clean end."""

from __future__ import annotations

import logging
import socket
import sys
from typing import Any

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.mt import MTServer

from app.errors import SettingInvalid
from app.log import fields, set_up_logging
from app.parts import Parts, open_parts
from app.settings import Settings
from app.web import create_app
from app.web.account import setup_link

log = logging.getLogger("plumbline.server")

_GRACE_S = 20.0


class _OneProcess(MTServer):
    """granian with its worker as a thread of this process.  It offers that for interpreters without
    a global lock; with one it works as well, measured as fast as its worker process
    (docs/decisions), and writer, engine and pages can share one process."""

    def _check_gil(self) -> None:
        return


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.  Raises SettingInvalid when it cannot start."""
    set_up_logging(settings.log_level)
    # Writer and engine hand the interpreter to each other many times per group of commits: with the
    # usual 5 ms each of them waits for the other's turn to end.
    sys.setswitchinterval(0.001)
    _check_port(settings)
    parts = open_parts(settings)
    try:
        parts.start()
        _serve_web(parts)
    finally:
        parts.stop(_GRACE_S)
        log.info("%s", fields(event="stopped"))


def _serve_web(parts: Parts) -> None:
    app = create_app(parts)
    settings = parts.settings
    server = _OneProcess(
        "plumbline",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=settings.web_threads,
        websockets=False,
        log_level=LogLevels.error,
        workers_kill_timeout=5,
    )
    server.on_startup(lambda: _greet(parts))

    def load() -> Any:
        return app

    server.serve(target_loader=load, wrap_loader=False)


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
