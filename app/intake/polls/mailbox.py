"""A mailbox as a poll: each new message once, by its number in the folder, or by its Message-ID where
the server has numbered anew."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from email.message import EmailMessage
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

from app.calls.connections.book import ConnectionFacts
from app.calls.guard import Guard
from app.calls.http.client import unsent_row
from app.calls.mail import imap as server
from app.calls.mail.imap import LARGEST_PART, Message
from app.calls.message.call import CallRequest
from app.engine.runtime import Runtime
from app.errors import CallFailed
from app.flows.mapping.values import as_moment, as_text
from app.intake.polls.source import Look

_MOST_AT_ONCE = 200
_LONGEST_TEXT = 200_000
_MOST_PEOPLE = 100
_MOST_ATTACHMENTS = 100
_READERS = ThreadPoolExecutor(8, thread_name_prefix="mailbox")  # a slow server must not keep others
_DAY_S = 86400
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


async def messages(
    runtime: Runtime, look: Look, connection: ConnectionFacts | None, values: dict[str, Any], since: Any
) -> AsyncIterator[list[dict[str, Any]]]:
    """The cursor: the folder, its UIDVALIDITY, the last number that was read, and when."""
    if connection is None:
        raise CallFailed("invalid_payload", "No connection to a mailbox is chosen.", remedy="Choose one.")
    folder = as_text(values.get("folder")).strip() or "INBOX"
    now, mailbox = runtime.clock.now(), server.mailbox_of(connection)
    known = since if isinstance(since, dict) and since.get("folder") == folder else {}
    request = CallRequest("IMAP", f"imap://{mailbox.host}:{mailbox.port}/{folder}", connection=connection)
    row = unsent_row(request, now, None)
    look.calls.append(row)
    work = asyncio.get_running_loop().run_in_executor(
        _READERS, _read, mailbox, Guard(runtime.settings.allow_targets), folder, known, now
    )
    try:
        found, cursor = await work
    except CallFailed as failure:
        row.update(error_kind=failure.kind, sentence=failure.sentence)
        raise
    row.update(status=200, duration_ms=0, answer_body=f"{len(found)} messages were read.".encode())
    look.cursor = cursor
    yield [one for one in found if _is_wanted(one, values)]


def _read(
    mailbox: server.Mailbox, guard: Guard, folder: str, known: dict[str, Any], now: datetime
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    with server.signed_in(mailbox, guard) as imap:
        validity, following = server.open_folder(imap, folder)
        cursor = {"folder": folder, "validity": validity, "read_at": now.isoformat()}
        if not known:
            last = following - 1 if following else max(server.uids_from(imap, 1), default=0)
            return [], cursor | {"uid": last}
        uids, last = _new_uids(imap, known, validity)
        found = []
        for uid in uids[:_MOST_AT_ONCE]:
            message = server.fetch(imap, uid)
            last = max(last, uid)
            if message is not None:
                found.append(read_message(message, folder, validity))
    return found, cursor | {"uid": last}


def _new_uids(imap: server.GuardedImap, known: dict[str, Any], validity: int) -> tuple[list[int], int]:
    """Where the server has numbered anew, what came since the day before the last look is read again;
    messages are then told apart by their Message-ID."""
    last = known.get("uid")
    if known.get("validity") == validity and isinstance(last, int):
        return server.uids_from(imap, last + 1), last
    moment = as_moment(known.get("read_at"))
    if moment is None:
        return server.uids_from(imap, 1), 0
    day = datetime.fromtimestamp(moment.timestamp() - _DAY_S, tz=moment.tzinfo)
    return server.uids_from(imap, 1, since=f"{day.day:02}-{_MONTHS[day.month - 1]}-{day.year}"), 0


def _is_wanted(message: dict[str, Any], values: dict[str, Any]) -> bool:
    sender, subject = as_text(values.get("sender")).lower(), as_text(values.get("subject")).lower()
    shown = f"{message['from']['name']} {message['from']['address']}".lower()
    return sender.strip() in shown and subject.strip() in message["subject"].lower()


def try_mailbox(connection: ConnectionFacts, allow_targets: tuple[str, ...]) -> CallFailed | None:
    """Whether the mailbox lets this connection in; None if it does.  Blocks for seconds."""
    try:
        with server.signed_in(server.mailbox_of(connection), Guard(allow_targets)) as imap:
            server.open_folder(imap, "INBOX")
    except CallFailed as failure:
        return failure
    return None


# ------------------------------------------------------------------------------------- messages


def read_message(message: Message, folder: str, validity: int) -> dict[str, Any]:
    """Whatever was sent, some document comes of it."""
    parsed = email.message_from_bytes(message.data, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    message_id = _header(parsed, "Message-ID").strip("<> ")
    people = {name: _people(parsed, name) for name in ("From", "To", "Cc", "Reply-To")}
    return {
        "id": message_id or f"{validity}:{message.uid}",
        "subject": _header(parsed, "Subject"),
        "from": next(iter(people["From"]), {"name": "", "address": ""}),
        "to": people["To"],
        "cc": people["Cc"],
        "reply_to": people["Reply-To"],
        "date": _date(message.received) or _date(_header(parsed, "Date")),
        "text": _body(parsed, "plain"),
        "html": _body(parsed, "html"),
        "attachments": _attachments(parsed),
        "in_reply_to": _header(parsed, "In-Reply-To").strip("<> "),
        "folder": folder,
        "uid": message.uid,
        "size": message.size,
        "is_cut": message.size > LARGEST_PART,
        "was_seen": "\\Seen" in message.flags,
    }


def _header(parsed: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(parsed.get(name, "")).split())[:2000]
    except Exception:  # the parser of headers raises whatever a hostile one makes it raise
        return ""


def _people(parsed: EmailMessage, name: str) -> list[dict[str, str]]:
    try:
        texts = [str(value) for value in parsed.get_all(name, [])]
        pairs = getaddresses(texts)[:_MOST_PEOPLE]
    except Exception:
        return []
    return [{"name": shown[:200], "address": address[:320]} for shown, address in pairs if address]


def _date(text: str) -> str:
    """ISO 8601; IMAP writes `21-Nov-2026 08:00:00 +0000`."""
    try:
        return parsedate_to_datetime(
            re.sub(r"(?<=\d)-([A-Za-z]{3})-(?=\d)", r" \1 ", text.strip())
        ).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""


def _body(parsed: EmailMessage, kind: str) -> str:
    try:
        part = parsed.get_body((kind,))
        if part is None:
            return ""
        payload = part.get_payload(decode=True)
        data = payload if isinstance(payload, bytes) else b""
        return _decoded(data, part.get_content_charset() or "utf-8")[:_LONGEST_TEXT]
    except Exception:
        return ""


def _decoded(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset, "replace")
    except (LookupError, ValueError):
        return data.decode("utf-8", "replace")


def _attachments(parsed: EmailMessage) -> list[dict[str, Any]]:
    """Their names, kinds and sizes; what they hold stays in the mailbox."""
    found = []
    try:
        for part in parsed.iter_attachments():
            payload = part.get_payload(decode=True)
            size = len(payload) if isinstance(payload, bytes) else 0
            name = (part.get_filename() or "")[:200]
            found.append({"name": name, "type": part.get_content_type(), "size": size})
            if len(found) == _MOST_ATTACHMENTS:
                break
    except Exception:
        return found
    return found
