"""Walks a flow's steps for one run; what is on record as done is passed over, never done again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from app.engine.context import RunContext
from app.engine.signals import BranchEnds, RunEnds, RunWaits, StepFails
from app.engine.steps.action import perform_action
from app.engine.steps.email import perform_email
from app.engine.steps.logic import perform_delay, perform_filter, perform_set, perform_stop
from app.engine.steps.mistakes import once_more
from app.engine.steps.renamed import REMEDY
from app.engine.steps.web_request import perform_http
from app.errors import MappingFailed
from app.flows.conditions import holds
from app.flows.mapping.template import MISSING, Finding, fill
from app.flows.model import (
    ActionStep,
    DelayStep,
    EmailStep,
    FilterStep,
    ForEachStep,
    HttpStep,
    Path,
    PathsStep,
    SetStep,
    Step,
    StopStep,
)

Scope = dict[str, Any]


async def run_steps(ctx: RunContext, steps: list[Step], scope: Scope, prefix: str = "") -> Any:
    """Perform the list in order, adding each output to `scope`; returns the last output.  Raises
    BranchEnds when a filter stops it, RunWaits, RunEnds."""
    output = None
    for step in steps:
        output = scope[step.id] = await _run_step(ctx, step, scope, prefix + step.id)
    return output


async def _run_step(ctx: RunContext, step: Step, scope: Scope, key: str) -> Any:
    if (done := ctx.done(key)) is not None:
        if isinstance(step, FilterStep) and not done.output["passed"]:
            raise BranchEnds(done.output["why"])
        return done.output
    if _has_gone_on(ctx, step, key):
        return step.default_output
    ctx.check_cancelled(key)
    try:
        return await _perform(ctx, step, scope, key)
    except MappingFailed as reason:
        return _fail(ctx, step, key, await _unmapped(ctx, reason, scope))
    except StepFails as failure:
        return _fail(ctx, step, key, failure)
    except Exception as reason:
        if (waits := once_more(ctx, key, reason)) is None:
            raise
        raise waits from reason
    finally:
        if ctx.found_nothing:
            ctx.keep_missed(scope)


async def _unmapped(ctx: RunContext, reason: MappingFailed, scope: Scope) -> StepFails:
    """A field stays empty that may not; where what was there has another name now, that is said."""
    about = f"field {reason.field}" if reason.field else ""
    if renamed := await ctx.why_missing(reason, scope):
        return StepFails(reason.kind, renamed, remedy=REMEDY, about=about)
    return StepFails(reason.kind, reason.sentence, remedy=reason.remedy, about=about)


def _has_gone_on(ctx: RunContext, step: Step, key: str) -> bool:
    record = ctx.records.get(key)
    return record is not None and record.state == "failed" and step.on_error == "continue"


def _fail(ctx: RunContext, step: Step, key: str, failure: StepFails) -> Any:
    goes_on = step.on_error == "continue"
    findings = list(failure.findings)
    if goes_on:
        findings.append(Finding(field="", sentence=f"Failed, and the run went on: {failure.sentence}"))
    ctx.end_step(
        key,
        "failed",
        mapped=failure.mapped,
        output=step.default_output if goes_on else None,
        findings=findings,
        error_kind=failure.error_kind,
        sentence=failure.sentence,
        remedy=failure.remedy,
    )
    if not goes_on:
        raise RunEnds(
            "dead", failure.sentence, step_key=key, error_kind=failure.error_kind, about=failure.about
        )
    return step.default_output


async def _perform(ctx: RunContext, step: Step, scope: Scope, key: str) -> Any:
    match step:
        case HttpStep():
            return await perform_http(ctx, step, scope, key)
        case ActionStep():
            return await perform_action(ctx, step, scope, key)
        case EmailStep():
            return await perform_email(ctx, step, scope, key)
        case FilterStep():
            return perform_filter(ctx, step, scope, key)
        case SetStep():
            return perform_set(ctx, step, scope, key)
        case DelayStep():
            return perform_delay(ctx, step, scope, key)
        case StopStep():
            return perform_stop(ctx, step, scope, key)
        case PathsStep():
            return await _perform_paths(ctx, step, scope, key)
        case ForEachStep():
            return await _perform_for_each(ctx, step, scope, key)


# --------------------------------------------------------------------------------------- paths


async def _perform_paths(ctx: RunContext, step: PathsStep, scope: Scope, key: str) -> Any:
    taken = _decided(ctx, key) or _decide(ctx, step, scope, key)
    prefix = key.removesuffix(step.id)
    branches = [path for path in step.paths if path.id in taken["taken"]]
    work = [partial(_run_path, ctx, path, scope, prefix) for path in branches]
    await _all(work, concurrency=1, one_by_one=False)
    ctx.end_step(key, "succeeded", output=taken)
    return taken


def _decided(ctx: RunContext, key: str) -> Any:
    """The paths chosen before the run lay down: never chosen anew."""
    record = ctx.records.get(key)
    return record.output if record is not None and record.state == "started" else None


def _decide(ctx: RunContext, step: PathsStep, scope: Scope, key: str) -> Any:
    reasons: dict[str, str] = {}
    taken: list[str] = []
    for path in step.paths:
        if path.conditions is None or (step.take == "first" and taken):
            continue
        verdict = holds(path.conditions, scope)
        ctx.found_nothing += (*verdict.findings, *verdict.absent)
        reasons[path.id] = verdict.sentence
        if verdict.holds:
            taken.append(path.id)
    if not taken:
        taken = [path.id for path in step.paths if path.conditions is None][:1]
    decision = {"taken": taken, "why": reasons}
    ctx.begin_step(key, output=decision)
    return decision


async def _run_path(ctx: RunContext, path: Path, scope: Scope, prefix: str) -> Any:
    try:
        return await run_steps(ctx, path.steps, scope, prefix)
    except BranchEnds:
        return None


# ---------------------------------------------------------------------------------------- loops


async def _perform_for_each(ctx: RunContext, step: ForEachStep, scope: Scope, key: str) -> Any:
    findings: list[Finding] = []
    items = _items(fill("Items", step.items, scope, findings, required=True))
    if key not in ctx.records:
        ctx.begin_step(key, output={"count": len(items)})
    work = [partial(_run_item, ctx, step, scope, key, index, item) for index, item in enumerate(items)]
    results = await _all(work, concurrency=step.concurrency, one_by_one=True)
    output = {"count": len(items), "results": results}
    ctx.end_step(key, "succeeded", output=output, findings=findings)
    return output


def _items(value: Any) -> list[Any]:
    if value is MISSING or value is None:
        return []
    return value if isinstance(value, list) else [value]


async def _run_item(ctx: RunContext, step: ForEachStep, scope: Scope, key: str, index: int, item: Any) -> Any:
    inner = {**scope, step.id: {"item": item, "index": index}}
    try:
        return await run_steps(ctx, step.steps, inner, f"{key}[{index}].")
    except BranchEnds:
        return None


async def _all(
    work: Sequence[Callable[[], Awaitable[Any]]], *, concurrency: int, one_by_one: bool
) -> list[Any]:
    """All outcomes, in order.  One that fails does not keep the others from being done; a `stop`
    does.  With `one_by_one` and no concurrency, one that waits holds those behind it."""
    results: list[Any] = [None] * len(work)
    interrupted: list[RunEnds | RunWaits] = []
    gate = asyncio.Semaphore(concurrency)

    async def one(index: int) -> None:
        async with gate:
            if _is_stopped(interrupted, one_by_one and concurrency == 1):
                return
            try:
                results[index] = await work[index]()
            except (RunEnds, RunWaits) as signal:
                interrupted.append(signal)

    if concurrency == 1:
        for index in range(len(work)):
            await one(index)
    else:
        await asyncio.gather(*(one(index) for index in range(len(work))))
    if interrupted:
        raise _most_urgent(interrupted, len(work))
    return results


def _is_stopped(interrupted: list[RunEnds | RunWaits], in_order: bool) -> bool:
    for signal in interrupted:
        if isinstance(signal, RunEnds):
            if signal.state != "dead":
                return True
        elif in_order:
            return True
    return False


def _most_urgent(interrupted: list[RunEnds | RunWaits], of: int) -> RunEnds | RunWaits:
    """A stop first; then waiting, as long as anything waits; a failure only when all is done."""
    ends = [signal for signal in interrupted if isinstance(signal, RunEnds)]
    waits = [signal for signal in interrupted if isinstance(signal, RunWaits)]
    for signal in ends:
        if signal.state != "dead":
            return signal
    if waits:
        timed = [signal for signal in waits if signal.wake_at is not None]
        return min(timed, key=lambda s: s.wake_at) if timed else waits[0]  # type: ignore[arg-type,return-value]
    if len(ends) > 1:
        sentence = f"{len(ends)} of {of} failed. The first: {ends[0].sentence}"
        first = ends[0]
        return RunEnds(
            "dead", sentence, step_key=first.step_key, error_kind=first.error_kind, about=first.about
        )
    return ends[0]
