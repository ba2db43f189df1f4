"""One conversation with a mail server, and what each way it can end means."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from dataclasses import dataclass

from app.calls.guard import MAIL_PORTS, Guard, TargetBlocked
from app.errors import CallFailed

TIMEOUT_S = 30.0


@dataclass(frozen=True, repr=False)
class MailServer:
    """`guarded`: named by a person in a connection, not by the operator in the settings."""

    host: str
    port: int
    security: str  # starttls | tls | none
    username: str
    password: str
    guarded: bool


class GuardedSmtp(smtplib.SMTP):
    """Opens its socket to an address the guard permits."""

    guard: Guard | None = None

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return open_socket(self.guard, host, port, timeout)


def open_socket(
    guard: Guard | None, host: str, port: int, timeout: float, *, ports: frozenset[int] = MAIL_PORTS
) -> socket.socket:
    if guard is None:
        return socket.create_connection((host, port), timeout)
    last: OSError = TargetBlocked(f"{host}:{port}")
    for _, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not guard.permits(str(address[0]), host.lower(), port, ports=ports):
            continue
        try:
            return socket.create_connection((str(address[0]), port), timeout)
        except OSError as reason:
            last = reason
    raise last


class Sending:
    """One conversation.  `handed_over`: the text is on its way, so it may have been taken."""

    def __init__(self, server: MailServer) -> None:
        self.server = server
        self.handed_over = False

    def run(self, smtp: GuardedSmtp, data: bytes, sender: str, recipients: list[str]) -> bytes:
        self._open(smtp)
        self._expect(*smtp.mail(sender), f"does not let “{sender}” send")
        for recipient in recipients:
            self._expect(*smtp.rcpt(recipient), f"does not take mail for “{recipient}”")
        self.handed_over = True
        code, reply = smtp.data(data)
        self.handed_over = False
        self._expect(code, reply, "refused the email")
        with contextlib.suppress(smtplib.SMTPException, OSError):
            smtp.quit()  # it was taken: how the server says goodbye does not matter
        return reply

    def greet(self, smtp: GuardedSmtp) -> None:
        """Signs in and leaves again, without a word."""
        self._open(smtp)
        with contextlib.suppress(smtplib.SMTPException, OSError):
            smtp.quit()

    def _open(self, smtp: GuardedSmtp) -> None:
        server = self.server
        context = ssl.create_default_context()
        if server.security == "tls":
            plain = smtp._get_socket(server.host, server.port, TIMEOUT_S)
            smtp.sock = context.wrap_socket(plain, server_hostname=server.host)
            smtp.file = None
            self._expect(*smtp.getreply(), "does not accept connections")
        else:
            self._expect(*smtp.connect(server.host, server.port), "does not accept connections")
        smtp.ehlo_or_helo_if_needed()
        if server.security == "starttls" or (server.security == "offered" and smtp.has_extn("starttls")):
            smtp._host = server.host  # type: ignore[attr-defined]
            smtp.starttls(context=context)
            smtp.ehlo()
        if server.username:
            smtp.login(server.username, server.password)

    def _expect(self, code: int, reply: bytes, words: str) -> None:
        if not 200 <= code < 400:
            raise self._said(code, reply, words)

    def _said(self, code: int, reply: bytes, words: str) -> CallFailed:
        text = " ".join(reply.decode("utf-8", "replace").split())[:300]
        told = f"{self.server.host} {words} (status {code})" + (f": “{text}”" if text else ".")
        if code in (530, 534, 535, 538):
            return CallFailed("auth_expired", told, remedy="Check user name and password.", status=code)
        if code < 500:
            return CallFailed("unavailable", told, status=code)
        return CallFailed("invalid_payload", told, remedy="Check the addresses.", status=code, permanent=True)

    def failure(self, reason: Exception) -> CallFailed:
        host = self.server.host or "The mail server"
        if isinstance(reason, TargetBlocked):
            return CallFailed(
                "permission_missing",
                f"{host} is blocked by network policy: mail goes to public mail servers only.",
                remedy="Who runs this server can allow it with PLUMBLINE_ALLOW_TARGETS.",
                permanent=True,
            )
        if isinstance(reason, smtplib.SMTPResponseException):
            said = reason.smtp_error
            return self._said(reason.smtp_code, said if isinstance(said, bytes) else said.encode(), "said no")
        if isinstance(reason, ssl.SSLCertVerificationError):
            sentence = f"The certificate of {host} is not valid. Nothing was sent."
            return CallFailed("invalid_payload", sentence, permanent=True)
        if isinstance(reason, smtplib.SMTPNotSupportedError):
            sentence = f"{host} does not offer what the connection asks for: {reason}. Nothing was sent."
            return CallFailed(
                "invalid_payload", sentence, remedy="Choose another encryption.", permanent=True
            )
        if self.handed_over:
            sentence = f"{host} broke off after the email was handed over. It may have been sent."
            return CallFailed("unavailable", sentence, ambiguous=True)
        why = "cannot be found" if isinstance(reason, socket.gaierror) else "could not be reached"
        return CallFailed("unavailable", f"The mail server {host} {why}. Nothing was sent.")
