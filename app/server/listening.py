"""How this server speaks HTTP: uvicorn, set up alike in each of its processes."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable
from typing import Any, cast

import uvicorn

GRACE_OF_PAGES_S = 5
_IDLE_CONNECTION_S = 75  # longer than most senders and proxies keep one, so that they close it


def web_config(host: str, port: int, app: Any, connection: Callable[..., asyncio.Protocol]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=cast("Any", connection),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_CONNECTION_S,
        timeout_graceful_shutdown=GRACE_OF_PAGES_S,
    )


async def take_over(server: uvicorn.Server, connection: socket.socket, begun: bytes) -> None:
    """Serve a connection that another process handed over, with what it had read of the next request."""
    loop = asyncio.get_running_loop()
    make = cast("Any", server.config.http_protocol_class)

    def protocol() -> asyncio.Protocol:
        made: asyncio.Protocol = make(
            config=server.config, server_state=server.server_state, app_state={}, _loop=loop, begun=begun
        )
        return made

    await loop.connect_accepted_socket(protocol, connection)


def spare_the_collector() -> None:
    """What is there once a server stands stays to the end; looking through it again and again for
    garbage cost a twentieth of all CPU time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
