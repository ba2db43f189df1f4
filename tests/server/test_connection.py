"""A connection that sends too much, too slowly, or goes away, takes nothing from the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from app.server import sockets as server_connection
from app.server.sockets import MOST_HEAD_BYTES, BoundedSocket
from app.web.reader import WatchReader, pause_while_there

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Any]]


async def answer(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while (message := await receive()).get("more_body", False):
        body += message["body"]
    text = str(len(body + message.get("body", b""))).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text})


def talk(application: Any, conversation: Talk) -> Any:
    """What the conversation with a real server on this application gives."""

    async def whole() -> Any:
        config = uvicorn.Config(
            application, port=0, http=BoundedSocket, ws="none", lifespan="off", log_config=None
        )
        server = uvicorn.Server(config)
        running = asyncio.create_task(server._serve())
        while not server.started:
            await asyncio.sleep(0)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            return await asyncio.wait_for(conversation(reader, writer), 30)
        finally:
            writer.close()
            server.should_exit = True
            await running

    return asyncio.run(whole())


def test_a_large_body_is_no_large_head() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        length = 4 * MOST_HEAD_BYTES
        writer.write(b"POST / HTTP/1.1\r\nHost: p\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n" % length + b"x" * length)
        return await reader.read()

    said = talk(answer, conversation)
    assert said.startswith(b"HTTP/1.1 200")
    assert said.endswith(str(4 * MOST_HEAD_BYTES).encode() + b"\r\n0\r\n\r\n")


def test_a_head_without_end_is_refused() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET / HTTP/1.1\r\nX-Long: ")
        for _ in range(40):
            writer.write(b"x" * 16_384)
        return await reader.readline()

    assert talk(answer, conversation).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"])
def test_a_request_that_never_ends_is_given_up(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_connection, "LONGEST_REQUEST_S", 0.01)

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(begun)
        return await reader.read()

    assert talk(answer, conversation) == b""


def test_a_page_hears_that_its_reader_has_gone() -> None:
    heard = asyncio.Event()

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        pause = pause_while_there({"asgi.scope": scope})
        while not await asyncio.to_thread(pause, 30):
            pass
        heard.set()

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"GET / HTTP/1.1\r\nHost: p\r\n\r\n")
        await reader.readuntil(b"first")
        writer.close()
        return await heard.wait()

    assert talk(WatchReader(page), conversation)
