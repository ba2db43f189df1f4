"""One conversation with a mailbox over IMAP: guarded, encrypted, bounded, and without leaving a trace."""

from __future__ import annotations

import base64
import contextlib
import imaplib
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from app.calls.connections.book import ConnectionFacts
from app.calls.guard import Guard, TargetBlocked
from app.calls.mail.smtp import open_socket
from app.errors import CallFailed

TIMEOUT_S = 30.0
LARGEST_PART = 1024 * 1024  # of a message that is read; the rest is left where it is
_PORTS = frozenset({143, 993})
_MOST_READ = 2 * LARGEST_PART
_BAD_NAME = re.compile(r"[\x00-\x1f\x7f]")
_FACTS = re.compile(rb"UID (\d+)|RFC822\.SIZE (\d+)|INTERNALDATE \"([^\"]{1,40})\"|FLAGS \(([^)]{0,500})\)")


@dataclass(frozen=True)
class Mailbox:
    """What the connection says.  `security`: tls | starttls | none."""

    host: str
    port: int
    security: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Message:
    uid: int
    size: int
    received: str
    flags: str
    data: bytes


def mailbox_of(connection: ConnectionFacts) -> Mailbox:
    public = connection.public
    security = str(public.get("security") or "tls")
    port = str(public.get("port") or ("143" if security != "tls" else "993"))
    return Mailbox(
        str(public.get("host") or "").strip().lower(),
        int(port) if port.isdigit() else 993,
        security,
        str(public.get("username") or ""),
        connection.secrets.get("password", ""),
    )


class GuardedImap(imaplib.IMAP4):
    """Opens its socket where the guard permits, and takes no more than it asked for."""

    def __init__(self, mailbox: Mailbox, guard: Guard) -> None:
        self._mailbox, self._guard = mailbox, guard
        super().__init__(mailbox.host, mailbox.port, TIMEOUT_S)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        opened = open_socket(
            self._guard, self._mailbox.host, self._mailbox.port, timeout or TIMEOUT_S, ports=_PORTS
        )
        if self._mailbox.security != "tls":
            return opened
        try:
            return ssl.create_default_context().wrap_socket(opened, server_hostname=self._mailbox.host)
        except OSError:
            opened.close()
            raise

    def read(self, size: int) -> bytes:
        if size > _MOST_READ:
            raise self.abort(f"the server sends {size} bytes at once")
        return super().read(size)


@contextmanager
def signed_in(mailbox: Mailbox, guard: Guard) -> Iterator[GuardedImap]:
    """Raises CallFailed for everything that goes wrong inside."""
    imap: GuardedImap | None = None
    try:
        imap = GuardedImap(mailbox, guard)
        if mailbox.security == "starttls":
            imap.starttls(ssl.create_default_context())
        try:
            imap.login(mailbox.username, mailbox.password)
        except imap.abort:
            raise
        except imap.error as reason:
            raise _no(
                f"{mailbox.host} does not let “{mailbox.username}” in: {_said(reason)}", "auth_expired"
            ) from reason
        yield imap
    except CallFailed:
        raise
    except (imaplib.IMAP4.error, OSError, UnicodeError, ValueError) as reason:
        raise failure_of(mailbox, reason) from reason
    finally:
        if imap is not None:
            with contextlib.suppress(imaplib.IMAP4.error, OSError, ValueError):
                imap.logout()
            with contextlib.suppress(imaplib.IMAP4.error, OSError, ValueError):
                imap.shutdown()  # a line that broke before is not closed by the goodbye


