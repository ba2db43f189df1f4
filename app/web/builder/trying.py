"""Trying a step, and asking a service while a flow is built: what would be sent, what came back."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as TooLate
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import Blueprint, Response, render_template, request
from sqlalchemy import select

from app.calls.http.client import CallOutcome
from app.calls.message.call import CallRequest
from app.engine.steps.web_request import build_request
from app.engine.trial import TrialResult, preview_step, send_step
from app.errors import AppError, CallFailed, FlowInvalid, Unavailable
from app.flows.edit import find_step, replace_trigger
from app.flows.mapping.picker import PickerNode, tree
from app.flows.model import ConnectorTrigger, PollTrigger
from app.intake.polls.connector import ConnectorSource
from app.intake.polls.records import records_in
from app.intake.polls.source import Look
from app.storage.database.db import pages_db
from app.storage.flows.flows import set_sample
from app.storage.tables.models import Call
from app.web.builder.draft import change_draft, say_refusals, show_parts
from app.web.builder.inputs import Loaded
from app.web.builder.panel import Panel, open_panel
from app.web.builder.view import open_editor
from app.web.frame.context import parts
from app.web.frame.hx import respond

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


T = TypeVar("T")
_LONGEST_S = 60
_MOST_LISTS = 12


@dataclass
class Fetched:
    """`lists`: (path of its items, its name, how many) of each list in the answer."""

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
    editor = _choose(flow_id, request.form["items"]) if "items" in request.form else open_editor(flow_id)
    panel = open_panel(editor, editor.definition.trigger.id, "test")
    records: list[Any] = []
    result = _fetched(panel, records)
    if records:
        parts().database.write(lambda db: set_sample(db, flow_id, records[0]))
        panel = open_panel(open_editor(flow_id), panel.part.id, "test")
    panel.result = result
    return show_parts(panel.editor, panel, announce=result.sentence)


def _choose(flow_id: str, items: str) -> Any:
    def change(definition: Any) -> Any:
        trigger = definition.trigger
        if not isinstance(trigger, PollTrigger):
            raise FlowInvalid("Only a trigger that looks at an address has a list to choose.")
        return replace_trigger(definition, trigger.model_copy(update={"items": items}))

    return change_draft(flow_id, change)


def _fetched(panel: Panel, records: list[Any]) -> Fetched:
    try:
        if isinstance(panel.part, PollTrigger):
            return _by_request(panel.part, panel, records)
        if isinstance(panel.part, ConnectorTrigger):
            records += _on_engine(_first_batch(panel.part))
            return Fetched(True, _found_words(len(records)))
    except AppError as reason:
        return Fetched(False, f"{reason.sentence} {reason.remedy}".strip())
    raise FlowInvalid("This trigger does not fetch anything.")


def _by_request(trigger: PollTrigger, panel: Panel, records: list[Any]) -> Fetched:
    scope = {"run": panel.scope["run"], "cursor": ""}
    call, _ = build_request(parts().connections, trigger.request, scope, [])
    outcome: CallOutcome = _on_engine(parts().caller.send(call))
    if outcome.failure is not None or outcome.answer is None:
        failure = outcome.failure or CallFailed("unavailable", "The address gave no answer.")
        body = readable(outcome.answer.body) if outcome.answer else ""
        return Fetched(False, f"{failure.sentence} {failure.remedy}".strip(), body=body)
    document = outcome.answer.document(trigger.request.parse)
    fetched = Fetched(True, "", _lists(tree(document, "answer")), readable(outcome.answer.body))
    try:
        records += records_in(document, trigger.items)
        fetched.sentence = _found_words(len(records))
    except AppError as reason:
        fetched.sentence = f"The address answered. {reason.sentence}"
    return fetched


def _found_words(number: int) -> str:
    if not number:
        return "It answered, and there is no record in the answer."
    return f"{number} {'record' if number == 1 else 'records'} found. The first one is the sample now."


def _lists(node: PickerNode) -> list[tuple[str, str, str]]:
    own = [(f"{node.path}[*]", "The answer itself" if node.path == "$" else node.label, node.sample)]
    found = own if node.kind == "list" else []
    return [*found, *(one for child in node.children for one in _lists(child))][:_MOST_LISTS]


async def _first_batch(trigger: ConnectorTrigger) -> list[Any]:
    async for records in ConnectorSource(parts(), trigger).batches(Look(), None):
        return records
    return []


def _on_engine(work: Coroutine[Any, Any, T]) -> T:
    if not parts().engine.is_started:
        work.close()
        raise Unavailable("The engine is not running, so nothing can be fetched.")
    try:
        return parts().engine.spawn(work).result(_LONGEST_S)
    except TooLate:
        raise CallFailed("unavailable", f"No answer within {_LONGEST_S} seconds.") from None
