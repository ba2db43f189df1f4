"""Calls that a service accepts first and does afterwards: asked about until done, or waited for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.calls.connections.book import ConnectionFacts
from app.calls.message.call import Answer, CallRequest, join_address
from app.catalog.format.definition import Connector, Request
from app.catalog.format.later import Later, StatusCheck, Verdict, Wanted
from app.catalog.render import limits_of
from app.engine.context import RunContext
from app.engine.holds import hold_connection
from app.engine.signals import RunWaits, StepFails
from app.engine.steps.outgoing import Outgoing, held
from app.engine.steps.pacing import wait_for_turn
from app.errors import CallFailed, ErrorKind, MappingFailed
from app.flows.mapping.template import first
from app.flows.mapping.values import as_text
from app.states import StepState, WaitReason
from app.storage.flows import callbacks

ACCEPTED: StepState = "accepted"
Build = Callable[[Request, Any], CallRequest]


@dataclass
class Pending:
    """A call that was accepted, and what is needed to learn how it ended.  `build`: the request of a
    status check, given what the first answer said."""

    connector: Connector
    later: Later
    outgoing: Outgoing
    build: Build
    connection: ConnectionFacts | None

    @property
    def service(self) -> str:
        return self.connector.name


def is_accepted(later: Later, answer: Answer) -> bool:
    return answer.status in later.status and _all_hold(later.when, _document(answer))


def is_under_way(ctx: RunContext, key: str) -> bool:
    record = ctx.records.get(key)
    return record is not None and record.state == ACCEPTED


async def begin(ctx: RunContext, pending: Pending, answer: Answer, request: CallRequest) -> Any:
    """Raises RunWaits once what is needed to go on is on record, or StepFails."""
    check = pending.later.check
    url = _address(pending, check, answer, request.url) if check is not None and check.at else ""
    now = ctx.now()
    state = {"since": now.isoformat(), "url": url, "asked": 0, "answer": _document(answer)}
    if check is not None:
        state["next"] = (now + timedelta(seconds=check.every)).isoformat()
    _keep(ctx, pending, state)
    return await go_on(ctx, pending)


async def go_on(ctx: RunContext, pending: Pending) -> Any:
    """What the service says in the end.  Raises RunWaits while it has not said it, or StepFails."""
    ctx.check_cancelled(pending.outgoing.key)
    state = ctx.records[pending.outgoing.key].output
    check = pending.later.check
    if check is None:
        return await _called(ctx, pending, state)
    due = datetime.fromisoformat(state["next"])
    if ctx.now() < due:
        raise _wait(pending, "status", due, state)
    return await _ask(ctx, pending, check, state)


# ------------------------------------------------------------------------------------- callback


async def _called(ctx: RunContext, pending: Pending, state: Any) -> Any:
    callback = pending.later.callback
    assert callback is not None
    key = pending.outgoing.key
    await ctx.commit()
    came = await ctx.runtime.database.writer.awrite(
        lambda db: callbacks.found(db, ctx.run_id, key), patient=True
    )
    if came is not None:
        _raise_if_failed(pending, callback, came[0])
        return came[0]
    deadline = _deadline(state, callback.at_most)
    if ctx.now() >= deadline:
        raise _too_late(pending, state, "has not called back")
    raise _wait(pending, callbacks.REASON, deadline, state)


# ---------------------------------------------------------------------------------- status check


async def _ask(ctx: RunContext, pending: Pending, check: StatusCheck, state: Any) -> Any:
    request = _question(pending, check, state)
    await wait_for_turn(ctx, pending.outgoing.key, request)
    ctx.check_cancelled(pending.outgoing.key)
    outcome = await ctx.runtime.caller.send(request, rules=pending.connector.errors)
    state = {**state, "asked": state["asked"] + 1}
    for row in (*outcome.before, outcome.row):
        ctx.add_call(pending.outgoing.key, state["asked"], row)
    answer, failure = outcome.answer, outcome.failure
    if failure is not None and not (answer is not None and answer.status in check.pending):
        await _judge(ctx, pending, request, failure)
    elif answer is not None and answer.status not in check.pending:
        document = _document(answer)
        _raise_if_failed(pending, check, document)
        if _all_hold(check.done, document):
            return document
    raise _ask_again(ctx, pending, check, state, failure)


def _question(pending: Pending, check: StatusCheck, state: Any) -> CallRequest:
    if check.request is not None:
        try:
            return pending.build(check.request, state["answer"])
        except MappingFailed as reason:
            raise _fails(pending, "invalid_payload", reason.sentence, reason.remedy) from reason
    connection = pending.connection
    limits = limits_of(pending.connector, Request(method="GET", path="/"))
    return CallRequest("GET", state["url"], connection=connection, limits=limits)


async def _judge(ctx: RunContext, pending: Pending, request: CallRequest, failure: CallFailed) -> None:
    """What may pass by itself is asked again; the rest is the step's failure."""
    if failure.kind == "auth_expired" and request.connection is not None:
        await hold_connection(ctx.runtime, request.connection, failure.sentence)
        raise held(pending.outgoing, request.connection, failure.sentence)
    if failure.permanent:
        raise _fails(pending, failure.kind, failure.sentence, failure.remedy)


