"""The step "Email": one message over SMTP, kept in the history like a call."""

from __future__ import annotations

from typing import Any

from app.calls.mail.mail import Mail, mail_request, send_mail
from app.engine.context import RunContext
from app.engine.steps.outgoing import Outgoing, send
from app.flows.mapping.template import Finding, fill_text
from app.flows.model import EmailStep

Scope = dict[str, Any]


async def perform_email(ctx: RunContext, step: EmailStep, scope: Scope, key: str) -> Any:
    findings: list[Finding] = []
    mail, mapped = map_mail(step, scope, findings)
    settings = ctx.runtime.settings
    connection = ctx.runtime.connections.get(step.connection_id) if step.connection_id else None
    request = mail_request(mail, connection, settings, message_key=ctx.call_key(key))
    outgoing = Outgoing(step, key, mapped, findings, repeatable=False)
    await send(ctx, outgoing, request, via=lambda r: send_mail(r, settings, ctx.runtime.clock))
    output = {"message_id": request.idempotency_key}
    ctx.end_step(key, "succeeded", mapped=mapped, output=output, findings=findings)
    return output


def map_mail(step: EmailStep, scope: Scope, findings: list[Finding]) -> tuple[Mail, dict[str, str]]:
    """The message and what the mappings gave.  Raises MappingFailed without recipient or subject."""
    mapped = {
        "to": fill_text("To", step.to, scope, findings, required=True),
        "cc": fill_text("Cc", step.cc, scope, findings),
        "reply_to": fill_text("Reply to", step.reply_to, scope, findings),
        "sender": fill_text("From", step.sender, scope, findings),
        "subject": fill_text("Subject", step.subject, scope, findings, required=True),
        "text": fill_text("Text", step.text, scope, findings),
    }
    return Mail(**mapped), mapped
