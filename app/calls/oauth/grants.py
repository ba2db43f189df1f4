"""Asking a service for a token: what is sent in each grant is Authlib's knowledge, how it is sent is ours."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from authlib.oauth2.client import OAuth2Client
from authlib.oauth2.rfc7523 import JWTBearerGrant
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from app.calls.connections.secrets import HIDDEN, Scrubber
from app.calls.http.client import Caller, CallOutcome, Row
from app.calls.message.call import Answer, CallRequest, add_query
from app.calls.outcome.classify import LONGEST_MESSAGE
from app.catalog.format.auth import OAuth2Auth, TokenAuth
from app.catalog.format.sign_in import ClientCredentialsAuth, ServiceAccountAuth
from app.catalog.templates import fill
from app.errors import CallFailed
from app.flows.mapping.template import first
from app.flows.mapping.values import as_text

_TIMEOUT_S = 25.0
_CLIENT_AUTH = {"body": "client_secret_post", "basic": "client_secret_basic", "none": "none"}
_SHOWN = frozenset(
    (
        *("grant_type", "redirect_uri", "scope", "client_id", "audience", "resource", "account_id"),
        *("error", "error_description", "error_uri", "token_type", "expires_in", "ok", "issued_at"),
    )
)
_JWT_BEARER = JWTBearerGrant.GRANT_TYPE


@dataclass(frozen=True)
class Asker:
    """Who asks which service for a token.  `public`, `secrets`: the connection's fields, with the
    app's client ID and secret."""

    auth: TokenAuth
    service: str
    public: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def address(self, template: str) -> str:
        return as_text(fill(template, {"connection": self.public, "api": {}}))

    def value(self, template: str) -> str:
        """In a body, where secrets may stand as well."""
        return as_text(fill(template, {"connection": {**self.public, **self.secrets}, "api": {}}) or "")

    @property
    def client_id(self) -> str:
        return str(self.public.get("client_id") or "")


@dataclass
class Asked:
    """`row`: the call for the history, secrets replaced; None when nothing was sent."""

    token: Token | None = None
    failure: CallFailed | None = None
    row: Row | None = None


class _Client(OAuth2Client):  # type: ignore[misc]
    """Authlib's client with another way out: it prepares the request, `send` makes it."""

    def __init__(self, send: Callable[..., Coroutine[Any, Any, Any]], **facts: Any) -> None:
        super().__init__(session=None, **facts)
        self._send = send

    async def _fetch_token(
        self, url: str, body: str = "", headers: Any = None, auth: Any = None, **_: Any
    ) -> Any:
        return await self._send(*auth.prepare("POST", url, dict(headers), body))

    async def _refresh_token(
        self, url: str, body: str = "", headers: Any = None, auth: Any = None, **_: Any
    ) -> Any:
        return await self._send(*auth.prepare("POST", url, dict(headers), body))

    async def _http_post(
        self, url: str, body: str = "", auth: Any = None, headers: Any = None, **_: Any
    ) -> Any:
        return await self._send(*auth.prepare("POST", url, dict(headers or {}), body))


# ---------------------------------------------------------------------------------- the sign-in


def authorize_address(
    asker: Asker, *, redirect_uri: str, scopes: Sequence[str], state: str, verifier: str
) -> str:
    """Where the browser goes to sign in."""
    auth = asker.auth
    assert isinstance(auth, OAuth2Auth)
    client = OAuth2Client(
        session=None,
        client_id=asker.client_id,
        redirect_uri=redirect_uri,
        scope=auth.scope_separator.join(scopes) or None,
        code_challenge_method="S256",
    )
    extra = {name: asker.address(text) for name, text in auth.authorize_params.items()}
    kept = {"code_verifier": verifier} if auth.pkce else {}
    address, _ = client.create_authorization_url(
        asker.address(auth.authorize_url), state=state, **kept, **extra
    )
    return str(address)


async def exchange(caller: Caller, asker: Asker, *, code: str, redirect_uri: str, verifier: str) -> Asked:
    """The code that the browser brought back, for a token."""
    auth = asker.auth
    assert isinstance(auth, OAuth2Auth)
    kept = {"code_verifier": verifier} if auth.pkce else {}

    def ask(client: _Client) -> Any:
        return client.fetch_token(
            asker.address(auth.token_url),
            grant_type="authorization_code",
            code=code,
            redirect_uri=redirect_uri,
            **kept,
            **_params(asker),
        )

    return await _ask(caller, asker, ask, {"code": code, "code_verifier": verifier})


