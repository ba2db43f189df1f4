"""One HTTP call: made ready, sent, read, judged and written down.  Whatever the target does, the
outcome is an answer or a classified failure, and always a row for the history."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from app.calls.connections.secrets import NO_SECRETS, Scrubber, hide_parameters, shown_headers, shown_url
from app.calls.guard import Body, Guard
from app.calls.http.transport import AnswerToRead, CallToSend, open_transport
from app.calls.limits.limits import Limits
from app.calls.message.call import (
    READS,
    Answer,
    CallRequest,
    Headers,
    Ready,
    join_address,
    make_ready,
    read_address,
)
from app.calls.outcome.classify import classify
from app.calls.outcome.failures import failure_of, too_large
from app.catalog.format.definition import ErrorRule, Success
from app.clock import Clock
from app.errors import CallFailed
from app.settings import Settings

if TYPE_CHECKING:
    from app.calls.connections.book import ConnectionFacts


MAX_HOPS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OF_THE_BODY = frozenset({"content-type", "content-encoding", "content-language"})


def next_hop(
    home: Ready, last: Ready, status: int, headers: Sequence[tuple[str, str]], hop: int
) -> Ready | None:
    """What to send next, or None when this answer is the last.  Raises CallFailed for a redirect
    that must not be followed."""
    target = next((value for name, value in headers if name.lower() == "location"), "")
    if status not in _REDIRECTS or not target:
        return None
    if hop >= MAX_HOPS:
        raise _refuse_redirect(f"{home.origin.label} redirects more than {MAX_HOPS} times.", status)
    origin, url = read_address(join_address(last.url, target))
    keeps_body = status in (307, 308) or last.method in READS
    leaves = origin != home.origin
    if leaves and keeps_body and last.body_is_secret:
        raise _refuse_redirect(
            f"{home.origin.label} redirects to {origin.label}, and the request holds a secret. "
            "It was not sent there.",
            status,
        )
    return replace(
        last,
        method=last.method if keeps_body else "GET",
        origin=origin,
        url=url,
        headers=_kept_headers(last.headers, last, leaves=leaves, keeps_body=keeps_body),
        headers_shown=_kept_headers(last.headers_shown, last, leaves=leaves, keeps_body=keeps_body),
        body=last.body if keeps_body else None,
        url_shown=hide_parameters(url),
    )


def _kept_headers(headers: Headers, last: Ready, *, leaves: bool, keeps_body: bool) -> Headers:
    gone = (last.own_headers if leaves else frozenset()) | (frozenset() if keeps_body else _OF_THE_BODY)
    return [(name, value) for name, value in headers if name.lower() not in gone]


def _refuse_redirect(sentence: str, status: int) -> CallFailed:
    return CallFailed(
        "invalid_payload",
        sentence,
        remedy="Put the final address into the step.",
        status=status,
        permanent=True,
    )


log = logging.getLogger("plumbline.calls")

_CONNECT_S = 10.0
_LOOK_UPS = 32  # names looked up at once: a few that hang must not hold up the others
Row = dict[str, Any]


@dataclass(slots=True)
class CallOutcome:
    """`row`: the columns of a call but for those that say what it was made for.  A failure may have
    an answer as well: a status that means no, or half a body."""

    answer: Answer | None
    failure: CallFailed | None
    row: Row
    before: tuple[Row, ...] = ()  # calls that came before it: one whose token was not taken


class TokenSource(Protocol):
    """Where calls get tokens that run out; each raises CallFailed."""

    async def fresh(self, facts: ConnectionFacts) -> ConnectionFacts: ...

    async def refused(self, facts: ConnectionFacts) -> ConnectionFacts | None: ...


@dataclass(slots=True)
class _Exchange:
    """What is known of a call while it is under way, so that a stop half-way loses nothing."""

    ready: Ready
    status: int | None = None
    headers: Sequence[tuple[str, str]] = ()
    body: Body | None = None


class Caller:
    """Lives in one event loop: `start`, `send` and `close` are called there and nowhere else."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        tokens: Callable[[Caller], TokenSource] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`tokens`: makes what renews tokens, which it does with calls of this caller."""
        self._clock = clock
        self._transport = transport
        self.guard = Guard(settings.allow_targets)
        self.limits = Limits(clock)
        self.tokens = tokens(self) if tokens is not None else None

    def now(self) -> datetime:
        return self._clock.now()

    async def start(self) -> None:
        if self._transport is None:
            self._transport = open_transport(self.guard)
            names = ThreadPoolExecutor(_LOOK_UPS, thread_name_prefix="names")
            asyncio.get_running_loop().set_default_executor(names)
        await self.limits.start()

    async def close(self) -> None:
        await self.limits.close()
        if self._transport is not None:
            await self._transport.aclose()

    async def send(
        self, request: CallRequest, *, rules: Sequence[ErrorRule] = (), success: Success | None = None
    ) -> CallOutcome:
        """Never raises for what a target does or for a request that cannot be sent."""
        connection = request.connection
        if connection is not None and connection.has_token and self.tokens is not None:
            return await self._send_with_token(self.tokens, request, connection, rules, success)
        return await self._send_once(request, rules, success)

    async def _send_with_token(
        self,
        tokens: TokenSource,
        request: CallRequest,
        connection: ConnectionFacts,
        rules: Sequence[ErrorRule],
        success: Success | None,
    ) -> CallOutcome:
        """With one that serves; when it is refused all the same, once more with the next."""
        try:
            facts = await tokens.fresh(connection)
        except CallFailed as failure:
            return CallOutcome(None, failure, unsent_row(request, self._clock.now(), failure))
        outcome = await self._send_once(replace(request, connection=facts), rules, success)
        if outcome.failure is None or outcome.failure.kind != "auth_expired":
            return outcome
        try:
            following = await tokens.refused(facts)
        except CallFailed as failure:
            outcome.failure = failure
            return outcome
        if following is None:
            return outcome
        again = await self._send_once(replace(request, connection=following), rules, success)
        again.before = (outcome.row,)
        return again

    async def _send_once(
        self, request: CallRequest, rules: Sequence[ErrorRule], success: Success | None
    ) -> CallOutcome:
        started_at, began = self._clock.now(), self._clock.monotonic()
        if request.secrets and request.connection is not None:
            known = {**request.connection.secrets, **request.secrets}
            request = replace(request, connection=replace(request.connection, secrets=known))
        try:
            ready = make_ready(request, started_at)
        except CallFailed as refused:
            return CallOutcome(None, refused, unsent_row(request, started_at, refused))
        exchange = _Exchange(ready)
        failure = await self._exchange(exchange, request)
        duration_ms = round((self._clock.monotonic() - began) * 1000)
        answer = _answer(exchange, duration_ms)
        if answer is not None and failure is None:
            failure = classify(answer, rules, success, request=request, now=started_at)
        scrubber = _scrubber_for(request, exchange.ready, answer, failure)
        row = _row(request, exchange.ready, answer, failure, started_at, scrubber)
        row["duration_ms"] = duration_ms
        self.limits.heed(request, failure, answer)
        return CallOutcome(_clean(answer, request, scrubber), failure, row)

    async def _exchange(self, exchange: _Exchange, request: CallRequest) -> CallFailed | None:
        try:
            async with asyncio.timeout(request.timeout_s):
                await self._follow(exchange, request)
        except CallFailed as failure:
            return failure
        except Exception as reason:
            return failure_of(
                reason,
                origin=exchange.ready.origin,
                timeout_s=request.timeout_s,
                answered=exchange.status is not None,
            )
        if exchange.body is not None and exchange.body.full:
            return too_large(exchange.ready.origin, exchange.status or 0)
        return None

    async def _follow(self, exchange: _Exchange, request: CallRequest) -> None:
        home = exchange.ready
        for hop in range(MAX_HOPS + 1):
            await self._one_hop(exchange, exchange.ready, request.timeout_s)
            if not request.follow_redirects or exchange.status is None:
                return
            following = next_hop(home, exchange.ready, exchange.status, exchange.headers, hop)
            if following is None:
                return
            exchange.ready = following
            exchange.status, exchange.body = None, None

    async def _one_hop(self, exchange: _Exchange, ready: Ready, timeout_s: float) -> None:
        if self._transport is None:
            raise RuntimeError("Caller.start() comes first")
        self.guard.target.set((ready.origin.host, ready.origin.port))
        connect_s = min(_CONNECT_S, timeout_s * 0.75)  # so that it ends before the whole call does
        response = await self._transport.handle_async_request(
            CallToSend(ready.method, ready.url, ready.headers, ready.body, connect_s)
        )
        try:
            exchange.status = response.status_code
            exchange.headers = _read_headers(response)
            exchange.body = Body(_header(exchange.headers, "content-encoding"))
            if ready.method != "HEAD":
                await exchange.body.read(_stream(response))
        finally:
            await _stream(response).aclose()

    def row_without_answer(self, request: CallRequest, *, started_at: datetime, sentence: str) -> Row:
        """For a call whose outcome nobody knows, because the server ended while it was under way."""
        if request.method == "SMTP":
            return unsent_row(request, started_at, CallFailed("unavailable", sentence))
        try:
            ready = make_ready(request, started_at)
        except CallFailed as failure:
            return unsent_row(request, started_at, failure)
        row = _row(request, ready, None, None, started_at, ready.scrubber)
        return {**row, "sentence": sentence, "error_kind": "unavailable"}


