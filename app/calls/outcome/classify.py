"""What an answer or an error means: one of the eight kinds, in a sentence that names the host.

First the connector's own rules, then its rule of success, then what the status usually means.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from app.calls.message.answer import Answer, Unreadable, read_json
from app.calls.message.request import CallRequest
from app.calls.outcome.messages import LONGEST_MESSAGE, message_of
from app.calls.outcome.signals import asked_wait, read_wait
from app.calls.outcome.statuses import meaning_of
from app.catalog.format.definition import ErrorRule, Success
from app.catalog.templates import fill, parse
from app.errors import CallFailed
from app.flows.mapping.jsonpath import MISSING, first
from app.flows.mapping.values import as_text

_IN_PROGRESS = re.compile(r"idempot.*(progress|concurrent|in use|processing)", re.IGNORECASE | re.DOTALL)
_REMEDIES: dict[str, str] = {
    "invalid_payload": meaning_of(422).remedy,
    "auth_expired": meaning_of(401).remedy,
    "permission_missing": meaning_of(403).remedy,
    "not_found": meaning_of(404).remedy,
    "conflict": meaning_of(409).remedy,
    "gone": meaning_of(410).remedy,
}


def classify(
    answer: Answer,
    rules: Sequence[ErrorRule] = (),
    success: Success | None = None,
    *,
    request: CallRequest | None = None,
    now: datetime | None = None,
) -> CallFailed | None:
    """None: the call succeeded."""
    now = now or datetime.now(UTC)
    for rule in rules:
        if applies(rule, answer):
            return _by_rule(rule, answer, now)
    if not 200 <= answer.status < 300:
        return _by_status(answer, request, now)
    if success is not None:
        return _by_success(success, answer, now)
    if request is not None and request.expects == "json":
        return _unreadable(answer)
    return None


# -------------------------------------------------------------------------- the connector's rules


def applies(rule: ErrorRule, answer: Answer) -> bool:
    return answer.status in rule.status and (not rule.says or rule.says in answer.text())


def _by_rule(rule: ErrorRule, answer: Answer, now: datetime) -> CallFailed:
    meaning = meaning_of(answer.status)
    wait_s = read_wait(rule.wait, answer, now) if rule.wait else None
    if wait_s is None and rule.kind in ("rate_limited", "unavailable"):
        wait_s = asked_wait(answer, now)
    remedy = meaning.remedy if rule.kind == meaning.kind else ""
    sentence = _own_sentence(rule, answer) or _sentence(answer, meaning.words)
    return CallFailed(
        rule.kind,
        sentence,
        remedy=remedy,
        status=answer.status,
        wait_s=wait_s,
        ambiguous=meaning.ambiguous and rule.kind == meaning.kind,
    )


def _own_sentence(rule: ErrorRule, answer: Answer) -> str:
    """The connector's words with what the service said; '' when the service said nothing."""
    if not rule.message:
        return ""
    filled = fill(rule.message, {"response": _document(answer)})
    if filled is MISSING:
        return ""
    text = " ".join(as_text(filled).split())[:LONGEST_MESSAGE]
    bare = parse(rule.message).single is not None
    return f"{answer.host} says: “{text}”" if bare and text else text


def _by_success(success: Success, answer: Answer, now: datetime) -> CallFailed | None:
    """Some services answer 200 and say in the body that it did not work."""
    try:
        document = read_json(answer.body, answer.text)
    except Unreadable:
        return _unreadable(answer)
    found = first(success.path, document)
    if found == success.equals and type(found) is type(success.equals):
        return None
    said = first(success.message, document) if success.message else message_of(document)
    text = as_text(said)[:LONGEST_MESSAGE] if said is not None else ""
    kind = success.kinds.get(text, success.kind)
    return CallFailed(
        kind,
        f"{answer.host} answered {answer.status}, but says that it did not work"
        + (f": “{text}”" if text else "."),
        remedy=_REMEDIES.get(kind, ""),
        status=answer.status,
        wait_s=asked_wait(answer, now) if kind in ("rate_limited", "unavailable") else None,
    )


def _unreadable(answer: Answer) -> CallFailed | None:
    try:
        answer.document("json")
    except CallFailed as failure:
        return failure
    return None


# ------------------------------------------------------------------------------------- statuses


def _by_status(answer: Answer, request: CallRequest | None, now: datetime) -> CallFailed:
    kind, permanent, words, remedy, ambiguous = meaning_of(answer.status)
    if answer.status == 409 and request is not None and request.idempotency_key:
        permanent = _IN_PROGRESS.search(answer.text()[:2000]) is None
    if 300 <= answer.status < 400:
        words = f"redirects to {answer.header('location')[:200] or 'another address'}"
    return CallFailed(
        kind,
        _sentence(answer, words),
        remedy=remedy,
        status=answer.status,
        wait_s=asked_wait(answer, now) if not permanent else None,
        ambiguous=ambiguous,
        permanent=permanent,
    )


def _sentence(answer: Answer, words: str) -> str:
    said = "" if answer.looks_like_html() else message_of(_document(answer))
    told = f": “{said}”" if said else "."
    return f"{answer.host} {words} (status {answer.status}){told}"


def _document(answer: Answer) -> Any:
    try:
        return answer.document("auto")
    except CallFailed:
        return None
