"""A real socket on the loopback that answers with raw bytes, for what no polite fake would send."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Target:
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"


@asynccontextmanager
async def target(speak: Speak | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Target]:
    """`speak`: the bytes to answer with before closing, or a conversation."""
    facts = Target()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        facts.connections += 1
        try:
            facts.requests.append(await read_request(reader))
            if isinstance(speak, bytes):
                writer.write(speak)
                await writer.drain()
            else:
                await speak(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    facts.port = server.sockets[0].getsockname()[1]
    try:
        yield facts
    finally:
        server.close()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Head and, where its length is stated, body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head + (await reader.readexactly(length) if length else b"")


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole, correct answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body
