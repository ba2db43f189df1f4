"""One call of a step, with everything around it: on record before it goes out, judged afterwards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from app.calls.connections.book import ConnectionFacts
from app.calls.http.client import CallOutcome
from app.calls.message.call import Answer, CallRequest
from app.catalog.format.definition import ErrorRule, Success
from app.engine.context import RunContext
from app.engine.holds import hold_connection
from app.engine.retry import Verdict, judge
from app.engine.signals import RunWaits, StepFails
from app.engine.steps.pacing import wait_for_room, wait_for_the_host, wait_for_turn
from app.errors import CallFailed
from app.flows.mapping.template import Finding
from app.flows.model import BaseStep

Via = Callable[[CallRequest], Awaitable[CallOutcome]]

_READS = ("GET", "HEAD", "OPTIONS")


@dataclass
class Outgoing:
    """A step's call, ready but for the attempt.  `mapped`: what the mappings gave, for the history.
    `repeatable`: sending it twice leaves the service as sending it once."""

    step: BaseStep
    key: str
    mapped: Any
    findings: list[Finding]
    repeatable: bool
    rules: Sequence[ErrorRule] = ()
    success: Success | None = None
    part: str = ""  # which of several requests of one action
    moves_on: Sequence[int] = field(default=())  # statuses that mean "try the next request"


async def send(ctx: RunContext, outgoing: Outgoing, request: CallRequest, via: Via | None = None) -> Answer:
    """The answer of a call that succeeded.  Raises RunWaits (retry, rate limit, held connection,
    unknown outcome) or StepFails; both after everything is among the rows to be committed.
    `via`: how it is sent, if not over HTTP."""
    await _wait_for_connection(ctx, outgoing, request)
    _settle_lost_call(ctx, outgoing, request)
    attempt = ctx.attempt(outgoing.key)
    lane = ctx.runtime.caller.limits.lane_for(request)
    if not lane.begin():
        await wait_for_room(ctx, lane)
    aside = lane.stands_aside
    if aside:
        ctx.runtime.dispatcher.stand_aside(ctx.version.flow_id, 1)
    try:
        waited = await wait_for_turn(ctx, outgoing.key, request, attempt)
        ctx.check_cancelled(outgoing.key)
        await _put_on_record(ctx, outgoing, request, attempt)
        _stop_if_cancelled(ctx, outgoing)
        outcome = await _send(ctx, outgoing, request, via)
    finally:
        lane.end()
        if aside:
            ctx.runtime.dispatcher.stand_aside(ctx.version.flow_id, -1)
    for row in outcome.before:
        ctx.add_call(outgoing.key, attempt, row)
    ctx.add_call(outgoing.key, attempt, {**outcome.row, "waited_ms": round(waited * 1000)})
    if outcome.answer is not None and _is_fine(outcome.answer, outcome.failure, outgoing):
        return outcome.answer
    if outcome.failure is None:
        raise AssertionError("a call has an answer or a failure")
    await _judge(ctx, outgoing, request, outcome.failure, attempt)
    raise AssertionError("judging a failure always raises")


async def _send(ctx: RunContext, outgoing: Outgoing, request: CallRequest, via: Via | None) -> CallOutcome:
    caller = ctx.runtime.caller
    if via is None:
        return await caller.send(request, rules=outgoing.rules, success=outgoing.success)
    outcome = await via(request)
    caller.limits.heed(request, outcome.failure)
    return outcome


def _stop_if_cancelled(ctx: RunContext, outgoing: Outgoing) -> None:
    """Cancelled while the start was put on record: nothing went out."""
    if ctx.cancelled:
        ctx.end_step(
            outgoing.key, "skipped", mapped=outgoing.mapped, sentence="Cancelled before it was sent."
        )
    ctx.check_cancelled(outgoing.key)


def _is_fine(answer: Answer, failure: CallFailed | None, outgoing: Outgoing) -> bool:
    return failure is None or answer.status in outgoing.moves_on


async def _put_on_record(ctx: RunContext, outgoing: Outgoing, request: CallRequest, attempt: int) -> None:
    """A call that changes something is on disk as started before it goes out; for one that only
    reads it is enough that the page shows it soon."""
    record = ctx.records.get(outgoing.key)
    if record is None or record.state != "started":
        ctx.begin_step(outgoing.key, attempt=attempt)
    if request.method in _READS:
        ctx.commit_soon()
    else:
        await ctx.commit()


async def _wait_for_connection(ctx: RunContext, outgoing: Outgoing, request: CallRequest) -> None:
    connection = request.connection
    if connection is None:
        return
    if connection.hold_reason is not None:
        raise held_by_person(outgoing, connection, connection.hold_reason)
    if connection.state == "broken":
        raise held(outgoing, connection, "")


def held_by_person(outgoing: Outgoing, connection: ConnectionFacts, reason: str) -> RunWaits:
    why = f": {reason.rstrip('.')}. It" if reason else ". It"
    return RunWaits(
        "held_connection",
        step_key=outgoing.key,
        waits_for=connection.id,
        sentence=f"Waits for the connection “{connection.name}”, which somebody holds{why} goes on by "
        "itself once the connection is resumed.",
    )


def held(outgoing: Outgoing, connection: ConnectionFacts, reason: str) -> RunWaits:
    why = reason or "Its key or sign-in is no longer accepted."
    return RunWaits(
        "held_connection",
        step_key=outgoing.key,
        waits_for=connection.id,
        error_kind="auth_expired",
        sentence=f"Waits for the connection “{connection.name}”. {why} "
        "It goes on by itself once the connection is fixed.",
    )


def _settle_lost_call(ctx: RunContext, outgoing: Outgoing, request: CallRequest) -> None:
    """After a stop of the server: the call that was under way is written down as lost, then sent
    again under the same key where that is safe, else laid before a person."""
    record = ctx.records.get(outgoing.key)
    may_repeat = outgoing.repeatable or request.method in _READS
    if record is not None and record.state == "started" and not ctx.is_own(outgoing.key):
        ctx.add_lost_call(outgoing.key, request)
        ctx.mark_unknown(outgoing.key)
        if not may_repeat:
            ctx.end_step(outgoing.key, "unknown", mapped=outgoing.mapped)
    if ctx.is_unknown(outgoing.key) and not may_repeat:
        raise _ask(outgoing, "Plumbline stopped while this was being sent.")


def _ask(outgoing: Outgoing, reason: str) -> RunWaits:
    return RunWaits(
        "unknown",
        step_key=outgoing.key,
        sentence=f"{reason} Nobody knows whether it arrived, and sending it twice may do harm. "
        "Please look at the service, then choose “It was sent” or “Send again”.",
    )


async def _judge(
    ctx: RunContext, outgoing: Outgoing, request: CallRequest, failure: CallFailed, attempt: int
) -> None:
    verdict = judge(
        failure,
        attempt=attempt,
        policy=outgoing.step.retry,
        repeatable=outgoing.repeatable or request.method in _READS,
        has_connection=request.connection is not None,
    )
    if verdict.what == "give_up" and _waits_with_others(ctx, outgoing, request, failure):
        _record_failure(ctx, outgoing, failure, Verdict("again"))
        raise wait_for_the_host(ctx, outgoing.key, request, failure)
    _record_failure(ctx, outgoing, failure, verdict)
    if verdict.what == "hold" and request.connection is not None:
        await hold_connection(ctx.runtime, request.connection, failure.sentence)
        raise held(outgoing, request.connection, failure.sentence)
    if verdict.what == "ask":
        raise _ask(outgoing, failure.sentence)
    if verdict.what == "again":
        raise _try_later(ctx, outgoing, request, failure, verdict, attempt)
    raise StepFails(
        failure.kind,
        failure.sentence,
        remedy=failure.remedy,
        mapped=outgoing.mapped,
        findings=outgoing.findings,
        about=_about(request, failure),
    )


def _about(request: CallRequest, failure: CallFailed) -> str:
    """Who did not take it, and with which status; without the address, which may differ per record."""
    host = urlsplit(request.url).hostname or ""
    return f"{host} {failure.status or ''}".strip()


def _waits_with_others(
    ctx: RunContext, outgoing: Outgoing, request: CallRequest, failure: CallFailed
) -> bool:
    """While a host is left alone nobody's attempts run out: they were used up on one outage."""
    if failure.permanent or failure.is_ours or outgoing.step.retry.preset == "none":
        return False
    return ctx.runtime.caller.limits.away(request) is not None


def _record_failure(ctx: RunContext, outgoing: Outgoing, failure: CallFailed, verdict: Verdict) -> None:
    if verdict.what == "give_up":
        return
    ctx.end_step(
        outgoing.key,
        "unknown" if verdict.what == "ask" else "retry",
        mapped=outgoing.mapped,
        error_kind=failure.kind,
        sentence=failure.sentence,
        remedy=failure.remedy,
    )


def _try_later(
    ctx: RunContext,
    outgoing: Outgoing,
    request: CallRequest,
    failure: CallFailed,
    verdict: Verdict,
    attempt: int,
) -> RunWaits:
    is_asked = failure.kind == "rate_limited"
    return RunWaits(
        "rate_limit" if is_asked else "retry",
        waits_for=request.connection.id if is_asked and request.connection is not None else None,
        step_key=outgoing.key,
        wake_at=ctx.now() + timedelta(seconds=verdict.wait_s),
        error_kind=failure.kind,
        sentence=f"{failure.sentence} Attempt {attempt + 1} follows by itself.",
    )
