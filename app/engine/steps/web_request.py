"""The step "Web request": a call that somebody described by hand."""

from __future__ import annotations

from typing import Any

import orjson

from app.calls.connections.book import ConnectionBook
from app.calls.message.call import Answer, CallRequest
from app.calls.message.encode import encode_body, set_at_path
from app.engine.context import RunContext
from app.engine.signals import StepFails
from app.engine.steps.outgoing import Outgoing, send
from app.errors import CallFailed
from app.flows.conditions import holds
from app.flows.mapping.template import MISSING, Finding, fill, fill_rows, fill_text
from app.flows.model import HttpRequest, HttpStep, Mapping

Scope = dict[str, Any]
_REPEATABLE = ("PUT", "DELETE")


async def perform_http(ctx: RunContext, step: HttpStep, scope: Scope, key: str) -> Any:
    findings: list[Finding] = []
    request, mapped = build_request(ctx.runtime.connections, step.request, scope, findings)
    request.idempotency_key = ctx.call_key(key)
    safe = step.repeat == "safe" or (step.repeat is None and step.request.method in _REPEATABLE)
    outgoing = Outgoing(step, key, mapped, findings, repeatable=safe)
    answer = await send(ctx, outgoing, request)
    output = read_answer(answer, step, mapped, findings)
    ctx.end_step(key, "succeeded", mapped=mapped, output=output, findings=findings)
    return output


def build_request(
    connections: ConnectionBook, described: HttpRequest, scope: Scope, findings: list[Finding]
) -> tuple[CallRequest, Any]:
    """The call and, for the history, what the mappings gave.  Raises MappingFailed."""
    url = fill_text("Address", described.url, scope, findings, required=True)
    query = [(name, _text(value)) for name, value in fill_rows(described.query, scope, findings)]
    headers = [(name, _text(value)) for name, value in fill_rows(described.headers, scope, findings)]
    mapped, body, content_type = _body(described, scope, findings)
    connection = connections.get(described.connection_id) if described.connection_id else None
    request = CallRequest(
        method=described.method,
        url=url,
        query=query,
        headers=headers,
        body=body,
        content_type=content_type,
        connection=connection,
        idempotency_key=None,
        timeout_s=described.timeout_s,
        follow_redirects=described.follow_redirects,
    )
    return request, mapped


def _body(described: HttpRequest, scope: Scope, findings: list[Finding]) -> tuple[Any, bytes | None, str]:
    if described.body_kind == "none":
        return None, None, ""
    if described.body_kind == "raw":
        text = fill_text("Body", described.body_text, scope, findings)
        return text, text.encode(), described.content_type or "text/plain; charset=utf-8"
    if described.body_kind == "json_text":
        document = _fill_json(described.body_text.value, scope, findings)
        return document, *encode_body("json", document)
    rows = fill_rows(described.body, scope, findings)
    if described.body_kind != "json":
        body, content_type = encode_body(described.body_kind, rows)
        return dict(rows), body, content_type
    nested: dict[str, Any] = {}
    for name, value in rows:
        set_at_path(nested, name, value)
    return nested, *encode_body("json", nested)


def _fill_json(text: str, scope: Scope, findings: list[Finding]) -> Any:
    """References stand inside the JSON's strings, so data can never break out of its place; a
    string that is one reference becomes the value itself."""
    try:
        template = orjson.loads(text)
    except orjson.JSONDecodeError as reason:
        raise StepFails(
            "invalid_payload",
            f"The body is not valid JSON: {reason}.",
            remedy='Fix the JSON; references stand inside quotes, as in {"email": "{{$.email}}"}.',
        ) from reason
    filled = _fill_node(template, scope, findings)
    return None if filled is MISSING else filled


def _fill_node(node: Any, scope: Scope, findings: list[Finding]) -> Any:
    if isinstance(node, str):
        return fill("Body", Mapping(value=node), scope, findings) if "{{" in node else node
    if isinstance(node, list):
        return [value for item in node if (value := _fill_node(item, scope, findings)) is not MISSING]
    if isinstance(node, dict):
        filled = {name: _fill_node(item, scope, findings) for name, item in node.items()}
        return {name: value for name, value in filled.items() if value is not MISSING}
    return node


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def read_answer(answer: Answer, step: HttpStep, mapped: Any, findings: list[Finding]) -> Any:
    """The answer as a document; StepFails when it cannot be read or the success rule says no."""
    try:
        document = answer.document(step.request.parse)
    except CallFailed as failure:
        raise StepFails(
            failure.kind, failure.sentence, remedy=failure.remedy, mapped=mapped, findings=findings
        ) from failure
    if step.success is not None:
        seen = {"status": answer.status, "headers": dict(answer.headers), "body": document}
        verdict = holds(step.success, {"answer": seen})
        if not verdict.holds:
            raise StepFails(
                "invalid_payload",
                f"The answer does not count as a success: {verdict.sentence}",
                remedy="Look at the answer below, then fix the request or the success rule.",
                mapped=mapped,
                findings=findings,
            )
    return document