def _ask_again(
    ctx: RunContext, pending: Pending, check: StatusCheck, state: Any, failure: CallFailed | None
) -> Exception:
    deadline = _deadline(state, check.at_most)
    if ctx.now() >= deadline:
        return _too_late(pending, state, "has not said that it is done")
    asked_wait = failure.wait_s or 0.0 if failure is not None else 0.0
    following = min(ctx.now() + timedelta(seconds=max(check.every, asked_wait)), deadline)
    state = {**state, "next": following.isoformat()}
    _keep(ctx, pending, state)
    return _wait(pending, "status", following, state)


# --------------------------------------------------------------------------------------- pieces


def _keep(ctx: RunContext, pending: Pending, state: Any) -> None:
    outgoing = pending.outgoing
    ctx.end_step(outgoing.key, ACCEPTED, mapped=outgoing.mapped, output=state)


def _wait(pending: Pending, reason: WaitReason, wake_at: datetime, state: Any) -> RunWaits:
    asked = state["asked"]
    sentence = f"{pending.service} accepted this and does it now. "
    if reason == callbacks.REASON:
        sentence += "The run goes on when it calls back."
    else:
        times = f", {asked} times so far" if asked > 1 else ""
        sentence += f"Plumbline asks from time to time whether it is done{times}."
    return RunWaits(reason, step_key=pending.outgoing.key, wake_at=wake_at, sentence=sentence)


def _too_late(pending: Pending, state: Any, what: str) -> StepFails:
    since = datetime.fromisoformat(state["since"])
    sentence = f"{pending.service} accepted this on {since:%-d %B %Y at %H:%M} UTC, but {what} since."
    remedy = "Check in the service whether it was done. Sending again repeats the call."
    return _fails(pending, "unavailable", sentence, remedy)


def _raise_if_failed(pending: Pending, verdict: Verdict, document: Any) -> None:
    if verdict.failed and _all_hold(verdict.failed, document):
        said = as_text(_found(verdict.message, document))[:500] if verdict.message else ""
        sentence = f"{pending.service} accepted this and could not do it{f': {said}' if said else '.'}"
        raise _fails(pending, verdict.kind, sentence, "Fix what it complains about, then send again.")


def _fails(pending: Pending, kind: ErrorKind, sentence: str, remedy: str) -> StepFails:
    outgoing = pending.outgoing
    return StepFails(kind, sentence, remedy=remedy, mapped=outgoing.mapped, findings=outgoing.findings)


def _address(pending: Pending, check: StatusCheck, answer: Answer, asked: str) -> str:
    kind, _, name = check.at.partition(":")
    found = answer.header(name) if kind == "header" else as_text(_found(check.at, _document(answer)))
    if not found.strip():
        sentence = f"{pending.service} accepted this, but did not say where to ask about it ({check.at})."
        raise _fails(pending, "invalid_payload", sentence, "Look at the service whether it was done.")
    try:
        return join_address(asked, found.strip())
    except CallFailed as reason:
        raise _fails(pending, reason.kind, reason.sentence, reason.remedy) from reason


def _document(answer: Answer) -> Any:
    try:
        return answer.document()
    except CallFailed:
        return answer.text()


def _found(path: str, document: Any) -> Any:
    try:
        return first(path, document)
    except MappingFailed:
        return None


def _all_hold(wanted: Wanted, document: Any) -> bool:
    for path, values in wanted.items():
        if as_text(_found(path, document)) not in ((values,) if isinstance(values, str) else values):
            return False
    return True


def _deadline(state: Any, at_most: float) -> datetime:
    return datetime.fromisoformat(state["since"]) + timedelta(seconds=at_most)
