"""One call for the records of several runs.

A run puts its record on disk and lies down; the one that fills the batch, or whose wait is over first,
makes the call for all of them, as its own step: with its retries, its budget and the batch's own key.
Then each run goes on with what became of its record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from app.calls.http.client import unsent_row
from app.calls.message.call import Answer, CallRequest
from app.catalog.format.later import Batch, Part
from app.engine.context import RunContext
from app.engine.dispatch.tickets import RunTicket
from app.engine.signals import RunEnds, RunWaits, StepFails
from app.engine.steps.outgoing import Outgoing, send
from app.errors import CallFailed, MappingFailed
from app.flows.mapping.template import find, first
from app.flows.mapping.values import as_text
from app.ids import new_id
from app.states import StepState
from app.storage.history import gathered
from app.storage.history.events import write_all
from app.storage.history.gathered import Member
from app.storage.history.progress import OpenRun

GATHERED: StepState = "gathered"
_BACKSTOP = timedelta(minutes=10)
_LEASE = timedelta(minutes=2)
_NOT_TIMED = timedelta(minutes=1)  # far enough away to be a row and no timer
_ITS_CONTENT = ("invalid_payload", "not_found", "conflict", "gone")


@dataclass
class Gathering:
    """`request_for`: the call for these records.  `scope`: what the templates of a record see.
    `hand_over`: takes the runs that go on."""

    batch: Batch
    outgoing: Outgoing
    scope: dict[str, Any]
    place: str  # the flow, step and connection
    request_for: Callable[[list[Any]], CallRequest]
    service: str

    @property
    def key(self) -> str:
        return self.outgoing.key


class SendAlone(Exception):
    """This record has to go out in a call of its own."""


async def perform_together(ctx: RunContext, gathering: Gathering) -> Any:
    """What the service says of this run's record.  Raises RunWaits, StepFails, or SendAlone."""
    own = await _own(ctx, gathering.key)
    if own is None or (own.batch_id is None and not _is_gathered(ctx, gathering.key)):
        own = await _join(ctx, gathering, again=own is not None)
    if own.outcome is not None:
        return await _take_up(ctx, gathering, own, own.outcome)
    if own.batch_id is None:
        own = await _make_up(ctx, gathering, own)
    if own.leader == gathered.leader_name(ctx.run_id, gathering.key):
        return await _lead(ctx, gathering, own)
    return await _follow(ctx, gathering, own)


def _is_gathered(ctx: RunContext, key: str) -> bool:
    record = ctx.records.get(key)
    return record is not None and record.state == GATHERED


async def _own(ctx: RunContext, key: str) -> Member | None:
    if ctx.records.get(key) is None:
        return None
    return await ctx.runtime.database.writer.awrite(
        lambda db: gathered.member(db, ctx.run_id, key), patient=True
    )


async def _join(ctx: RunContext, gathering: Gathering, *, again: bool) -> Member:
    """Raises RunWaits unless the batch is full with it."""
    batch, key = gathering.batch, gathering.key
    record = batch.record_filler(gathering.scope)
    match = as_text(batch.match_filler(gathering.scope)).strip().casefold()
    line = _line(gathering)
    row = {"run_id": ctx.run_id, "step_key": key, "line": line, "match": match[:500], "record": record}
    ctx.end_step(key, GATHERED, mapped=gathering.outgoing.mapped)
    await ctx.commit()
    waiting = await ctx.runtime.database.writer.awrite(
        lambda db: gathered.join(db, row, again=again), patient=True
    )
    if waiting < batch.max:
        # the first of a line sends for all; the others look only if it did not
        behind = _NOT_TIMED if waiting > 1 else timedelta(0)
        raise _wait(ctx, gathering, timedelta(seconds=batch.within) + behind)
    return Member(ctx.run_id, key, line, match[:500], record, None, None, None, None)


def _line(gathering: Gathering) -> str:
    """What may go together: what the call holds beside the records is the same."""
    bare = gathering.request_for([])
    parts = [gathering.place, bare.method, bare.url, list(bare.query), list(bare.headers)]
    body = (bare.body or b"").decode("utf-8", "replace")
    return hashlib.sha256(orjson.dumps([*parts, body])).hexdigest()


async def _make_up(ctx: RunContext, gathering: Gathering, own: Member) -> Member:
    batch_id, most, now = new_id("bat"), gathering.batch.max, ctx.now()

    def work(db: Any) -> Member | None:
        gathered.make_up(db, own, batch_id, most=most, now=now)
        return gathered.member(db, ctx.run_id, gathering.key)

    made = await ctx.runtime.database.writer.awrite(work, patient=True)
    return made or own


async def _follow(ctx: RunContext, gathering: Gathering, own: Member) -> Any:
    """Another run makes the call.  If that one is gone, the records wait in line again."""
    now, batch_id = ctx.now(), own.batch_id or ""

    def freed(db: Any) -> bool:
        if gathered.is_led(db, own, now):
            return False
        gathered.dissolve(db, batch_id)
        return True

    if not await ctx.runtime.database.writer.awrite(freed, patient=True):
        raise _wait(ctx, gathering, _BACKSTOP)
    return await perform_together(ctx, gathering)


def _wait(ctx: RunContext, gathering: Gathering, wait: timedelta) -> RunWaits:
    return RunWaits(
        gathered.REASON,
        step_key=gathering.key,
        wake_at=ctx.now() + wait,
        sentence=f"Goes to {gathering.service} together with others: "
        f"up to {gathering.batch.max} records in one call.",
    )


# ----------------------------------------------------------------------------- making the call


