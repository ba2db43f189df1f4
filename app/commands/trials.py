"""What people try while they build a flow: a step, a look of a poll, the choices of a service."""

from __future__ import annotations

from collections.abc import Coroutine
from concurrent.futures import TimeoutError as WaitedTooLong
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from app.calls.http.client import CallOutcome
from app.commands.who import Who
from app.engine import trial
from app.engine.steps.web_request import build_request
from app.engine.trial import TrialResult
from app.errors import AppError, CallFailed, FlowInvalid, Unavailable
from app.flows.edit import find_step
from app.flows.model import ConnectorTrigger, FlowDefinition, PollTrigger
from app.intake.choices import Question, read_choices
from app.intake.polls.connector import ConnectorSource
from app.intake.polls.records import records_in
from app.intake.polls.source import Look
from app.parts import Parts
from app.storage.connections.connections import keep_found
from app.storage.flows import flows

T = TypeVar("T")
Scope = dict[str, Any]
_LONGEST_STEP_S = 320
_LONGEST_FETCH_S = 60
_LONGEST_CHOICES_S = 25


@dataclass
class Fetched:
    """What one look of a poll found.  `document` and `body`: what a web address answered; `reason`: why
    there are no records."""

    records: list[Any] = field(default_factory=list)
    document: Any = None
    body: bytes = b""
    answered: bool = True
    reason: AppError | None = None


def preview_step(who: Who, parts: Parts, flow_id: str, step_id: str, scope: Scope) -> TrialResult:
    """Works out what a step of the draft would send, and sends nothing; a good output becomes the step's
    sample.  Raises NotAllowed, NotFound."""
    who.must("trials")
    definition = _draft_with(parts, flow_id, step_id)
    return _kept(parts, flow_id, trial.preview_step(parts, definition, step_id, scope))


def test_step(who: Who, parts: Parts, flow_id: str, step_id: str, scope: Scope) -> TrialResult:
    """Makes the call of a step of the draft for real, in a test run of its own; a good output becomes the
    step's sample.  Raises NotAllowed, NotFound, Unavailable."""
    who.must("trials")
    definition = _draft_with(parts, flow_id, step_id)
    _refuse_without_engine(parts, "nothing can be sent")
    sending = trial.send_step(parts, flow_id, definition, step_id, scope)
    return _kept(parts, flow_id, parts.engine.spawn(sending).result(_LONGEST_STEP_S))


def _draft_with(parts: Parts, flow_id: str, step_id: str) -> FlowDefinition:
    with parts.database.read() as db:
        definition = flows.get_flow(db, flow_id).draft
    find_step(definition, step_id)
    return definition


def _kept(parts: Parts, flow_id: str, result: TrialResult) -> TrialResult:
    if result.ok and result.output is not None:
        parts.database.write(lambda db: flows.set_sample(db, flow_id, result.output, root=result.step_id))
    return result


def fetch_once(who: Who, parts: Parts, flow_id: str, run: Scope) -> Fetched:
    """Looks once as the draft's trigger would; the first record becomes the sample.  `run`: what the
    request may say of the run.  Raises NotAllowed, NotFound, FlowInvalid for a trigger that does not
    fetch, Unavailable, CallFailed."""
    who.must("trials")
    with parts.database.read() as db:
        trigger = flows.get_flow(db, flow_id).draft.trigger
    if isinstance(trigger, PollTrigger):
        fetched = _fetched_from_address(parts, trigger, run)
    elif isinstance(trigger, ConnectorTrigger):
        fetched = Fetched(_on_engine(parts, _first_batch(parts, trigger)))
    else:
        raise FlowInvalid("This trigger does not fetch anything.")
    if fetched.records:
        parts.database.write(partial(flows.set_sample, flow_id=flow_id, document=fetched.records[0]))
    return fetched


def _fetched_from_address(parts: Parts, trigger: PollTrigger, run: Scope) -> Fetched:
    call, _ = build_request(parts.connections, trigger.request, {"run": run, "cursor": ""}, [])
    outcome: CallOutcome = _on_engine(parts, parts.caller.send(call))
    if outcome.failure is not None or outcome.answer is None:
        failure = outcome.failure or CallFailed("unavailable", "The address gave no answer.")
        body = outcome.answer.body if outcome.answer else b""
        return Fetched(body=body, answered=False, reason=failure)
    fetched = Fetched(document=outcome.answer.document(trigger.request.parse), body=outcome.answer.body)
    try:
        fetched.records = records_in(fetched.document, trigger.items)
    except AppError as reason:
        fetched.reason = reason
    return fetched


async def _first_batch(parts: Parts, trigger: ConnectorTrigger) -> list[Any]:
    async for records in ConnectorSource(parts, trigger).batches(Look(), None):
        return records
    return []


def _on_engine(parts: Parts, work: Coroutine[Any, Any, T]) -> T:
    if not parts.engine.is_started:
        work.close()
        _refuse_without_engine(parts, "nothing can be fetched")
    try:
        return parts.engine.spawn(work).result(_LONGEST_FETCH_S)
    except WaitedTooLong:
        raise CallFailed("unavailable", f"No answer within {_LONGEST_FETCH_S} seconds.") from None


def ask_choices(who: Who, parts: Parts, question: Question) -> list[tuple[str, str]]:
    """Asks a service for the choices of a field, as value and label, and keeps them for a while.  Raises
    NotAllowed, Unavailable, CallFailed, ConnectionBroken."""
    who.must("choices")
    _refuse_without_engine(parts)
    connection = parts.connections.get(question.connection_id)
    try:
        asking = parts.engine.spawn(read_choices(parts, question, connection))
        found = asking.result(_LONGEST_CHOICES_S)
    except WaitedTooLong:
        raise CallFailed("unavailable", f"{question.connector.name} did not answer in time.") from None
    now = parts.clock.now()
    parts.database.write(lambda db: keep_found(db, question.connection_id, question.name, found, now=now))
    return found


def _refuse_without_engine(parts: Parts, so: str = "") -> None:
    if not parts.engine.is_started:
        raise Unavailable(f"The engine is not running, so {so}." if so else "The engine is not running.")
