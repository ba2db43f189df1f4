"""Try one step of a draft: work out what it would send, or really send it and keep that on record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, insert

from app.calls.message.call import CallRequest
from app.engine.context import RunContext
from app.engine.interpret import run_steps
from app.engine.runtime import Runtime
from app.engine.signals import BranchEnds, RunEnds, RunWaits, StepFails
from app.engine.steps.action import check, find_action, map_input, requests_of
from app.engine.steps.email import map_mail
from app.engine.steps.web_request import build_request
from app.engine.versions import Version
from app.errors import AppError
from app.flows.conditions import holds
from app.flows.edit import find_step
from app.flows.mapping.template import Finding, fill_rows
from app.flows.model import (
    ActionStep,
    EmailStep,
    FilterStep,
    FlowDefinition,
    HttpStep,
    PathsStep,
    SetStep,
    Step,
)
from app.flows.portable.files import dump
from app.ids import new_id
from app.storage.tables.models import Event, FlowVersion, Run

Scope = dict[str, Any]


@dataclass
class TrialResult:
    """`request`: what would be or was sent (secrets as placeholders).  `run_id`: the test run that
    is kept in the history, when something was really sent."""

    step_id: str
    ok: bool = True
    sentence: str = ""
    remedy: str = ""
    mapped: Any = None
    output: Any = None
    findings: list[Finding] = field(default_factory=list)
    request: CallRequest | None = None
    run_id: str | None = None


def preview_step(runtime: Runtime, definition: FlowDefinition, step_id: str, scope: Scope) -> TrialResult:
    """Everything but the sending; never raises for what a flow or its data does."""
    result = TrialResult(step_id)
    ctx = RunContext(runtime, "run_preview", Version("", "", 0, definition, False), scope)
    try:
        _preview(ctx, find_step(definition, step_id), scope, result)
    except StepFails as failure:
        result.ok, result.sentence, result.remedy = False, failure.sentence, failure.remedy
        result.mapped = failure.mapped
    except AppError as reason:
        result.ok, result.sentence, result.remedy = False, reason.sentence, reason.remedy
    return result


def _preview(ctx: RunContext, step: Step, scope: Scope, result: TrialResult) -> None:
    findings = result.findings
    match step:
        case HttpStep():
            result.request, result.mapped = build_request(
                ctx.runtime.connections, step.request, scope, findings
            )
        case ActionStep():
            _preview_action(ctx, step, scope, result)
        case EmailStep():
            _, result.mapped = map_mail(step, scope, findings)
        case FilterStep():
            verdict = holds(step.conditions, scope)
            result.output = {"passed": verdict.holds, "why": verdict.sentence}
            result.sentence = verdict.sentence
        case SetStep():
            result.output = dict(fill_rows(step.values, scope, findings))
        case PathsStep():
            _preview_paths(step, scope, result)
        case _:
            result.sentence = "There is nothing to send in this step."


def _preview_action(ctx: RunContext, step: ActionStep, scope: Scope, result: TrialResult) -> None:
    connector, action = find_action(ctx, step)
    values, extra = map_input(step, action, scope, result.findings)
    result.mapped = {**values, **extra}
    check(action, values, result.mapped, result.findings)
    connection = ctx.runtime.connections.get(step.connection_id) if step.connection_id else None
    calls = requests_of(ctx, step, step.id, connector, action, connection, (values, extra), result.findings)
    _, result.request = next(calls)


def _preview_paths(step: PathsStep, scope: Scope, result: TrialResult) -> None:
    verdicts = {path.name: holds(path.conditions, scope) for path in step.paths if path.conditions}
    taken = [name for name, verdict in verdicts.items() if verdict.holds]
    if not taken:
        taken = [path.name for path in step.paths if path.conditions is None]
    result.output = {"taken": taken, "why": {name: v.sentence for name, v in verdicts.items()}}
    result.sentence = f"This data takes: {', '.join(taken) or 'no path'}."


async def send_step(
    runtime: Runtime, flow_id: str, definition: FlowDefinition, step_id: str, scope: Scope
) -> TrialResult:
    """Perform the step for real, once, without later tries; kept as a test run.  To be run on the
    engine's loop."""
    result = TrialResult(step_id)
    step = find_step(definition, step_id)
    version = Version(new_id("ver"), flow_id, 0, definition, False)
    run_id = new_id("run")
    result.run_id = run_id
    await runtime.database.writer.awrite(lambda db: _keep_test_run(db, runtime, version, run_id, scope))
    ctx = RunContext(runtime, run_id, version, dict(scope))
    try:
        await run_steps(ctx, [step], ctx.scope)
        ctx.end(RunEnds("succeeded"))
        result.output = ctx.scope.get(step.id)
    except BranchEnds as ends:
        ctx.end(RunEnds("filtered", ends.sentence))
        result.sentence = ends.sentence
    except (RunWaits, RunEnds, AppError) as reason:
        sentence = reason.sentence
        ctx.end(RunEnds("failed", sentence, step_key=step.id))
        result.ok, result.sentence = False, sentence
    await ctx.commit()
    return result


def _keep_test_run(db: Connection, runtime: Runtime, version: Version, run_id: str, scope: Scope) -> None:
    """Version number 0: the draft as it was when it was tried; no flow ever goes live with it."""
    now = runtime.clock.now()
    event_id = new_id("evt")
    payload = scope.get(version.definition.trigger.id)
    db.execute(
        insert(FlowVersion),
        {
            "id": version.id,
            "flow_id": version.flow_id,
            "number": 0,
            "definition": dump(version.definition),
            "created_at": now,
        },
    )
    event = {"id": event_id, "flow_id": version.flow_id, "source": "test", "label": "Test of a step"}
    db.execute(
        insert(Event), {**event, "received_at": now, "payload": orjson.dumps(payload), "duplicates": 0}
    )
    run = {"id": run_id, "flow_id": version.flow_id, "version_id": version.id, "event_id": event_id}
    state = {"state": "running", "reason": "", "label": "Test of a step", "source": "test"}
    db.execute(insert(Run), {**run, **state, "created_at": now, "started_at": now})