def _read_headers(response: httpx.Response) -> list[tuple[str, str]]:
    rows = response.rows if isinstance(response, AnswerToRead) else response.headers.raw
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in rows]


def _header(headers: Sequence[tuple[str, str]], name: str) -> str:
    return next((value for key, value in headers if key.lower() == name), "")


def _stream(response: httpx.Response) -> httpx.AsyncByteStream:
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("an asynchronous transport is needed")
    return response.stream


def _answer(exchange: _Exchange, duration_ms: int) -> Answer | None:
    if exchange.status is None:
        return None
    body = exchange.body or Body()
    return Answer(
        exchange.status,
        list(exchange.headers),
        body.data(),
        body.full,
        duration_ms,
        exchange.ready.origin.label,
    )


def _row(
    request: CallRequest,
    ready: Ready,
    answer: Answer | None,
    failure: CallFailed | None,
    started_at: datetime,
    scrubber: Scrubber,
) -> Row:
    if failure is not None:
        failure.sentence = scrubber.text(failure.sentence)
    row = _bare_row(request, started_at, failure)
    row["method"] = ready.method
    row["url"] = scrubber.text(ready.url_shown)
    row["request_headers"] = ready.headers_shown
    row["request_body"] = scrubber.body(request.body) if request.body is not None else None
    if answer is not None:
        row["status"] = answer.status
        row["answer_headers"] = shown_headers(answer.headers, scrubber)
        row["answer_body"] = scrubber.body(answer.body)
        row["answer_size"] = len(answer.body)
    return row