def failure_of(mailbox: Mailbox, reason: Exception) -> CallFailed:
    host = mailbox.host or "The mail server"
    if isinstance(reason, TargetBlocked):
        return CallFailed(
            "permission_missing",
            f"{host} is blocked by network policy: mailboxes are read on public mail servers only.",
            remedy="Who runs this server can allow it with PLUMBLINE_ALLOW_TARGETS.",
            permanent=True,
        )
    if isinstance(reason, ssl.SSLCertVerificationError):
        return _no(f"The certificate of {host} is not valid. No password was sent.", "invalid_payload")
    if isinstance(reason, ssl.SSLError):
        return _no(f"{host} does not speak the encryption the connection asks for.", "invalid_payload")
    if isinstance(reason, imaplib.IMAP4.abort | OSError):
        why = (
            "cannot be found" if isinstance(reason, socket.gaierror) else "could not be reached or broke off"
        )
        return CallFailed("unavailable", f"The mail server {host} {why}.")
    return _no(f"{host} said no: {_said(reason)}", "invalid_payload")


def _no(sentence: str, kind: Any) -> CallFailed:
    remedy = (
        "Check user name and password; many providers want an app password." if kind == "auth_expired" else ""
    )
    return CallFailed(kind, sentence, remedy=remedy, permanent=True)


def _said(reason: Exception) -> str:
    text = reason.args[0] if reason.args else ""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return " ".join(text.split())[:200] or "no reason was given"


# ------------------------------------------------------------------------------------ questions


def open_folder(imap: GuardedImap, folder: str) -> tuple[int, int]:
    """UIDVALIDITY and the next UID; for looking only, so that nothing is marked as read."""
    if not folder.strip() or _BAD_NAME.search(folder) or len(folder) > 500:
        raise _no(f"“{folder[:60]}” cannot be the name of a folder.", "invalid_payload")
    state, said = imap.select(_quoted(folder), readonly=True)
    if state != "OK":
        text = said[0].decode("utf-8", "replace") if said and said[0] else ""
        raise _no(f"There is no folder “{folder[:60]}” in this mailbox. {text[:200]}".strip(), "not_found")
    return _number(imap, "UIDVALIDITY"), _number(imap, "UIDNEXT")


def _number(imap: GuardedImap, name: str) -> int:
    _, values = imap.response(name)
    text = values[-1] if values else None
    return int(text) if isinstance(text, bytes) and text.isdigit() and len(text) < 12 else 0


def uids_from(imap: GuardedImap, first: int, *, since: str = "") -> list[int]:
    """`since`: a day such as 21-Nov-2026, in place of a first number.  `n:*` always names the last
    message, even when its number is smaller."""
    question = ("SINCE", since) if since else ("UID", f"{first}:*")
    state, found = imap.uid("SEARCH", *question)
    if state != "OK":
        raise _no("The mailbox cannot be searched.", "invalid_payload")
    words = b" ".join(part for part in found if isinstance(part, bytes)).split()
    return sorted(
        {int(word) for word in words if word.isdigit() and len(word) < 12 and (since or int(word) >= first)}
    )


def fetch(imap: GuardedImap, uid: int) -> Message | None:
    """None = it was deleted meanwhile."""
    what = f"(UID RFC822.SIZE INTERNALDATE FLAGS BODY.PEEK[]<0.{LARGEST_PART}>)"
    state, parts = imap.uid("FETCH", str(uid), what)
    if state != "OK":
        raise _no("A message cannot be read.", "invalid_payload")
    data = next((one[1] for one in parts if isinstance(one, tuple)), None)
    if data is None:
        return None
    head = b" ".join(one[0] if isinstance(one, tuple) else one for one in parts if one is not None)
    size, received, flags = len(data), "", ""
    for found in _FACTS.finditer(head):
        size = int(found[2]) if found[2] else size
        received = found[3].decode("ascii", "replace") if found[3] else received
        flags = found[4].decode("ascii", "replace") if found[4] is not None else flags
    return Message(uid, size, received, flags, data[:LARGEST_PART])


def _quoted(folder: str) -> str:
    """A name as IMAP writes it: other letters in a kind of UTF-7, in quotation marks."""
    written = re.sub(r"[^\x20-\x7e]+|&", lambda found: _utf7(found[0]), folder)
    return '"' + written.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _utf7(text: str) -> str:
    if text == "&":
        return "&-"
    packed = base64.b64encode(text.encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
    return f"&{packed}-"
