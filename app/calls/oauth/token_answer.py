"""What a token endpoint answered: a token, or why there is none, in a sentence.

The answer comes from outside and is believed in nothing: wrong types, absurd times, pages in place of
JSON and refusals under status 200 all end here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from app.calls.message.answer import Answer
from app.calls.outcome.messages import LONGEST_MESSAGE
from app.catalog.format.auth import TokenAuth
from app.errors import CallFailed
from app.flows.mapping.template import first

_LONGEST_TOKEN = 16_384
_LONGEST_LIFE_S = 10 * 365 * 86400.0
_TOKEN = re.compile(r"[\x20-\x7e]+")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,60}")

_GRANT_GONE = frozenset(
    (
        *("invalid_grant", "invalid_refresh_token", "bad_refresh_token", "bad_verification_code"),
        *("token_revoked", "token_expired", "expired_token", "invalid_token", "invalid_code"),
        *("access_denied", "consent_required", "interaction_required", "login_required"),
    )
)
_APP_REFUSED = frozenset(
    (
        *("invalid_client", "unauthorized_client", "incorrect_client_credentials"),
        *("bad_client_secret", "invalid_client_id", "bad_client_id", "redirect_uri_mismatch"),
    )
)
_FOR_GOOD = frozenset(("invalid_scope", "invalid_request", "unsupported_grant_type", "invalid_target"))
_LATER = frozenset(("temporarily_unavailable", "server_error", "slow_down", "internal_error"))


@dataclass(frozen=True)
class Token:
    """`scopes` None: the answer says nothing of them, so they are those asked for."""

    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    lasts_s: float | None = None
    scopes: tuple[str, ...] | None = None
    kept: Mapping[str, str] = field(default_factory=dict)


def read_document(answer: Answer, service: str) -> dict[str, Any]:
    """Raises CallFailed: kind `auth_expired` when asking again cannot help, else `unavailable`."""
    document = _document(answer)
    if document is None:
        if answer.status in (400, 401):
            raise _gone(f"{service} refused to give a token (status {answer.status}).", answer.status)
        what = "a web page (HTML)" if answer.looks_like_html() else "something else"
        raise _later(f"{service} answered {answer.status} with {what} instead of a token.", answer.status)
    if refusal := _refusal(document, answer.status):
        raise _refused(refusal, _said(document), service, answer.status)
    if not 200 <= answer.status < 300:
        if answer.status in (400, 401):
            raise _gone(f"{service} refused to give a token (status {answer.status}).", answer.status)
        raise _later(f"{service} gave no token (status {answer.status}).", answer.status)
    return document


def read_token(document: Mapping[str, Any], auth: TokenAuth, service: str) -> Token:
    """Raises CallFailed for what is no token."""
    inner = first(auth.token_path, document) if auth.token_path != "$" else document  # noqa: S105 - a path
    found = inner if isinstance(inner, Mapping) else {}
    access = found.get("access_token")
    if not _is_token(access):
        said = (
            "without an access token" if access in (None, "") else "with an access token that cannot be one"
        )
        raise _later(f"{service} answered {said}.")
    refresh = found.get("refresh_token")
    return Token(
        access_token=str(access),
        refresh_token=str(refresh) if _is_token(refresh) else "",
        lasts_s=_seconds(found.get("expires_in")) or auth.lasts,
        scopes=_scopes(found.get("scope")),
        kept=_kept(document, auth),
    )


# ------------------------------------------------------------------------------------- reading


def _document(answer: Answer) -> dict[str, Any] | None:
    try:
        if "x-www-form-urlencoded" in answer.content_type:
            return dict(parse_qsl(answer.text(), max_num_fields=100))
        document = answer.document("json")
    except (CallFailed, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _refusal(document: Mapping[str, Any], status: int) -> str:
    """The word for why not; '' when it is none."""
    word = document.get("error")
    if isinstance(word, dict):
        word = word.get("code") or word.get("type") or word.get("status")
    if isinstance(word, str) and word:
        return word[:60]
    return "error" if document.get("ok") is False or (word and status >= 400) else ""


def _said(document: Mapping[str, Any]) -> str:
    for name in ("error_description", "message", "error_message", "detail"):
        value = document.get(name)
        if isinstance(value, str) and value.strip():
            return " ".join(value.split())[:LONGEST_MESSAGE]
    return ""


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TOKEN and _TOKEN.fullmatch(value) is not None


def _seconds(value: Any) -> float | None:
    """None where the answer says nothing of use: then the token serves until it is refused."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return min(seconds, _LONGEST_LIFE_S) if seconds > 0 and math.isfinite(seconds) else None


def _scopes(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return tuple(dict.fromkeys(re.split(r"[\s,]+", value.strip()))) if value.strip() else ()
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(dict.fromkeys(value))
    return None


def _kept(document: Mapping[str, Any], auth: TokenAuth) -> dict[str, str]:
    found = {key: first(path, document) for key, path in auth.keep.items()}
    return {key: str(value) for key, value in found.items() if isinstance(value, str | int) and str(value)}


# ------------------------------------------------------------------------------------ sentences


def _refused(word: str, said: str, service: str, status: int) -> CallFailed:
    told = f": “{said}”" if said else f" ({word})." if _WORD.fullmatch(word) else "."
    if word in _APP_REFUSED:
        return CallFailed(
            "auth_expired",
            f"{service} does not accept the client ID or secret{told}",
            remedy="Compare both with what the service shows, and enter them again.",
            status=status,
        )
    if word in _GRANT_GONE:
        return _gone(f"{service} no longer accepts this sign-in{told}", status)
    if word in _FOR_GOOD or (400 <= status < 500 and status != 429 and word not in _LATER):
        return _gone(f"{service} refused to give a token{told}", status)
    return _later(f"{service} cannot give a token at the moment{told}", status)


def _gone(sentence: str, status: int | None = None) -> CallFailed:
    return CallFailed("auth_expired", sentence, remedy="Reconnect the connection.", status=status)


def _later(sentence: str, status: int | None = None) -> CallFailed:
    return CallFailed("unavailable", sentence, status=status)