def _scrubber_for(
    request: CallRequest, ready: Ready, answer: Answer | None, failure: CallFailed | None
) -> Scrubber:
    """The connection's own, unless nothing secret occurs anywhere in this call."""
    if request.connection is None:
        return NO_SECRETS
    sentence = failure.sentence if failure is not None else ""
    parts: list[bytes | str] = [request.body or b"", ready.url_shown, sentence]
    if answer is not None:
        parts.append(answer.body)
        parts.extend([value for _, value in answer.headers])
    scrubber = request.connection.credentials.scrubber
    return scrubber if scrubber.finds_any(parts) else NO_SECRETS


def _clean(answer: Answer | None, request: CallRequest, scrubber: Scrubber) -> Answer | None:
    """A secret that the service repeats does not become data of the flow, which is kept as well."""
    if answer is not None and scrubber is not NO_SECRETS and request.connection is not None:
        in_data = request.connection.credentials.data_scrubber
        answer.body = in_data.data(answer.body)
        answer.headers = [(name, in_data.text(value)) for name, value in answer.headers]
    return answer


def _bare_row(request: CallRequest, started_at: datetime, failure: CallFailed | None) -> Row:
    return {
        "connection_id": request.connection.id if request.connection is not None else None,
        "idempotency_key": request.idempotency_key,
        "method": request.method,
        "url": request.url,
        "request_headers": None,
        "request_body": None,
        "status": None,
        "answer_headers": None,
        "answer_body": None,
        "answer_size": 0,
        "started_at": started_at,
        "duration_ms": None,
        "waited_ms": 0,
        "error_kind": failure.kind if failure is not None else None,
        "sentence": failure.sentence if failure is not None else "",
    }


def unsent_row(request: CallRequest, started_at: datetime, failure: CallFailed | None) -> Row:
    """For a request that was refused before anything went out."""
    scrubber = request.connection.credentials.scrubber if request.connection is not None else NO_SECRETS
    row = _bare_row(request, started_at, failure)
    row["url"] = shown_url(request.url, scrubber)
    row["request_body"] = scrubber.body(request.body) if request.body is not None else None
    row["sentence"] = scrubber.text(row["sentence"])
    return row