# ------------------------------------------------------------------------------------- renewing


async def renew(
    caller: Caller, asker: Asker, *, refresh_token: str, scopes: Sequence[str], now: datetime
) -> Asked:
    """The next token, in whichever way the connection gets one."""
    auth = asker.auth
    if isinstance(auth, OAuth2Auth):
        return await _refresh(caller, asker, auth, refresh_token)
    wanted = auth.scope_separator.join(scopes)
    scope = {"scope": wanted} if wanted else {}
    if isinstance(auth, ServiceAccountAuth):
        return await _assert(caller, asker, auth, scope, now)
    assert isinstance(auth, ClientCredentialsAuth)
    grant_type = auth.grant_type

    def ask(client: _Client) -> Any:
        return client.fetch_token(
            asker.address(auth.token_url), grant_type=grant_type, **scope, **_params(asker)
        )

    return await _ask(caller, asker, ask, {})


async def _refresh(caller: Caller, asker: Asker, auth: OAuth2Auth, refresh_token: str) -> Asked:
    if not refresh_token:
        sentence = f"The sign-in at {asker.service} has ended, and it gave no token to renew it with."
        return Asked(failure=CallFailed("auth_expired", sentence, remedy="Reconnect the connection."))
    url = asker.address(auth.refresh_url or auth.token_url)

    def ask(client: _Client) -> Any:
        return client.refresh_token(url, refresh_token=refresh_token, **_params(asker))

    return await _ask(caller, asker, ask, {"refresh_token": refresh_token})


async def _assert(
    caller: Caller, asker: Asker, auth: ServiceAccountAuth, scope: dict[str, str], now: datetime
) -> Asked:
    url = asker.address(auth.token_url)
    try:
        assertion = _assertion(asker, auth, url, scope, now)
    except (CallFailed, JoseError, ValueError, TypeError) as reason:
        return Asked(failure=reason if isinstance(reason, CallFailed) else _bad_key(asker))

    def ask(client: _Client) -> Any:
        given = {"assertion": assertion, **_params(asker)}
        return client.fetch_token(url, grant_type=_JWT_BEARER, auth=_Unproven(), **given, **scope)

    return await _ask(caller, asker, ask, {"assertion": assertion})


class _Unproven:
    """The assertion itself says who asks."""

    def prepare(self, method: str, url: str, headers: Any, body: str) -> tuple[str, Any, str]:
        return url, headers, body


def _assertion(asker: Asker, auth: ServiceAccountAuth, url: str, scope: dict[str, str], now: datetime) -> str:
    file = _key_file(asker)
    key = str(file.get("private_key") or asker.secrets.get("private_key") or "").replace("\\n", "\n")
    issuer = asker.value(auth.issuer) if auth.issuer else str(file.get("client_email") or "")
    if not key.strip() or not issuer:
        raise _bad_key(asker)
    header = {"alg": auth.algorithm, "typ": "JWT"}
    if kid := file.get("private_key_id"):
        header["kid"] = str(kid)
    return str(
        JWTBearerGrant.sign(
            (RSAKey if auth.algorithm == "RS256" else ECKey).import_key(key),
            issuer=issuer,
            audience=asker.value(auth.audience) if auth.audience else url,
            subject=asker.value(auth.subject) if auth.subject else None,
            issued_at=int(now.timestamp()),
            claims=dict(scope),
            header=header,
        )
    )


def _key_file(asker: Asker) -> dict[str, Any]:
    text = asker.secrets.get("key_file", "")
    if not text:
        return {}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise _bad_key(asker) from None
    return document if isinstance(document, dict) else {}


def _bad_key(asker: Asker) -> CallFailed:
    return CallFailed(
        "auth_expired",
        f"The key for {asker.service} cannot be read. Nothing was sent.",
        remedy="Enter the whole file as the service gave it, from { to }.",
    )


async def revoke(caller: Caller, asker: Asker, token: str) -> Asked:
    """Tells the service that a sign-in is over; whatever it answers, here it is."""
    auth = asker.auth
    assert isinstance(auth, OAuth2Auth)
    asked = Asked()

    async def send(url: str, headers: Any, body: str) -> None:
        outcome = await _post(caller, asker, url, headers, body)
        asked.row, asked.failure = _shown(outcome, asker, {"token": token}, None), outcome.failure

    await _client(asker, send).revoke_token(asker.address(auth.revoke_url), token=token)
    return asked


# -------------------------------------------------------------------------------------- sending


