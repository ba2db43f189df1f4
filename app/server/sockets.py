"""One connection to the server: what it may send before it has said what it wants, how slowly, and
which of the server's processes its requests are for."""

from __future__ import annotations

import asyncio
import os
import re
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.web.hooks import PREFIX

MOST_HEAD_BYTES = 64 * 1024
LONGEST_REQUEST_S = 120.0
_METHOD = re.compile(rb"[A-Z]{1,7}(?P<rest> .*)?", re.DOTALL)
_DOOR = f" {PREFIX}".encode()


class BoundedSocket(HttpToolsProtocol):
    """uvicorn's, which would keep a head of any size and wait for the rest of a request for ever."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._head_bytes = 0
        self._in_head = True
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        self._in_head = True
        if self._patience is None:
            self._wait_for_request()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._stop_waiting()
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self.send_400_response("The headers are too large.")

    def _wait_for_request(self) -> None:
        self._patience = self.loop.call_later(LONGEST_REQUEST_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        self.transport.close()


def is_for_door(begun: bytes) -> bool | None:
    """Whether a request that begins so is a delivery.  None = more of it is needed to tell."""
    found = _METHOD.match(begun)
    if found is None:
        return False
    rest = found["rest"] or b""
    if len(rest) < len(_DOOR) and _DOOR.startswith(rest):
        return None if found.end() == len(begun) else False
    return rest.startswith(_DOOR)


class Route(Protocol):
    """The way to the other process of the server."""

    def is_elsewhere(self, begun: bytes) -> bool | None:
        """Whether a request that begins so is for the other process; None = not to be told yet."""

    def pass_on(self, fd: int, begun: bytes) -> None: ...


class RoutedSocket(BoundedSocket):
    """Between two requests it may be handed to the other process, with what was read of the next one."""

    def __init__(self, *given: Any, route: Route, begun: bytes = b"", **named: Any) -> None:
        super().__init__(*given, **named)
        self._route = route
        self._handed = begun
        self._begun = b""
        self._is_complete = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._handed:
            handed, self._handed = self._handed, b""
            self.data_received(handed)

    def on_message_begin(self) -> None:
        self._is_complete = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_complete = True

    def data_received(self, data: bytes) -> None:
        if self._is_between_requests():
            data = self._begun + data
            is_elsewhere = self._route.is_elsewhere(data)
            if is_elsewhere is None:
                self._begun = data
                return
            self._begun = b""
            if is_elsewhere:
                self._pass_on(data)
                return
        super().data_received(data)

    def _is_between_requests(self) -> bool:
        is_answered = self.cycle is None or self.cycle.response_complete
        return self._is_complete and is_answered and not self.pipeline

    def _pass_on(self, data: bytes) -> None:
        fd = os.dup(self.transport.get_extra_info("socket").fileno())
        self.transport.abort()  # closes this process's descriptor, not the connection
        self._route.pass_on(fd, data)
