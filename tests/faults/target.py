"""A service on this machine that answers after a while and keeps what it got: the other side of the
ledger."""

from __future__ import annotations

import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that was killed does not wait for its answer: that is what is tested."""


class Target:
    """`got`: (run's order, step) -> how often; `keys`: (order, step) -> idempotency keys."""

    def __init__(self, delay_s: float) -> None:
        self.got: Counter[tuple[int, str]] = Counter()
        self.keys: dict[tuple[int, str], set[str]] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler(delay_s))
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _arrived(self, order: int, step: str, key: str) -> None:
        with self._lock:
            self.got[order, step] += 1
            self.keys.setdefault((order, step), set()).add(key)

    def _handler(self, delay_s: float) -> type[BaseHTTPRequestHandler]:
        target = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
                target._arrived(body["order"], self.path.strip("/"), self.headers["Idempotency-Key"])
                time.sleep(delay_s)  # the service works on it; nobody waits for a moment to pass
                answer = b'{"ok":true}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_words: Any) -> None:
                pass

        return Handler