async def _lead(ctx: RunContext, gathering: Gathering, own: Member) -> Any:
    batch_id = own.batch_id or ""
    until = ctx.now() + _LEASE

    def begin(db: Any) -> list[Member]:
        gathered.lease(db, batch_id, until)
        return gathered.members(db, batch_id)

    together = await ctx.runtime.database.writer.awrite(begin, patient=True)
    request = gathering.request_for([one.record for one in together])
    request.idempotency_key = batch_id
    try:
        answer = await send(ctx, gathering.outgoing, request)
    except RunEnds:
        await _hand(ctx, lambda db: gathered.pass_on(db, batch_id, ctx.run_id))
        raise
    except StepFails as failure:
        outcomes = [_all_alike(failure)] * len(together)
        call = _call_facts(ctx, request, None, len(together), failure)
    else:
        outcomes = _outcomes(gathering.batch, answer, together)
        call = _call_facts(ctx, request, answer, len(together), None)
    pairs = list(zip(together, outcomes, strict=True))
    told = {_name(one): {**outcome, "call": call} for one, outcome in pairs if _name(one) != _name(own)}
    await _hand(ctx, lambda db: gathered.settle(db, told))
    mine = next((outcome for one, outcome in pairs if _name(one) == _name(own)), {"what": "alone"})
    return await _take_up(ctx, gathering, own, mine)


def _name(member: Member) -> tuple[str, str]:
    return member.run_id, member.step_key


def _all_alike(failure: StepFails) -> dict[str, Any]:
    """One wrong record can be why the whole call is refused: then each goes out alone."""
    if failure.error_kind in _ITS_CONTENT:
        return {"what": "alone"}
    return _failed(failure.error_kind, failure.sentence, failure.remedy)


def _failed(kind: str, sentence: str, remedy: str = "") -> dict[str, Any]:
    return {"what": "failed", "kind": kind, "sentence": sentence, "remedy": remedy}


async def _hand(ctx: RunContext, work: Callable[[Any], list[OpenRun]]) -> None:
    await ctx.commit()
    runs = await ctx.runtime.database.writer.awrite(work, patient=True)
    ctx.runtime.dispatcher.enqueue([RunTicket(*run, fresh=False) for run in runs])


def _call_facts(
    ctx: RunContext, request: CallRequest, answer: Answer | None, number: int, failure: StepFails | None
) -> dict[str, Any]:
    """What the history of each of the runs says of the joint call."""
    sentence = f"One call for {number} records, made by the run {ctx.run_id}."
    return {
        "key": request.idempotency_key,
        "at": ctx.now().isoformat(),
        "status": answer.status if answer is not None else None,
        "duration_ms": answer.duration_ms if answer is not None else None,
        "kind": failure.error_kind if failure is not None else None,
        "sentence": f"{sentence} {failure.sentence}" if failure is not None else sentence,
    }


def _add_call(ctx: RunContext, gathering: Gathering, own: Member, outcome: Any) -> None:
    """The joint call in the history of this run: its own record, and what was said of it."""
    call = outcome.get("call")
    if call is None:
        return  # this run made it
    request = gathering.request_for([own.record])
    row = unsent_row(request, datetime.fromisoformat(call["at"]), None)
    said = orjson.dumps(outcome.get("document", outcome.get("sentence")))
    row |= {"idempotency_key": call["key"], "sentence": call["sentence"], "error_kind": call["kind"]}
    if call["status"] is not None:
        row |= {"status": call["status"], "duration_ms": call["duration_ms"], "answer_body": said}
        row |= {"answer_size": len(said), "answer_headers": [["Content-Type", "application/json"]]}
    ctx.add_call(own.step_key, 1, row)


# ------------------------------------------------------------------------------ what became of it


def _outcomes(batch: Batch, answer: Answer, together: Sequence[Member]) -> list[dict[str, Any]]:
    try:
        document = answer.document()
    except CallFailed as failure:
        return [_failed(failure.kind, failure.sentence, failure.remedy)] * len(together)
    done = _by_match(batch.results, document)
    refused = _by_match(batch.errors, document)
    return [_outcome(batch, member.match, done, refused) for member in together]


def _outcome(batch: Batch, match: str, done: dict[str, Any], refused: dict[str, Any]) -> dict[str, Any]:
    if match in refused and batch.errors is not None:
        said = as_text(_first(batch.errors.message, refused[match]))[:500] if batch.errors.message else ""
        return _failed(batch.errors.kind, said or "The service refused this record.")
    if match in done and batch.results is not None:
        return {"what": "done", "document": _first(batch.results.select, done[match])}
    if batch.results is None:
        return {"what": "done", "document": None}
    return {"what": "alone"}


def _by_match(part: Part | None, document: Any) -> dict[str, Any]:
    if part is None:
        return {}
    try:
        found = find(part.items.removesuffix("[*]") or "$", document)
    except MappingFailed:
        return {}
    items = [item for value in found for item in (value if isinstance(value, list) else [value])]
    named = [(as_text(_first(part.match, item)).strip().casefold()[:500], item) for item in items]
    return {match: item for match, item in named if match}


def _first(path: str, document: Any) -> Any:
    try:
        return first(path, document)
    except MappingFailed:
        return None


async def _take_up(ctx: RunContext, gathering: Gathering, own: Member, outcome: Any) -> Any:
    """Leaving the line and the history of the call come together, or not at all."""
    _add_call(ctx, gathering, own, outcome)
    rows = ctx.take_rows()

    def work(db: Any) -> None:
        write_all(db, rows)
        gathered.leave(db, own.run_id, own.step_key)

    await ctx.runtime.database.writer.awrite(work, patient=True)
    if outcome["what"] == "done":
        return outcome["document"]
    if outcome["what"] == "alone":
        raise SendAlone
    raise StepFails(
        outcome["kind"],
        outcome["sentence"],
        remedy=outcome["remedy"],
        mapped=gathering.outgoing.mapped,
        findings=gathering.outgoing.findings,
    )
