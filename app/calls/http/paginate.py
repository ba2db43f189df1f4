"""A list that comes in pages, for polls and lookups: page after page, each call on record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.calls.http.client import Caller, CallOutcome
from app.calls.message.call import CallRequest, join_address, read_address
from app.catalog.format.definition import ErrorRule, Paginate, Success
from app.catalog.pages import Page, first_page, next_page
from app.errors import CallFailed


@dataclass(frozen=True, slots=True)
class PageRead:
    """`failure`: this page could not be had, and it is the last; `document` is then None."""

    outcome: CallOutcome
    document: Any = None
    failure: CallFailed | None = None
    number: int = 1


async def pages(
    caller: Caller,
    build: Callable[[Any], CallRequest],
    paginate: Paginate | None,
    *,
    count: Callable[[Any], int],
    rules: Sequence[ErrorRule] = (),
    success: Success | None = None,
    parse: str = "json",
    turn: Callable[[CallRequest], Awaitable[None]] | None = None,
) -> AsyncIterator[PageRead]:
    """`build(page)`: the request for that `${page}`.  `count(document)`: its records, by which the
    last page is known.  `turn`: awaited before each call goes out.  Ends after a failure.  A link to
    the next page stays on the same host."""
    page: Page | None = first_page(paginate)
    here = ""
    while page is not None:
        request = build(page.value)
        if turn is not None:
            await turn(request)
        read = await _read(caller, request, page, here, rules, success, parse)
        yield read
        if read.failure is not None or read.outcome.answer is None:
            return
        here = join_address(here, page.link) if page.link else request.url
        answer = read.outcome.answer
        page = next_page(paginate, page, read.document, answer.headers, count(read.document))


async def _read(
    caller: Caller,
    request: CallRequest,
    page: Page,
    here: str,
    rules: Sequence[ErrorRule],
    success: Success | None,
    parse: str,
) -> PageRead:
    try:
        if page.link:
            link = join_address(here, page.link)
            check_same_host(here, link)
            request = replace(request, url=link, query=())
    except CallFailed as failure:
        row = caller.row_without_answer(request, started_at=caller.now(), sentence=failure.sentence)
        return PageRead(CallOutcome(None, failure, row), failure=failure, number=page.number)
    outcome = await caller.send(request, rules=rules, success=success)
    if outcome.failure is not None or outcome.answer is None:
        return PageRead(outcome, failure=outcome.failure, number=page.number)
    try:
        return PageRead(outcome, outcome.answer.document(parse), number=page.number)
    except CallFailed as failure:
        row = {**outcome.row, "error_kind": failure.kind, "sentence": failure.sentence}
        return PageRead(replace(outcome, failure=failure, row=row), failure=failure, number=page.number)


def check_same_host(here: str, link: str) -> None:
    """Else an answer could send the account's secrets, or this server, somewhere else."""
    origin, _ = read_address(here)
    target, _ = read_address(link)
    if origin != target:
        raise CallFailed(
            "invalid_payload",
            f"{origin.label} names a next page at another address ({target.label}). It was not followed.",
            remedy="Tell whoever keeps this connector.",
            permanent=True,
        )
