"""A small load: a target that takes its time, senders over kept connections, a product of its own, and
somebody who looks at its pages.  For figures that the large rig does not give."""

from __future__ import annotations

import asyncio
import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import orjson

from tests.product import EMAIL, PASSWORD, Product

FLOWS = Path(__file__).parent / "flows"
ORDER = {
    "bench_ts": 0,
    "total_price": "128.70",
    "customer": {
        "email": "lena.moreau@example.com",
        "first_name": "Lena",
        "last_name": "Moreau",
        "default_address": {"city": "Lyon", "zip": "69003", "address1": "12 Rue des Lilas"},
    },
    "line_items": [{"sku": "TEE-BLK-M", "title": "Organic Tee", "quantity": 2, "price": "29.90"}] * 4,
    "note": "x" * 500,
}
_ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Target:
    """Answers every POST after `delay_s`; `got` counts what came for each order."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.got: Counter[int] = Counter()
        self.last = 0.0
        self.port = 0

    async def start(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                order = orjson.loads(await reader.readexactly(int(length[1]) if length else 0))
                self.got[int(order["external_id"])] += 1
                self.last = time.monotonic()
                await asyncio.sleep(self.delay_s)
                writer.write(_ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()


@dataclass
class Sent:
    """What was answered, and how long each answer took."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    begun: float = 0.0
    took_s: float = 0.0

    def at(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


async def post_all(address: str, orders: range, connections: int) -> Sent:
    """As fast as they are accepted, over that many connections."""
    sent, numbers = Sent(begun=time.monotonic()), iter(orders)
    host, path = address.removeprefix("http://").split("/", 1)
    name, port = host.split(":")

    async def one() -> None:
        reader, writer = await asyncio.open_connection(name, int(port))
        for number in numbers:
            body = orjson.dumps({"id": number, **ORDER})
            begun = time.perf_counter()
            writer.write(
                f"POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            await reader.readexactly(int(length[1]) if length else 0)
            sent.seconds.append(time.perf_counter() - begun)
            sent.statuses[int(head[9:12])] += 1
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    sent.took_s = time.monotonic() - sent.begun
    return sent


@asynccontextmanager
async def product(
    target: Target, *, prepare: Callable[[Product], None] | None = None
) -> AsyncIterator[Product]:
    """A server with a data folder of its own that may call the target."""
    with tempfile.TemporaryDirectory() as folder:
        served = Product(Path(folder), {"allow_targets": f"127.0.0.1:{target.port}"})
        if prepare is not None:
            prepare(served)
        await asyncio.to_thread(served.start)
        try:
            yield served
        finally:
            await asyncio.to_thread(served.stop)


def install(served: Product, flow: str, target: Target) -> str:
    """The address of the hook of one of the flows in `flows/`."""
    printed = served.command(
        *("flows", "import", str(FLOWS / f"{flow}.json"), "--set", f"target_port={target.port}"),
        *("--publish", "--on", "--json"),
    )
    return str(orjson.loads(printed)[0]["hook_url"])


async def until_all_came(target: Target, number: int, patience_s: float) -> None:
    until = time.monotonic() + patience_s
    while len(target.got) < number and time.monotonic() < until:
        await asyncio.sleep(0.1)


class Reader:
    """Somebody signed in who looks at one page after another; `seconds` by page."""

    def __init__(self, served: Product, pages: dict[str, str]) -> None:
        self._client = httpx.Client(base_url=served.base_url, trust_env=False, timeout=60)
        self._pages = pages
        self._stopped = threading.Event()
        self.seconds: dict[str, list[float]] = {name: [] for name in pages}
        self.wrong: dict[str, int] = {}
        self._thread = threading.Thread(target=self._work, daemon=True)

    def sign_in(self, client: httpx.Client) -> None:
        page = client.get("/login").text
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        form = {"csrf_token": token[1] if token else "", "email": EMAIL, "password": PASSWORD}
        answer = client.post("/login", data=form)
        if not answer.is_redirect:
            raise SystemExit(f"Signing in did not work: {answer.status_code} {answer.text[:2000]}")

    def start(self) -> None:
        self.sign_in(self._client)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._client.close()

    def _work(self) -> None:
        while not self._stopped.is_set():
            for name in self._pages:
                self.look(self._client, name)

    def look(self, client: httpx.Client, name: str) -> None:
        begun = time.perf_counter()
        answer = client.get(self._pages[name])
        self.seconds[name].append(time.perf_counter() - begun)
        if answer.status_code != 200:
            self.wrong[name] = answer.status_code
