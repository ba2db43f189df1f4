"""What an answer or an error means: one of the eight kinds, in a sentence that names the host.

First the connector's own rules, then its rule of success, then what the status usually means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from app.calls.message.call import Answer, CallRequest, Unreadable, read_json
from app.calls.outcome.signals import asked_wait, read_wait
from app.catalog.format.definition import ErrorRule, Success
from app.catalog.templates import fill, parse
from app.errors import CallFailed, ErrorKind
from app.flows.mapping.jsonpath import MISSING, first
from app.flows.mapping.values import as_text

_IN_PROGRESS = re.compile(r"idempot.*(progress|concurrent|in use|processing)", re.IGNORECASE | re.DOTALL)


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


class Meaning(NamedTuple):
    """`words` follow the name of the host in a sentence.  `ambiguous`: what stands in between gave up
    on the service, which may have got the request all the same."""

    kind: ErrorKind
    permanent: bool
    words: str
    remedy: str = ""
    ambiguous: bool = False


_CHECK_FIELDS = "Look at the answer below and correct the field it names."
_PERMISSION = "Give the account the permission for this, then replay."
_PLAN = "Check the plan of the account."
_LOOK = "Look at the record in the service."
_METHOD = "Choose another method in the step."
_BODY_KIND = "Choose another kind of body in the step."
_SHORTER_URL = "Move data from the address into the body."

_BY_STATUS: dict[int, Meaning] = {
    400: Meaning("invalid_payload", True, "did not accept the data", _CHECK_FIELDS),
    401: Meaning("auth_expired", True, "does not accept the credentials", "Reconnect the account."),
    402: Meaning("permission_missing", True, "asks for a payment or a higher plan", _PLAN),
    403: Meaning("permission_missing", True, "does not allow this", _PERMISSION),
    404: Meaning("not_found", True, "does not know this address or record", "Check the ids in the address."),
    405: Meaning("invalid_payload", True, "does not allow this method here", _METHOD),
    406: Meaning("invalid_payload", True, "cannot answer in the form asked for", "Check the header Accept."),
    407: Meaning("permission_missing", True, "is behind a proxy that wants a sign-in"),
    408: Meaning("unavailable", False, "waited too long for the request"),
    409: Meaning("conflict", True, "says that this conflicts with what is there", _LOOK),
    410: Meaning("gone", True, "says that this no longer exists", "Choose another record."),
    411: Meaning("invalid_payload", True, "wants to know the length of the body", "Send a body."),
    412: Meaning("conflict", True, "says that the record was changed meanwhile", _LOOK),
    413: Meaning("invalid_payload", True, "finds the body too large", "Send less data at once."),
    414: Meaning("invalid_payload", True, "finds the address too long", _SHORTER_URL),
    415: Meaning("invalid_payload", True, "does not accept this kind of body", _BODY_KIND),
    422: Meaning("invalid_payload", True, "did not accept the data", _CHECK_FIELDS),
    423: Meaning("conflict", False, "has locked this record for the moment"),
    425: Meaning("unavailable", False, "was not ready for the request"),
    429: Meaning("rate_limited", False, "got too many calls"),
    431: Meaning("invalid_payload", True, "finds the headers too large", "Send fewer or shorter headers."),
    451: Meaning("permission_missing", True, "may not answer this for legal reasons"),
    500: Meaning("unavailable", False, "had an error of its own"),
    501: Meaning("invalid_payload", True, "cannot do this", _METHOD),
    502: Meaning("unavailable", False, "is unreachable behind its gateway", ambiguous=True),
    503: Meaning("unavailable", False, "is unavailable at the moment"),
    504: Meaning("unavailable", False, "took too long behind its gateway", ambiguous=True),
    520: Meaning("unavailable", False, "gave its gateway no proper answer", ambiguous=True),
    521: Meaning("unavailable", False, "refuses its gateway: it is down"),
    524: Meaning("unavailable", False, "took too long behind its gateway", ambiguous=True),
    505: Meaning("invalid_payload", True, "does not speak this version of HTTP"),
    529: Meaning("unavailable", False, "is overloaded"),
}
_GATEWAY = Meaning("unavailable", False, "is unreachable behind its gateway")
_ODD_SERVER = Meaning("unavailable", True, "had an error of its own", "Ask the service what this means.")
_REDIRECT = Meaning("invalid_payload", True, "redirects", "Put the final address into the step.")
_REFUSED = Meaning("invalid_payload", True, "refused the call", "Look at the answer below.")
_UNFINISHED = Meaning("unavailable", False, "broke off its answer", ambiguous=True)


def meaning_of(status: int) -> Meaning:
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    if status >= 500:
        return _GATEWAY if 520 <= status <= 524 else _ODD_SERVER
    if status < 200:
        return _UNFINISHED
    return _REDIRECT if status < 400 else _REFUSED


_REMEDIES: dict[str, str] = {
    "invalid_payload": meaning_of(422).remedy,
    "auth_expired": meaning_of(401).remedy,
    "permission_missing": meaning_of(403).remedy,
    "not_found": meaning_of(404).remedy,
    "conflict": meaning_of(409).remedy,
    "gone": meaning_of(410).remedy,
}


LONGEST_MESSAGE = 300
_KEYS = (
    "message",
    "error_description",
    "detail",
    "title",
    "error_message",
    "errorMessage",
    "msg",
    "reason",
)
_HOLDERS = ("error", "errors", "data", "fault", "response", "details")


def message_of(document: Any, depth: int = 0) -> str:
    if isinstance(document, str):
        return " ".join(document.split())[:LONGEST_MESSAGE]
    if isinstance(document, list):
        return message_of(document[0], depth + 1) if document and depth < 4 else ""
    if not isinstance(document, dict) or depth > 4:
        return ""
    for key in _KEYS:
        if isinstance(document.get(key), str) and document[key].strip():
            return message_of(document[key])
    for key in _HOLDERS:
        if document.get(key) and (said := message_of(document[key], depth + 1)):
            return said
    return _first_named(document) if depth else ""


def _first_named(errors: dict[str, Any]) -> str:
    """`{"email": ["is invalid"]}` -> `email: is invalid`."""
    for name, value in errors.items():
        text = value[0] if isinstance(value, list) and value else value
        if isinstance(text, str) and text:
            return f"{name}: {text}"[:LONGEST_MESSAGE]
    return ""
