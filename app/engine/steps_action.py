"""The step "App action": what a connector says can be done with a service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.calls.client import Answer, CallRequest
from app.calls.connections import ConnectionFacts
from app.calls.encode import encode_body
from app.catalog.definition import Action, Connector
from app.catalog.fields import action_fields, check_input, ready_input
from app.catalog.render import Plan, plan
from app.engine.context import RunContext
from app.engine.outgoing import Outgoing, send
from app.engine.signals import StepFails
from app.errors import CallFailed, NotFound
from app.flows.mapping import MISSING, Finding, fill, fill_rows, first
from app.flows.model import ActionStep

Scope = dict[str, Any]


async def perform_action(ctx: RunContext, step: ActionStep, scope: Scope, key: str) -> Any:
    connector, action = find_action(ctx, step)
    findings: list[Finding] = []
    values, extra = map_input(step, action, scope, findings)
    mapped = {**values, **extra}
    check(action, values, mapped, findings)
    connection = ctx.means.connections.get(step.connection_id) if step.connection_id else None
    answer = None
    for outgoing, request in requests_of(
        ctx, step, key, connector, action, connection, (values, extra), findings
    ):
        outgoing.mapped = mapped
        answer = await send(ctx, outgoing, request)
        if answer.status not in outgoing.moves_on:
            break
    output = _output(action, answer, mapped, findings)
    ctx.end_step(key, "succeeded", mapped=mapped, output=output, findings=findings)
    return output


def find_action(ctx: RunContext, step: ActionStep) -> tuple[Connector, Action]:
    connector = ctx.means.registry.find(step.connector)
    action = ctx.means.registry.find_action(step.connector, step.action)
    if connector is None or action is None:
        raise StepFails(
            "not_found",
            f"The action “{step.action}” of “{step.connector}” is not installed here any more.",
            remedy="Install the connector again, or choose another action, then replay.",
        )
    return connector, action


def map_input(
    step: ActionStep, action: Action, scope: Scope, findings: list[Finding]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The mapped inputs and the account's own fields; what stays empty is left out.  Raises
    MappingFailed."""
    values: dict[str, Any] = {}
    for field in action.input:
        mapping = step.input.get(field.key)
        if mapping is None:
            continue
        value = fill(field.label, mapping, scope, findings, required=field.required)
        if value is not MISSING:
            values[field.key] = value
    return values, dict(fill_rows(step.extra, scope, findings))


def check(action: Action, values: dict[str, Any], mapped: Any, findings: list[Finding]) -> None:
    """Nothing is sent that the service is known to refuse."""
    problems = check_input(action, values)
    if problems:
        raise StepFails(
            "invalid_payload",
            " ".join(problem.sentence for problem in problems) + " Nothing was sent.",
            remedy=f"Mend the field “{problems[0].field}” in the step, then replay.",
            mapped=mapped,
            findings=findings,
        )


def requests_of(
    ctx: RunContext,
    step: ActionStep,
    key: str,
    connector: Connector,
    action: Action,
    connection: ConnectionFacts | None,
    given: tuple[dict[str, Any], dict[str, Any]],
    findings: list[Finding],
) -> Iterator[tuple[Outgoing, CallRequest]]:
    values, extra = given
    facts = connection.as_scope() if connection is not None else {}
    fields = action_fields(action, values, extra)
    scope = {"input": ready_input(action, values), "fields": fields, "connection": facts}
    for described in action.requests:
        planned = plan(connector, described, scope=scope)
        outgoing = Outgoing(
            step,
            key,
            None,
            findings,
            repeatable=action.idempotent or action.idempotency is not None,
            rules=planned.errors,
            success=action.success,
            part=described.id,
            moves_on=planned.next_on,
        )
        part = f":{described.id}" if len(action.requests) > 1 else ""
        request = request_of(planned, connection)
        request.idempotency_key = f"{ctx.run_id}:{key}{part}"
        request.idempotency_header = action.idempotency.header if action.idempotency else ""
        yield outgoing, request


def request_of(planned: Plan, connection: ConnectionFacts | None) -> CallRequest:
    body, content_type = encode_body(planned.body_kind, planned.body)
    return CallRequest(
        method=planned.method,
        url=planned.url,
        query=planned.query,
        headers=planned.headers,
        body=body,
        content_type=planned.content_type or content_type,
        connection=connection,
        limits=planned.limits,
    )


def _output(action: Action, answer: Answer | None, mapped: Any, findings: list[Finding]) -> Any:
    if answer is None:
        raise NotFound("This action describes no request.")
    try:
        document = answer.document()
    except CallFailed as failure:
        raise StepFails(
            failure.kind, failure.sentence, remedy=failure.remedy, mapped=mapped, findings=findings
        ) from failure
    return first(action.output.select, document)
