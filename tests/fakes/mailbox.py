"""A mail server that speaks as much IMAP as a mailbox that is read needs, on a real socket."""

from __future__ import annotations

import re
import socketserver
import ssl
import threading
from dataclasses import dataclass, field
from typing import Any

_SINCE = re.compile(r"UID SEARCH (.*)", re.IGNORECASE)
_FETCH = re.compile(r"UID FETCH (\d+) .*<0\.(\d+)>", re.IGNORECASE)


@dataclass
class FakeMailbox:
    """`mails`: by their number; `said`: the commands it got, without passwords."""

    user: str = "ana@example.com"
    password: str = "app-password-1234"
    validity: int = 7
    mails: dict[int, bytes] = field(default_factory=dict)
    folders: tuple[str, ...] = ('"INBOX"',)
    said: list[str] = field(default_factory=list)
    break_off_at: str = ""
    huge: bool = False
    tls: ssl.SSLContext | None = None
    port: int = 0
    _server: Any = None

    def add(self, data: bytes) -> int:
        uid = max(self.mails, default=0) + 1
        self.mails[uid] = data
        return uid

    def start(self) -> FakeMailbox:
        owner = self

        class Conversation(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                owner.talk(self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

            def get_request(self) -> Any:
                connection, address = super().get_request()
                if owner.tls is not None:
                    connection = owner.tls.wrap_socket(connection, server_side=True)
                return connection, address

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that turns away from a wrong certificate is no error."""

        self._server = Server(("127.0.0.1", 0), Conversation)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    # ----------------------------------------------------------------------------- conversation

    def talk(self, client: Any) -> None:
        client.wfile.write(b"* OK ready\r\n")
        while line := client.rfile.readline():
            tag, _, command = line.decode("utf-8", "replace").strip().partition(" ")
            self.said.append("LOGIN …" if command.upper().startswith("LOGIN") else command)
            if self.break_off_at and command.upper().startswith(self.break_off_at):
                return
            untagged, done = self.answer(command)
            client.wfile.write(untagged + f"{tag} {done}\r\n".encode())
            if command.upper().startswith("LOGOUT"):
                return

    def answer(self, command: str) -> tuple[bytes, str]:
        verb = command.upper()
        if verb.startswith("CAPABILITY"):
            return b"* CAPABILITY IMAP4rev1\r\n", "OK done"
        if verb.startswith("LOGIN"):
            good = f'{self.user} "{self.password}"' in command.replace(f'"{self.user}"', self.user)
            return b"", "OK in" if good else "NO [AUTHENTICATIONFAILED] Invalid credentials"
        if verb.startswith("EXAMINE"):
            return self._examine(command.partition(" ")[2])
        if found := _FETCH.match(command):
            return self._fetch(int(found[1]), int(found[2]))
        if found := _SINCE.match(command):
            return self._search(found[1])
        return (b"* BYE\r\n", "OK bye") if verb.startswith("LOGOUT") else (b"", "BAD what?")

    def _examine(self, folder: str) -> tuple[bytes, str]:
        if folder not in self.folders:
            return b"", "NO no such folder"
        following = max(self.mails, default=0) + 1
        head = f"* {len(self.mails)} EXISTS\r\n* OK [UIDVALIDITY {self.validity}] ok\r\n"
        return f"{head}* OK [UIDNEXT {following}] ok\r\n".encode(), "OK [READ-ONLY] done"

    def _search(self, question: str) -> tuple[bytes, str]:
        if question.upper().startswith("SINCE"):
            found = sorted(self.mails)
        else:
            first = int(question.split()[1].partition(":")[0])
            found = [uid for uid in sorted(self.mails) if uid >= first] or sorted(self.mails)[-1:]
        return f"* SEARCH {' '.join(map(str, found))}\r\n".encode(), "OK done"

    def _fetch(self, uid: int, most: int) -> tuple[bytes, str]:
        data = self.mails.get(uid)
        if data is None:
            return b"", "OK nothing"
        part = data[:most]
        size = 99_999_999 if self.huge else len(part)
        facts = (
            f'UID {uid} RFC822.SIZE {len(data)} INTERNALDATE "02-Mar-2026 08:00:{uid % 60:02} +0000" FLAGS ()'
        )
        head = f"* 1 FETCH ({facts} BODY[]<0> {{{size}}}\r\n"
        return head.encode() + part + b")\r\n", "OK done"
