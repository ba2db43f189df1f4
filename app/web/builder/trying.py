"""Trying a step, and asking a service while a flow is built: what would be sent, what came back."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, render_template, request
from sqlalchemy import select

from app.commands import trials as commands
from app.commands.trials import Fetched
from app.engine.trial import TrialResult
from app.errors import CallFailed, ConnectionBroken, FlowInvalid, MappingFailed, Unavailable
from app.flows.edit import find_step, replace_trigger
from app.flows.mapping.picker import PickerNode, tree
from app.flows.model import FlowDefinition, PollTrigger
from app.storage.database.db import pages_db
from app.storage.tables.models import Call
from app.web.builder.draft import change_draft, say_refusals, show_parts
from app.web.builder.inputs import Loaded
from app.web.builder.panel import open_panel
from app.web.builder.view import open_editor
from app.web.frame.context import parts, who
from app.web.frame.hx import respond
from app.web.runs.words import counted

blueprint = Blueprint("builder_test", __name__)
say_refusals(blueprint)

_LONGEST_BODY = 20_000
_MOST_LISTS = 12
_CALLS = ("http", "action", "email")


@dataclass
class ShownTrial:
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
    scope = open_panel(editor, step.id, "test").scope
    send = request.form.get("send") == "1" and step.kind in _CALLS
    if send:
        shown = _shown_sent(commands.test_step(who(), parts(), flow_id, step.id, scope))
    else:
        shown = _shown_preview(commands.preview_step(who(), parts(), flow_id, step.id, scope), step.kind)
    panel = open_panel(open_editor(flow_id), step.id, "test")
    panel.result = shown
    return show_parts(panel.editor, panel, announce=shown.sentence)


def _shown_preview(result: TrialResult, kind: str) -> ShownTrial:
    usual = "Nothing was sent. This is what would be." if kind in _CALLS else "It works with this sample."
    shown = ShownTrial(result.ok, _sentence(result, usual), findings=_findings(result), mapped=result.mapped)
    shown.output = result.output
    if (call := result.request) is not None:
        query = urlencode(call.query)
        shown.method, shown.url = call.method, f"{call.url}?{query}" if query else call.url
        content_type = [("Content-Type", call.content_type)] if call.content_type else []
        shown.headers = [*((str(name), str(value)) for name, value in call.headers), *content_type]
        shown.body = readable(call.body)
    return shown


def _sentence(result: TrialResult, usual: str) -> str:
    return f"{result.sentence} {result.remedy}".strip() or usual


def _findings(result: TrialResult) -> list[str]:
    return list(dict.fromkeys(finding.sentence for finding in result.findings))


def _shown_sent(result: TrialResult) -> ShownTrial:
    """With the request and the answer as the history has them."""
    shown = ShownTrial(result.ok, _sentence(result, "Sent."), was_sent=True, findings=_findings(result))
    shown.run_id, shown.output = result.run_id, result.output
    pages_db.session.rollback()
    rows = pages_db.session.execute(
        select(Call).where(Call.made_for == result.run_id).order_by(Call.number.desc())
    )
    call = rows.scalars().first()
    if call is not None:
        shown.method, shown.url, shown.body = call.method, call.url, readable(call.request_body)
        headers: Any = call.request_headers
        pairs = headers.items() if isinstance(headers, dict) else headers or []
        shown.headers = [(str(name), str(value)) for name, value in pairs]
        shown.status, shown.duration_ms = call.status, call.duration_ms
        shown.answer = readable(call.answer_body)
    return shown


def readable(body: bytes | None) -> str:
    """A body for reading: JSON indented, other text as it is."""
    text = (body or b"").decode("utf-8", "replace")
    with suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return text if len(text) <= _LONGEST_BODY else text[:_LONGEST_BODY] + "\n…"


@dataclass
class ShownFetch:
    """What a look found, as the panel shows it; `lists`: (path of its items, its name, how many) of each."""

    ok: bool
    sentence: str
    lists: list[tuple[str, str, str]] = field(default_factory=list)
    body: str = ""


@blueprint.get("/flows/<flow_id>/choices")
def choices(flow_id: str) -> Response:
    """A field with the choices of the account; asked by the page once it is there."""
    panel = open_panel(open_editor(flow_id), request.args.get("step", ""), "fields")
    panel.asks = True
    name = request.args.get("name", "")
    if name == "extra":
        listed = panel.listed(panel.extra.lookup or "") if panel.extra else None
        return respond(render_template("builder/_extra_names.html", listed=listed or Loaded()))
    return respond(render_template("builder/_input.html", panel=panel, input=panel.input_of(name)))


@blueprint.post("/flows/<flow_id>/fetch")
def fetch(flow_id: str) -> Response:
    """With `items`, that list is chosen first.  The first record becomes the sample."""
    editor = open_editor(flow_id)
    if "items" in request.form:
        editor = change_draft(flow_id, partial(_with_items, request.form["items"]))
    run = open_panel(editor, editor.definition.trigger.id, "test").scope["run"]
    try:
        result = _shown_fetched(commands.fetch_once(who(), parts(), flow_id, run))
    except (CallFailed, ConnectionBroken, MappingFailed, Unavailable) as reason:
        result = ShownFetch(False, f"{reason.sentence} {reason.remedy}".strip())
    panel = open_panel(open_editor(flow_id), editor.definition.trigger.id, "test")
    panel.result = result
    return show_parts(panel.editor, panel, announce=result.sentence)


def _with_items(items: str, definition: FlowDefinition) -> FlowDefinition:
    trigger = definition.trigger
    if not isinstance(trigger, PollTrigger):
        raise FlowInvalid("Only a trigger that looks at an address has a list to choose.")
    return replace_trigger(definition, trigger.model_copy(update={"items": items}))


def _shown_fetched(fetched: Fetched) -> ShownFetch:
    body, reason = readable(fetched.body), fetched.reason
    if not fetched.answered and reason is not None:
        return ShownFetch(False, f"{reason.sentence} {reason.remedy}".strip(), body=body)
    lists = [] if fetched.document is None else _lists(tree(fetched.document, "answer"))
    if reason is not None:
        return ShownFetch(True, f"The address answered. {reason.sentence}", lists, body)
    number = len(fetched.records)
    found = f"{counted(number, 'record')} found. The first one is the sample now."
    nothing = "It answered, and there is no record in the answer."
    return ShownFetch(True, found if number else nothing, lists, body)


def _lists(node: PickerNode) -> list[tuple[str, str, str]]:
    own = [(f"{node.path}[*]", "The answer itself" if node.path == "$" else node.label, node.sample)]
    found = own if node.kind == "list" else []
    return [*found, *(one for child in node.children for one in _lists(child))][:_MOST_LISTS]