async def _ask(
    caller: Caller, asker: Asker, ask: Callable[[_Client], Any], secrets: Mapping[str, str]
) -> Asked:
    asked = Asked()

    async def send(url: str, headers: Any, body: str) -> None:
        outcome = await _post(caller, asker, url, headers, body)
        try:
            asked.token = _token(outcome, asker)
        except CallFailed as failure:
            asked.failure = _cleaned(failure, asker, secrets)
        asked.row = _shown(outcome, asker, secrets, asked)

    await ask(_client(asker, send))
    return asked


def _client(asker: Asker, send: Callable[..., Coroutine[Any, Any, Any]]) -> _Client:
    method = _CLIENT_AUTH[asker.auth.client_auth]
    return _Client(
        send,
        client_id=asker.client_id,
        client_secret=asker.secrets.get("client_secret", ""),
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
    )


def _params(asker: Asker) -> dict[str, str]:
    return {name: asker.value(text) for name, text in asker.auth.token_params.items()}


async def _post(caller: Caller, asker: Asker, url: str, headers: Any, body: str) -> CallOutcome:
    """Without a connection: nothing is added to it, and nothing in its answer is taken for an echo."""
    kind = "application/x-www-form-urlencoded"
    if asker.auth.token_body == "json":  # noqa: S105 - no password
        kind, body = "application/json", json.dumps(dict(parse_qsl(body)))
    rows = [("Accept", "application/json")]
    rows += [(name, value) for name, value in headers.items() if name.lower() == "authorization"]
    request = CallRequest("POST", url, headers=rows, body=body.encode(), content_type=kind)
    request.timeout_s = _TIMEOUT_S
    return await caller.send(request)


def _token(outcome: CallOutcome, asker: Asker) -> Token:
    answer, failure = outcome.answer, outcome.failure
    if answer is None or (failure is not None and answer.truncated):
        reason = failure.sentence if failure is not None else ""
        raise CallFailed("unavailable", f"No token could be fetched from {asker.service}: {reason}")
    try:
        return read_token(read_document(answer, asker.service), asker.auth, asker.service)
    except CallFailed as refused:
        refused.wait_s = failure.wait_s if failure is not None else None
        raise


# ----------------------------------------------------------------------------------- the record


def _cleaned(failure: CallFailed, asker: Asker, secrets: Mapping[str, str]) -> CallFailed:
    failure.sentence = Scrubber({**asker.secrets, **secrets}).text(failure.sentence)
    return failure


def _shown(outcome: CallOutcome, asker: Asker, secrets: Mapping[str, str], asked: Asked | None) -> Row:
    """Of a token's call the history shows what is known to be harmless, and of the rest the names."""
    row = dict(outcome.row)
    token = asked.token if asked is not None else None
    new = {"access_token": token.access_token, "refresh_token": token.refresh_token} if token else {}
    scrubber = Scrubber({**asker.secrets, **secrets, **new})
    row["url"] = scrubber.text(str(row["url"]))
    row["request_body"] = _hidden_form(row["request_body"])
    row["answer_body"] = _hidden_answer(row["answer_body"], scrubber)
    headers = row["answer_headers"] or []
    row["answer_headers"] = [(name, scrubber.text(value)) for name, value in headers] or None
    failure = asked.failure if asked is not None else None
    row["error_kind"] = failure.kind if failure is not None else None
    row["sentence"] = scrubber.text(failure.sentence if failure is not None else "")
    return row


def _hidden_form(body: bytes | None) -> bytes | None:
    if body is None:
        return None
    text = body.decode("utf-8", "replace")
    if text.startswith("{"):
        return _hidden_json(json.loads(text))
    pairs = [(name, value if name in _SHOWN else HIDDEN) for name, value in parse_qsl(text)]
    return add_query("", pairs).lstrip("?").replace("%E2%80%A2", "•").encode()


def _hidden_answer(body: bytes | None, scrubber: Scrubber) -> bytes | None:
    if not body:
        return body
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        looks_safe = re.search(rb"token|secret", body, re.IGNORECASE) is None
        return scrubber.data(body) if looks_safe else HIDDEN.encode()
    return scrubber.data(_hidden_json(document))


def _hidden_json(document: Any) -> bytes:
    return json.dumps(_hide(document, ""), ensure_ascii=False).encode("utf-8", "replace")


def _hide(value: Any, name: str, depth: int = 0) -> Any:
    if isinstance(value, dict) and depth < 8:
        return {str(key): _hide(inner, str(key), depth + 1) for key, inner in value.items()}
    return value if name in _SHOWN and not isinstance(value, list | dict) else HIDDEN


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
