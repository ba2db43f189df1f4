"""A service on this machine that answers after a while and keeps what it got: the other side of the
ledger."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

_LONGEST_WAIT_S = 300
Place = tuple[int, str]  # (order, path, with the item where the body names one)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that was killed does not wait for its answer: that is what is tested."""


class Target:
    """`got`: place -> how often; `keys`: place -> idempotency keys; `bodies`: key -> what came under it;
    `moments`: place -> when it first came, and when its last answer was due.
    `seen` is told of each arrival before it is answered; nothing is answered while `may_answer` is not
    set."""

    def __init__(self, delay_s: float, seen: Callable[[Place], None] | None = None) -> None:
        self.got: Counter[Place] = Counter()
        self.keys: dict[Place, set[str]] = {}
        self.bodies: dict[str, set[bytes]] = {}
        self.moments: dict[Place, tuple[float, float]] = {}
        self._delay_s = delay_s
        self._seen = seen
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _arrived(self, path: str, key: str, raw: bytes) -> None:
        body = orjson.loads(raw)
        item = body.get("item")
        place = body["order"], path.strip("/") if item is None else f"{path.strip('/')}/{item}"
        now = time.monotonic()
        with self._lock:
            self.got[place] += 1
            self.keys.setdefault(place, set()).add(key)
            self.bodies.setdefault(key, set()).add(raw)
            first = self.moments.get(place, (now, now))[0]
            self.moments[place] = (first, now + self._delay_s)
        if self._seen is not None:
            self._seen(place)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        target = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                target._arrived(self.path, self.headers["Idempotency-Key"], raw)
                target.may_answer.wait(_LONGEST_WAIT_S)
                time.sleep(target._delay_s)  # the service works on it; nobody waits for a moment to pass
                answer = b'{"ok":true}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_words: Any) -> None:
                pass

        return Handler
