"""A service on this machine that takes JSON and answers JSON: for flows of a product that is a process."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Listener:
    """`got`: what came, in its order."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.place = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.place}/contacts"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, document: Any) -> tuple[int, Any]:
        """The status and what is said."""
        return 200, {"contact": {"id": 42}}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                listener.got.append(document)
                status, said = listener.answer(document)
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler
