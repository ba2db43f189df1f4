"""Sending an email over SMTP; in the history it stands like a call, with the method SMTP."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, formataddr
from typing import Any
from urllib.parse import unquote, urlsplit

from app.calls.connections.book import ConnectionFacts
from app.calls.guard import Guard
from app.calls.http.client import CallOutcome, unsent_row
from app.calls.mail.smtp import TIMEOUT_S, GuardedSmtp, MailServer, Sending
from app.calls.message.call import Answer, CallRequest
from app.clock import Clock
from app.errors import CallFailed
from app.settings import Settings

METHOD = "SMTP"
# Threads of their own: a slow mail server must not keep those that look up names.
_POST_OFFICE = ThreadPoolExecutor(16, thread_name_prefix="mail")
_MOST_RECIPIENTS = 100
_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[^\s@<>,;:\"()\[\]\\]{1,253}")
_ENTRY = re.compile(r"(?:\"(?:[^\"\\]|\\.)*\"|[^\",;])+|\"")
_PERSON = re.compile(r"([^<>]*)<([^<>\s]+)>|([^<>\s]+)")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True)
class Mail:
    """Addresses as people write them: `Ada <ada@example.com>, bob@example.com`."""

    to: str
    subject: str
    text: str
    cc: str = ""
    reply_to: str = ""
    sender: str = ""


def mail_request(
    mail: Mail, connection: ConnectionFacts | None, settings: Settings, *, message_key: str
) -> CallRequest:
    """What is to be sent, in the shape of a call; its key becomes the Message-ID, the same on every
    attempt."""
    server = _server(connection, settings)
    sender = mail.sender or (connection.public.get("sender") if connection else "") or settings.smtp_from
    rows = [
        ("From", sender or (server.username if server and "@" in server.username else "")),
        ("To", mail.to),
        ("Cc", mail.cc),
        ("Reply-To", mail.reply_to),
        ("Subject", mail.subject),
    ]
    return CallRequest(
        method=METHOD,
        url=f"smtp://{server.host}:{server.port}" if server is not None else "smtp:",
        headers=[(name, _SPACES.sub(" ", value).strip()) for name, value in rows if value],
        body=mail.text.encode("utf-8", "replace"),
        content_type="text/plain; charset=utf-8",
        connection=connection,
        idempotency_key=message_key,
        timeout_s=TIMEOUT_S,
    )


async def send_mail(request: CallRequest, settings: Settings, clock: Clock) -> CallOutcome:
    """Never raises for what the mail server does."""
    started_at, began = clock.now(), clock.monotonic()
    try:
        server = _server(request.connection, settings)
        if server is None:
            raise _no_server()
        loop = asyncio.get_running_loop()
        reply = await loop.run_in_executor(_POST_OFFICE, _send, request, server, settings, started_at)
    except CallFailed as failure:
        row = _row(request, started_at, failure)
        row["duration_ms"] = round((clock.monotonic() - began) * 1000)
        row["status"] = failure.status
        return CallOutcome(None, failure, row)
    duration_ms = round((clock.monotonic() - began) * 1000)
    answer = Answer(250, [], reply, duration_ms=duration_ms, host=server.host)
    row = {**_row(request, started_at, None), "status": 250, "answer_body": reply, "duration_ms": duration_ms}
    return CallOutcome(answer, None, {**row, "answer_size": len(reply)})


def try_server(connection: ConnectionFacts, settings: Settings) -> CallFailed | None:
    """Whether the mail server lets this connection in; None if it does.  Blocks for seconds."""
    server = _server(connection, settings)
    if server is None:
        return _no_server()
    smtp = GuardedSmtp(timeout=TIMEOUT_S, local_hostname="localhost")
    smtp.guard = Guard(settings.allow_targets) if server.guarded else None
    sending = Sending(server)
    try:
        sending.greet(smtp)
    except CallFailed as failure:
        return failure
    except Exception as reason:
        return sending.failure(reason)
    finally:
        smtp.close()
    return None


def _row(request: CallRequest, started_at: datetime, failure: CallFailed | None) -> dict[str, Any]:
    row = unsent_row(request, started_at, failure)
    row["request_headers"] = list(request.headers)
    return row


def _send(request: CallRequest, server: MailServer, settings: Settings, now: datetime) -> bytes:
    """Runs in a thread.  Raises CallFailed; after the text went out without an answer, ambiguous."""
    try:
        message, sender, recipients = _message(request, now)
        data = message.as_bytes()
    except (MessageError, ValueError, UnicodeError) as reason:
        raise _wrong(f"The email cannot be written: {reason}.", "Check subject and addresses.") from reason
    smtp = GuardedSmtp(timeout=TIMEOUT_S, local_hostname="localhost")
    smtp.guard = Guard(settings.allow_targets) if server.guarded else None
    sending = Sending(server)
    try:
        return sending.run(smtp, data, sender, recipients)
    except CallFailed:
        raise
    except Exception as reason:
        raise sending.failure(reason) from reason
    finally:
        smtp.close()


# ------------------------------------------------------------------------------------- the server


def _server(connection: ConnectionFacts | None, settings: Settings) -> MailServer | None:
    if connection is not None:
        facts = {**connection.public, **connection.secrets}
        security = str(facts.get("security") or "starttls")
        return MailServer(
            host=str(facts.get("host") or "").strip(),
            port=_port(facts.get("port"), security),
            security=security,
            username=str(facts.get("username") or ""),
            password=str(facts.get("password") or ""),
            guarded=True,
        )
    return _from_url(settings.smtp_url) if settings.smtp_url else None


def _from_url(text: str) -> MailServer:
    """`smtps://` speaks TLS from the start; `smtp://` turns to TLS where the server offers it."""
    url = urlsplit(text)
    security = "tls" if url.scheme == "smtps" else "offered"
    return MailServer(
        host=url.hostname or "",
        port=url.port or (465 if security == "tls" else 587),
        security=security,
        username=unquote(url.username or ""),
        password=unquote(url.password or ""),
        guarded=False,
    )


def _port(value: Any, security: str) -> int:
    text = str(value or "")
    return int(text) if text.isascii() and text.isdigit() else (465 if security == "tls" else 587)


def _no_server() -> CallFailed:
    return CallFailed(
        "permission_missing",
        "No mail server is set up, so this email was not sent.",
        remedy="Choose an email connection in the step, or set PLUMBLINE_SMTP_URL on the server.",
        permanent=True,
    )


# ------------------------------------------------------------------------------------ the message


def _message(request: CallRequest, now: datetime) -> tuple[EmailMessage, str, list[str]]:
    """The message, the sender's bare address, the recipients' bare addresses."""
    given = dict(request.headers)
    sender = _people(given.get("From", ""), "From")
    to, cc = _people(given.get("To", ""), "To"), _people(given.get("Cc", ""), "Cc")
    if not sender or not to:
        which = "sender" if not sender else "recipient"
        raise _wrong(f"The email has no {which}.", f"Fill in the {which} of the step.")
    recipients = list(dict.fromkeys(address for _, address in to + cc))
    if len(recipients) > _MOST_RECIPIENTS:
        raise _wrong(
            f"The email has {len(recipients)} recipients; at most {_MOST_RECIPIENTS} are sent at once.",
            "Send to fewer people, or use a mailing service.",
        )
    message = EmailMessage(policy=SMTP_POLICY)
    for name, people in (("From", sender[:1]), ("To", to), ("Cc", cc)):
        if people:
            message[name] = ", ".join(formataddr(one) for one in people)
    reply_to = _people(given.get("Reply-To", ""), "Reply-To")
    if reply_to:
        message["Reply-To"] = ", ".join(formataddr(one) for one in reply_to)
    message["Subject"] = given.get("Subject", "")[:900]
    message["Date"] = format_datetime(now)
    message["Message-ID"] = message_id(request.idempotency_key or "", sender[0][1])
    message.set_content((request.body or b"").decode("utf-8", "replace"), cte="quoted-printable")
    return message, sender[0][1], recipients


def message_id(key: str, sender: str) -> str:
    """The same for every attempt, so that a mail server can tell a repetition."""
    name = re.sub(r"[^A-Za-z0-9_.-]", ".", key) or "message"
    return f"<{name}@{sender.rpartition('@')[2] or 'plumbline.invalid'}>"


def _people(text: str, field: str) -> list[tuple[str, str]]:
    """Read strictly: what could be taken for somebody else's address is refused."""
    people = []
    for one in _ENTRY.findall(text):
        if not one.strip():
            continue
        found = _PERSON.fullmatch(one.strip())
        address = _plain_address(found[2] or found[3]) if found else ""
        if found is None or not address:
            raise _wrong(
                f"“{one.strip()[:80]}” in the field {field} is not an email address.",
                "Map a field that holds an address such as ada@example.com.",
            )
        people.append(((found[1] or "").strip().strip('"').replace("\\", ""), address))
    return people


def _plain_address(address: str) -> str:
    """With the domain in ASCII; '' for what is none."""
    local, _, domain = address.rpartition("@")
    try:
        plain = f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        return ""
    return plain if plain.isascii() and _ADDRESS.fullmatch(plain) else ""


def _wrong(sentence: str, remedy: str) -> CallFailed:
    return CallFailed("invalid_payload", sentence, remedy=remedy, permanent=True)
