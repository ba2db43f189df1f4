"""The step "App action": what a connector says can be done with a service."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.calls.connections.book import ConnectionFacts
from app.calls.message.call import Answer, CallRequest
from app.calls.message.encode import encode_body
from app.catalog.fields import action_fields, check_input, ready_input
from app.catalog.format.definition import Action, Connector, Request
from app.catalog.render import Plan, plan
from app.engine.context import RunContext
from app.engine.signals import StepFails
from app.engine.steps import later
from app.engine.steps.batches import Gathering, SendAlone, perform_together
from app.engine.steps.callbacks import PURPOSE, token_for
from app.engine.steps.outgoing import Outgoing, send
from app.errors import CallFailed, NotFound
from app.flows.mapping.template import MISSING, Finding, fill, fill_rows, first
from app.flows.model import ActionStep

Scope = dict[str, Any]
What = tuple[Connector, Action, ConnectionFacts | None]
Given = tuple[dict[str, Any], dict[str, Any]]  # the mapped inputs, and the account's own fields


@dataclass(frozen=True)
class Sent:
    answer: Answer
    outgoing: Outgoing
    request: CallRequest


async def perform_action(ctx: RunContext, step: ActionStep, scope: Scope, key: str) -> Any:
    connector, action = find_action(ctx, step)
    findings: list[Finding] = []
    values, extra = map_input(step, action, scope, findings)
    mapped = {**values, **extra}
    check(action, values, mapped, findings)
    connection = ctx.runtime.connections.get(step.connection_id) if step.connection_id else None
    given = (values, extra)
    what = (connector, action, connection)
    if action.later is not None:
        document = await _perform_later(ctx, step, key, what, given, findings)
        output = first(action.output.select, document)
    elif action.batch is not None and step.together:
        output = await _perform_together(ctx, step, key, what, given, findings)
    else:
        document = _document(await _send(ctx, step, key, what, given, findings))
        output = first(action.output.select, document)
    ctx.end_step(key, "succeeded", mapped=mapped, output=output, findings=findings)
    return output


async def _send(
    ctx: RunContext,
    step: ActionStep,
    key: str,
    what: What,
    given: Given,
    findings: list[Finding],
) -> Sent:
    """The first of the action's requests whose answer does not mean "try the next"."""
    for outgoing, request in requests_of(ctx, step, key, *what, given, findings):
        outgoing.mapped = {**given[0], **given[1]}
        answer = await send(ctx, outgoing, request)
        if answer.status not in outgoing.moves_on:
            return Sent(answer, outgoing, request)
    raise NotFound("This action describes no request that could be made.")


async def _perform_together(
    ctx: RunContext, step: ActionStep, key: str, what: What, given: Given, findings: list[Finding]
) -> Any:
    """In one call with the records of other runs; alone where the service wants it so."""
    connector, action, connection = what
    assert action.batch is not None
    batch, scope = action.batch, scope_of(ctx, key, action, connection, given)
    planned = plan(connector, batch.request, scope={**scope, "records": []})

    def request_for(records: list[Any]) -> CallRequest:
        filled = plan(connector, batch.request, scope={**scope, "records": records})
        request = request_of(filled, connection)
        request.idempotency_header = action.idempotency.header if action.idempotency else ""
        return request

    outgoing = Outgoing(
        step,
        key,
        {**given[0], **given[1]},
        findings,
        repeatable=True,
        rules=planned.errors,
        success=action.success,
        part="batch",
    )
    place = f"{ctx.version.flow_id}:{step.id}:{step.connection_id}"
    gathering = Gathering(batch, outgoing, scope, place, request_for, connector.name)
    try:
        return await perform_together(ctx, gathering)
    except SendAlone:
        document = _document(await _send(ctx, step, key, what, given, findings))
        return first(action.output.select, document)


async def _perform_later(
    ctx: RunContext, step: ActionStep, key: str, what: What, given: Given, findings: list[Finding]
) -> Any:
    """An action of which the service may say only that it will do it."""
    connector, action, connection = what
    assert action.later is not None

    def question(described: Request, accepted: Any) -> CallRequest:
        scope = {**scope_of(ctx, key, action, connection, given), "accepted": accepted}
        return request_of(plan(connector, described, scope=scope), connection)

    outgoing = Outgoing(step, key, {**given[0], **given[1]}, findings, repeatable=False)
    pending = later.Pending(connector, action.later, outgoing, question, connection)
    if later.is_under_way(ctx, key):
        return await later.go_on(ctx, pending)
    sent = await _send(ctx, step, key, what, given, findings)
    if not later.is_accepted(action.later, sent.answer):
        return _document(sent)
    return await later.begin(ctx, pending, sent.answer, sent.request)


def find_action(ctx: RunContext, step: ActionStep) -> tuple[Connector, Action]:
    connector = ctx.runtime.registry.find(step.connector)
    action = ctx.runtime.registry.find_action(step.connector, step.action)
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
            remedy=f"Fix the field “{problems[0].field}” in the step, then replay.",
            mapped=mapped,
            findings=findings,
            about=f"field {problems[0].field}",
        )


def requests_of(
    ctx: RunContext,
    step: ActionStep,
    key: str,
    connector: Connector,
    action: Action,
    connection: ConnectionFacts | None,
    given: Given,
    findings: list[Finding],
) -> Iterator[tuple[Outgoing, CallRequest]]:
    scope = scope_of(ctx, key, action, connection, given)
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
        request.idempotency_key = ctx.call_key(key, part)
        request.idempotency_header = action.idempotency.header if action.idempotency else ""
        yield outgoing, request


def scope_of(
    ctx: RunContext, key: str, action: Action, connection: ConnectionFacts | None, given: Given
) -> dict[str, Any]:
    """What the templates of the action's requests see."""
    values, extra = given
    facts = connection.as_scope() if connection is not None else {}
    fields = action_fields(action, values, extra)
    scope: dict[str, Any] = {"input": ready_input(action, values), "fields": fields, "connection": facts}
    if action.later is not None and action.later.callback is not None:
        token = token_for(ctx.runtime.connections.derive(PURPOSE), ctx.run_id, key)
        scope["callback"] = f"{ctx.runtime.settings.base_url}/hooks/{token}"
    return scope


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


def _document(sent: Sent) -> Any:
    try:
        return sent.answer.document()
    except CallFailed as failure:
        raise StepFails(
            failure.kind,
            failure.sentence,
            remedy=failure.remedy,
            mapped=sent.outgoing.mapped,
            findings=sent.outgoing.findings,
        ) from failure
