"""What one look of a poll reads: the records of an answer, or of all its pages, and the calls made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from app.calls.connections.book import ConnectionFacts
from app.calls.limits.limits import host_of
from app.calls.message.call import Answer, CallRequest
from app.engine.runtime import Runtime
from app.engine.steps.web_request import build_request
from app.errors import CallFailed
from app.flows.mapping.template import Finding
from app.flows.model import PollTrigger
from app.intake.polls.records import furthest, overlapping, record_key, records_in
from app.storage.database.writer import Row

_LONGEST_WAIT_S = 60.0
_POLLS = "polls"  # together they have as much of a connection as one flow
_LEAST_OVERLAP_S = 300.0


@dataclass(slots=True)
class Look:
    """What was read so far; `calls` are kept even when the look fails.  `complete`: the service has
    no more to give; a first look that is not complete is gone on with by the next one."""

    calls: list[Row] = field(default_factory=list)
    records: dict[str, Any] = field(default_factory=dict)  # by key, in the order of the answers
    cursor: Any = None
    complete: bool = True

    def add(self, records: list[Any], dedupe: str, cursor: str) -> int:
        """How many were not read before in this look."""
        before = len(self.records)
        for record in records:
            self.records.setdefault(record_key(record, dedupe), record)
        self.cursor = furthest(records, cursor, self.cursor)
        return len(self.records) - before


class Source(Protocol):
    @property
    def dedupe(self) -> str: ...
    @property
    def cursor(self) -> str: ...
    @property
    def overlap_s(self) -> float | None:
        """None = what suits the interval."""
        ...

    def start(self, now: datetime) -> Any:
        """The cursor before anything was read."""
        ...

    def batches(self, look: Look, since: Any) -> AsyncIterator[list[Any]]:
        """Records read with one value of the cursor, page by page.  Raises AppError."""
        ...

    def uses_cursor(self) -> bool:
        """Asks the service only for what is newer than the cursor."""
        ...


class RequestSource:
    """A request somebody described by hand."""

    def __init__(self, runtime: Runtime, trigger: PollTrigger, run_facts: dict[str, Any]) -> None:
        self._runtime = runtime
        self._trigger = trigger
        self._facts = run_facts
        self.dedupe = trigger.dedupe
        self.cursor = trigger.cursor

    @property
    def overlap_s(self) -> float | None:
        return None

    def start(self, now: datetime) -> Any:
        return None

    def uses_cursor(self) -> bool:
        return bool(self.cursor) and "{{cursor" in self._trigger.request.model_dump_json()

    async def batches(self, look: Look, since: Any) -> AsyncIterator[list[Any]]:
        findings: list[Finding] = []
        scope = {"run": self._facts, "cursor": "" if since is None else since}
        request, _ = build_request(self._runtime.connections, self._trigger.request, scope, findings)
        answer = await send(self._runtime, look, request)
        document = answer.document(self._trigger.request.parse)
        is_xml = answer.body.lstrip()[:1] == b"<"
        yield records_in(document, self._trigger.items, is_xml=is_xml)


async def send(runtime: Runtime, look: Look, request: CallRequest) -> Answer:
    """Raises CallFailed; the call is in `look` in any case."""
    if request.connection is not None:
        refuse_broken(request.connection)
    await wait_turn(runtime, request)
    outcome = await runtime.caller.send(request)
    look.calls.extend((*outcome.before, outcome.row))
    if outcome.failure is not None or outcome.answer is None:
        raise outcome.failure or CallFailed("unavailable", "The service gave no answer.")
    return outcome.answer


def ready_connection(runtime: Runtime, connection_id: str) -> ConnectionFacts | None:
    if not connection_id:
        return None
    connection = runtime.connections.get(connection_id)
    refuse_broken(connection)
    return connection


def refuse_broken(connection: ConnectionFacts) -> None:
    if connection.hold_reason is not None:
        raise CallFailed(
            "unavailable",
            f"The connection “{connection.name}” is held: {connection.hold_reason or 'nothing is asked'}.",
            remedy="Resume it; what is new is found then.",
        )
    if connection.state == "broken":
        raise CallFailed(
            "auth_expired",
            f"The connection “{connection.name}” no longer works. {connection.state_sentence}".strip(),
            remedy="Connect it again.",
        )


async def wait_turn(runtime: Runtime, request: CallRequest) -> None:
    """Polls share the budget of the connection with the runs of all flows."""
    is_back = False
    while (wait := await runtime.caller.limits.turn(request, flow=_POLLS, is_back=is_back)) is not None:
        if wait.why == "away":
            raise CallFailed(
                "unavailable", f"{_named(request)} is left alone for a while: it failed too often."
            )
        if wait.seconds > _LONGEST_WAIT_S:
            raise CallFailed(
                "rate_limited",
                f"{_named(request)} has to wait before it may call again.",
                wait_s=wait.seconds,
            )
        await asyncio.sleep(wait.seconds)
        is_back = True
        if wait.is_mine:
            return


def _named(request: CallRequest) -> str:
    return f"“{request.connection.name}”" if request.connection is not None else host_of(request.url)


def look_back(cursor: Any, source: Source, interval_s: int) -> Any:
    """Late arrivals and equal moments are read again; keys tell them from new ones."""
    own = source.overlap_s
    return overlapping(cursor, max(2 * interval_s, _LEAST_OVERLAP_S) if own is None else own)
