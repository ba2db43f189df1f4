"""The club as a server on this machine: its tokens rotate, and a refresh token that comes twice ends all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from tests.oauth.club import FIRST_REFRESH


class ClubServer:
    """`before_token`: called before a renewal is answered."""

    def __init__(self, before_token: Callable[[], None] = lambda: None) -> None:
        self.renewals: list[str] = []
        self.members: list[str] = []
        self.refused: list[str] = []
        self.current = ""
        self._spent: set[str] = set()
        self._next = FIRST_REFRESH
        self._before_token = before_token
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, authorization: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if path == "/token":
            return self._renew(parse_qs(body.decode())["refresh_token"][0])
        with self._lock:
            if authorization != f"Bearer {self.current}" or not self.current:
                self.refused.append(authorization)
                return 401, {"error": "expired"}
            self.members.append(body.decode())
            return 200, {"id": len(self.members)}

    def _renew(self, refresh: str) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.renewals.append(refresh)
            if refresh != self._next or refresh in self._spent:
                self.current, self._next = "", ""  # as the standard wants it when one comes twice
                return 400, {"error": "invalid_grant"}
            self._spent.add(refresh)
            number = len(self._spent)
            self._next = f"refresh-canary-{number}"
        self._before_token()
        with self._lock:
            self.current = f"access-canary-{number}"
        return 200, {"access_token": self.current, "refresh_token": self._next, "expires_in": 3600}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        club = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, document = club.answer(self.path, self.headers.get("Authorization", ""), body)
                data = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                """What came is in the lists above."""

        return Handler
