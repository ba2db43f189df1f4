"""Alerts are told by email and to a web address: the first at once, then of one thing at most once an
hour, all that is due in one message per reader.

A message is claimed in the database before it goes out, so that two processes never send the same.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import orjson
from sqlalchemy import Connection

from app.calls.http.client import Caller
from app.calls.mail.mail import Mail, mail_request, send_mail
from app.calls.message.call import CallRequest
from app.clock import Clock
from app.errors import CallFailed, SettingInvalid
from app.log import fields
from app.settings import Settings
from app.storage.database.db import Database
from app.storage.database.executor import Executor
from app.storage.database.secrets import Vault
from app.storage.upkeep import alerts
from app.storage.upkeep.alerts import AlertRow, Telling, Told, address_of_owner, administrators

log = logging.getLogger("plumbline.watch")

MAIL, WEB = "mail", "web"
SEALED_FOR = "alerts.webhook"
_ONCE_AN = timedelta(hours=1)
_CLAIMED_FOR = timedelta(minutes=10)
_AGAIN_AFTER = (1, 5, 15, 60)  # minutes
_MOST_IN_ONE = 50


@dataclass(frozen=True)
class Post:
    """What messages are sent with."""

    settings: Settings
    clock: Clock
    database: Database
    vault: Vault
    caller: Caller


@dataclass(slots=True)
class Message:
    """`way`: mail, or web.  `to`: addresses by commas, or nothing."""

    way: str
    to: str
    alerts: list[AlertRow]
    told: list[Told]


async def tell(post: Post) -> int:
    """How many messages went out."""
    now = post.clock.now()
    with post.database.read() as db:
        telling = alerts.read_telling(db)
        due = [] if telling.is_quiet(now) else messages(db, post.settings, telling, now)
    sent = 0
    for message in due:
        claimed = await post.database.writer.awrite(
            partial(alerts.claim, rows=message.told, recipients=message.to, until=now + _CLAIMED_FOR)
        )
        if claimed:
            failure = await _send(post, telling, message, now)
            await post.database.writer.awrite(partial(_note, message=message, failure=failure, now=now))
            sent += failure is None
    return sent


def _note(db: Connection, *, message: Message, failure: CallFailed | None, now: datetime) -> None:
    if failure is None:
        alerts.note_sent(db, message.told, at=now)
        alerts.note_mailed(db, [one.id for one in message.alerts], now)
        return
    tries = max(told.tries for told in message.told)
    again = now + timedelta(minutes=_AGAIN_AFTER[min(tries, len(_AGAIN_AFTER) - 1)])
    sentence = f"{failure.sentence} {failure.remedy}".strip()
    alerts.note_failed(db, message.told, sentence=sentence, again_at=again)
    log.warning("%s", fields(event="alert_not_sent", way=message.way, reason=failure.kind))


# ----------------------------------------------------------------------------------- what is due


def messages(db: Executor, settings: Settings, telling: Telling, now: datetime) -> list[Message]:
    """One per way and readers."""
    open_ones = [one for one in alerts.open_alerts(db) if one.seen_at is None]
    if not open_ones:
        return []
    told = alerts.all_told(db)
    by_noun: dict[tuple[str, str], list[AlertRow]] = {}
    for one in open_ones:
        by_noun.setdefault((one.noun, one.noun_id), []).append(one)
    found: dict[tuple[str, str], Message] = {}
    for way in [MAIL] * bool(settings.smtp_url) + [WEB] * bool(telling.webhook):
        for (noun, noun_id), ones in by_noun.items():
            row = told.get((f"{way}:{noun}", noun_id)) or Told(f"{way}:{noun}", noun_id)
            fresh = [one for one in ones if row.sent_at is None or one.last_at > row.sent_at]
            if fresh and _may_be_told(row, now):
                to = _readers(db, telling, noun, noun_id) if way == MAIL else ""
                message = found.setdefault((way, to), Message(way, to, [], []))
                message.alerts += fresh
                message.told.append(row)
    return [one for one in found.values() if one.to or one.way == WEB]


def _may_be_told(row: Told, now: datetime) -> bool:
    if row.next_try_at is not None and row.next_try_at > now:
        return False
    return row.sent_at is None or row.sent_at <= now - _ONCE_AN


def _readers(db: Executor, telling: Telling, noun: str, noun_id: str) -> str:
    owner = address_of_owner(db, noun, noun_id) if telling.owners else ""
    return owner or telling.to or ", ".join(administrators(db))


# --------------------------------------------------------------------------------------- sending


async def _send(post: Post, telling: Telling, message: Message, now: datetime) -> CallFailed | None:
    if message.way == WEB:
        return await send_to_web(post, telling, web_text(post.settings, message.alerts))
    subject, text = mail_words(post.settings, message.alerts)
    return await send_to_mail(post, message.to, subject, text, key=_key(message, now))


def _key(message: Message, now: datetime) -> str:
    """Of the Message-ID: the same for the same message, should it go out twice after all."""
    ids = ",".join(sorted(f"{one.id}{one.count}" for one in message.alerts))
    return "alert-" + hashlib.sha256(f"{ids}|{message.to}|{now:%Y%m%d%H}".encode()).hexdigest()[:24]


async def send_to_mail(post: Post, to: str, subject: str, text: str, *, key: str) -> CallFailed | None:
    mail = Mail(to=to, subject=subject, text=text)
    request = mail_request(mail, None, post.settings, message_key=key)
    return (await send_mail(request, post.settings, post.clock)).failure


async def send_to_web(post: Post, telling: Telling, text: str) -> CallFailed | None:
    """As Slack and what understands the same take it."""
    try:
        url = post.vault.open(bytes.fromhex(telling.webhook), SEALED_FOR).decode()
    except (SettingInvalid, ValueError):
        return CallFailed("permission_missing", "The web address for alerts cannot be opened with this key.")
    body = orjson.dumps({"text": text})
    request = CallRequest("POST", url, body=body, content_type="application/json", idempotency_header="")
    failure = (await post.caller.send(request)).failure
    # an address of this kind is a secret: what it was is not said
    if failure is None:
        return None
    return CallFailed(failure.kind, failure.sentence.replace(url, "the address"), remedy=failure.remedy)


def mail_words(settings: Settings, rows: Sequence[AlertRow]) -> tuple[str, str]:
    """Subject and text."""
    first = rows[0].sentence
    more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
    subject = f"Plumbline: {first if len(first) <= 90 else first[:89] + '…'}{more}"
    parts = [f"{one.sentence}\n{one.remedy}: {_address(settings, one)}" for one in rows[:_MOST_IN_ONE]]
    if len(rows) > _MOST_IN_ONE:
        parts.append(f"{len(rows) - _MOST_IN_ONE} more are on the page.")
    parts.append(
        f"All alerts: {settings.base_url}/alerts\nAlert recipients: {settings.base_url}/settings/alerts"
    )
    return subject, "\n\n".join(parts) + "\n"


def web_text(settings: Settings, rows: Sequence[AlertRow]) -> str:
    lines = [
        f"• {_escaped(one.sentence)} <{_address(settings, one)}|{_escaped(one.remedy)}>"
        for one in rows[:_MOST_IN_ONE]
    ]
    if len(rows) > _MOST_IN_ONE:
        lines.append(f"{len(rows) - _MOST_IN_ONE} more: {settings.base_url}/alerts")
    return "\n".join(lines)


def _address(settings: Settings, one: AlertRow) -> str:
    return f"{settings.base_url}{one.remedy_url}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
