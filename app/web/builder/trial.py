"""Trying a step, and fetching once for a poll: what would be sent, what came back."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from sqlalchemy import select

from app.calls.http.client import CallRequest
from app.engine.trial import TrialResult, preview_step, send_step
from app.errors import Unavailable
from app.flows.edit import find_step
from app.storage.database.db import pages_db
from app.storage.flows.flows import set_sample
from app.storage.tables.models import Call
from app.web.builder.draft import say_refusals, show_parts
from app.web.builder.panel import Panel, open_panel
from app.web.builder.view import open_editor
from app.web.frame.context import parts

blueprint = Blueprint("builder_test", __name__)
say_refusals(blueprint)

_LONGEST_BODY = 20_000
_LONGEST_WAIT_S = 320
_CALLS = ("http", "action", "email")


@dataclass
class Shown:
    """A trial as the panel shows it; `url` is empty for steps that call nothing."""

    ok: bool
    sentence: str
    was_sent: bool = False
    findings: list[str] = field(default_factory=list)
    method: str = ""
    url: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""
    status: int | None = None
    duration_ms: int | None = None
    answer: str = ""
    mapped: Any = None
    output: Any = None
    run_id: str | None = None


@blueprint.post("/flows/<flow_id>/steps/<step_id>/test")
def test_step(flow_id: str, step_id: str) -> Response:
    """`send`=1 really makes the call; its answer becomes the step's sample."""
    editor = open_editor(flow_id)
    step = find_step(editor.definition, step_id)
    panel = open_panel(editor, step.id, "test")
    send = request.form.get("send") == "1" and step.kind in _CALLS
    result = (
        _sent(panel) if send else preview_step(parts().engine.means, editor.definition, step.id, panel.scope)
    )
    if result.ok and result.output is not None:
        parts().database.write(lambda db: set_sample(db, flow_id, result.output, root=step.id))
        panel = open_panel(open_editor(flow_id), step.id, "test")
    panel.result = _shown_sent(result) if send else _shown_preview(result, step.kind)
    return show_parts(panel.editor, panel, announce=panel.result.sentence)


def _sent(panel: Panel) -> TrialResult:
    engine, editor = parts().engine, panel.editor
    if not engine.is_started:
        raise Unavailable("The engine is not running, so nothing can be sent.")
    sending = send_step(engine.means, editor.flow.id, editor.definition, panel.part.id, panel.scope)
    return engine.spawn(sending).result(_LONGEST_WAIT_S)


def _shown_preview(result: TrialResult, kind: str) -> Shown:
    usual = "Nothing was sent. This is what would be." if kind in _CALLS else "It works with this sample."
    shown = Shown(result.ok, _sentence(result, usual), findings=_findings(result), mapped=result.mapped)
    shown.output = result.output
    return _with_request(shown, result.request) if result.request else shown


def _sentence(result: TrialResult, usual: str) -> str:
    return f"{result.sentence} {result.remedy}".strip() or usual


def _findings(result: TrialResult) -> list[str]:
    return list(dict.fromkeys(finding.sentence for finding in result.findings))


def _with_request(shown: Shown, call: CallRequest) -> Shown:
    query = urlencode(call.query)
    shown.method, shown.url = call.method, f"{call.url}?{query}" if query else call.url
    kind = [("Content-Type", call.content_type)] if call.content_type else []
    shown.headers = [*((str(name), str(value)) for name, value in call.headers), *kind]
    shown.body = readable(call.body)
    return shown


def _shown_sent(result: TrialResult) -> Shown:
    """With the request and the answer as the history has them."""
    shown = Shown(result.ok, _sentence(result, "Sent."), was_sent=True, findings=_findings(result))
    shown.run_id, shown.output = result.run_id, result.output
    pages_db.session.rollback()
    rows = pages_db.session.execute(
        select(Call).where(Call.made_for == result.run_id).order_by(Call.number.desc())
    )
    call = rows.scalars().first()
    if call is not None:
        shown.method, shown.url, shown.body = call.method, call.url, readable(call.request_body)
        shown.headers = [(str(name), str(value)) for name, value in _pairs(call.request_headers)]
        shown.status, shown.duration_ms = call.status, call.duration_ms
        shown.answer = readable(call.answer_body)
    return shown


def _pairs(headers: Any) -> Any:
    return headers.items() if isinstance(headers, dict) else headers or []


def readable(body: bytes | None) -> str:
    """A body for reading: JSON indented, other text as it is."""
    text = (body or b"").decode("utf-8", "replace")
    with suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return text if len(text) <= _LONGEST_BODY else text[:_LONGEST_BODY] + "\n…"
