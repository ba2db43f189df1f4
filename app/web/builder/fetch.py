"""Asking a service while a flow is built: one look of a poll, the choices of a dropdown."""

from __future__ import annotations

from collections.abc import Coroutine
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import Blueprint, Response, render_template, request

from app.calls.http.client import CallOutcome
from app.engine.steps.web_request import build_request
from app.errors import AppError, CallFailed, FlowInvalid, Unavailable
from app.flows.edit import replace_trigger
from app.flows.mapping.picker import PickerNode, tree
from app.flows.model import ConnectorTrigger, PollTrigger
from app.intake.polls.connector import ConnectorSource
from app.intake.polls.records import records_in
from app.intake.polls.source import Look
from app.storage.flows.flows import set_sample
from app.web.builder.draft import change_draft, say_refusals, show_parts
from app.web.builder.lookups import Loaded
from app.web.builder.panel import Panel, open_panel
from app.web.builder.trial import readable
from app.web.builder.view import open_editor
from app.web.frame.context import parts
from app.web.frame.hx import respond

blueprint = Blueprint("builder_fetch", __name__)
say_refusals(blueprint)

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
