"""Steps that send nothing: filter, set values, delay, stop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.engine.context import RunContext
from app.engine.signals import BranchEnds, RunEnds, RunWaits, StepFails
from app.flows.conditions import holds
from app.flows.mapping.template import Finding, fill_rows, fill_text
from app.flows.model import DelayStep, FilterStep, SetStep, StopStep

Scope = dict[str, Any]
_LONGEST = timedelta(days=366 * 2)
_UNITS = {
    "seconds": timedelta(seconds=1),
    "minutes": timedelta(minutes=1),
    "hours": timedelta(hours=1),
    "days": timedelta(days=1),
    "weeks": timedelta(weeks=1),
}


def perform_filter(ctx: RunContext, step: FilterStep, scope: Scope, key: str) -> Any:
    verdict = holds(step.conditions, scope)
    output = {"passed": verdict.holds, "why": verdict.sentence}
    ctx.found_nothing += verdict.absent
    ctx.end_step(key, "succeeded", output=output, findings=list(verdict.findings))
    if not verdict.holds:
        raise BranchEnds(verdict.sentence)
    return output


def perform_set(ctx: RunContext, step: SetStep, scope: Scope, key: str) -> Any:
    findings: list[Finding] = []
    values = dict(fill_rows(step.values, scope, findings))
    ctx.end_step(key, "succeeded", output=values, findings=findings)
    return values


def perform_stop(ctx: RunContext, step: StopStep, scope: Scope, key: str) -> Any:
    findings: list[Finding] = []
    message = fill_text("Message", step.message, scope, findings)
    ctx.end_step(key, "succeeded", output={"message": message}, findings=findings)
    raise RunEnds(step.outcome, message, step_key=key)


def perform_delay(ctx: RunContext, step: DelayStep, scope: Scope, key: str) -> Any:
    """The moment is worked out once and kept: editing or restarting never moves it."""
    record = ctx.records.get(key)
    if record is not None and record.state == "started" and record.output:
        until = datetime.fromisoformat(record.output["until"])
    else:
        until = _until(ctx, step, scope)
    output = {"until": until.isoformat()}
    if until <= ctx.now():
        ctx.end_step(key, "succeeded", output=output)
        return output
    if record is None:
        ctx.begin_step(key, output=output)
    raise RunWaits("delay", step_key=key, wake_at=until, sentence="Waits, as the flow says.")


def _until(ctx: RunContext, step: DelayStep, scope: Scope) -> datetime:
    findings: list[Finding] = []
    if step.mode == "for":
        return ctx.now() + _duration(fill_text("Amount", step.amount, scope, findings, required=True), step)
    text = fill_text("Until", step.until, scope, findings, required=True)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as reason:
        raise StepFails(
            "invalid_payload",
            f"“{text[:80]}” is not a date that can be waited for.",
            remedy="Map a date such as 2026-11-21 or 2026-11-21T09:30.",
        ) from reason
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(ctx.version.definition.time_zone))
    return _not_too_long(ctx, moment.astimezone(UTC))


def _duration(text: str, step: DelayStep) -> timedelta:
    try:
        amount = float(text)
        wait = amount * _UNITS[step.unit]
    except (ValueError, OverflowError) as reason:
        raise StepFails(
            "invalid_payload",
            f"“{text[:80]}” is not a number of {step.unit}.",
            remedy="Map a number to the delay.",
        ) from reason
    if not timedelta() <= wait <= _LONGEST:
        raise StepFails(
            "invalid_payload",
            f"A delay of {text[:40]} {step.unit} is not possible: at most two years.",
            remedy="Choose a shorter delay.",
        )
    return wait


def _not_too_long(ctx: RunContext, until: datetime) -> datetime:
    if until - ctx.now() > _LONGEST:
        raise StepFails(
            "invalid_payload",
            f"{until:%-d %B %Y} is more than two years away.",
            remedy="Choose an earlier date.",
        )
    return until
