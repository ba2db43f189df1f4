"""Steps of the draft: added, filled in, moved, duplicated and deleted, each as a form of its own."""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint, Response, request

from app.errors import FlowInvalid
from app.flows.edit import (
    add_path,
    add_step,
    duplicate_step,
    find_step,
    move_path,
    move_step,
    new_step,
    remove_path,
    remove_step,
    replace_step,
)
from app.flows.model import ActionStep, ConnectorTrigger, FlowDefinition, PathsStep, Step
from app.storage.connections.connections import list_connections
from app.storage.database.db import pages_db
from app.web.builder.answer import change_draft, say_refusals, show_parts
from app.web.builder.forms import Typed, at, change_rows, nested
from app.web.builder.inputs import needed_inputs, usual_input
from app.web.builder.kinds import read_step, shape
from app.web.builder.panel import Panel, open_panel
from app.web.builder.view import Editor, open_editor
from app.web.builder.words import STEP_KINDS
from app.web.frame.context import parts

blueprint = Blueprint("builder_steps", __name__)
say_refusals(blueprint)

_ABOUT_THE_FORM = ("csrf_token", "revision", "do", "tab", "step", "idem")


def typed_data() -> dict[str, Any]:
    """What the form says about the step itself."""
    about = (*_ABOUT_THE_FORM, "preview_field", "preview_label", "preview_required")
    return nested([(name, value) for name, value in request.form.items(multi=True) if name not in about])


@blueprint.post("/flows/<flow_id>/steps")
def add(flow_id: str) -> Response:
    made: list[str] = []

    def change(definition: FlowDefinition) -> FlowDefinition:
        step = _fresh(definition)
        made.append(step.id)
        inside = request.form.get("inside") or None
        return add_step(definition, step, after=request.form.get("after") or None, inside=inside)

    editor = change_draft(flow_id, change)
    panel = open_panel(editor, made[0])
    return show_parts(
        editor,
        panel,
        push_url=editor.url(step=made[0]),
        announce=f"Step {editor.number(made[0])} added: {panel.card.words.title}",
    )


def _fresh(definition: FlowDefinition) -> Step:
    kind = request.form.get("kind", "")
    if kind == "action":
        connector, action = request.form.get("connector", ""), request.form.get("action", "")
        usual = usual_input(parts().registry.find_action(connector, action))
        only = only_connection(connector)
        facts = {"connector": connector, "action": action, "connection_id": only, "input": usual}
        return new_step(kind, definition, **facts)
    if kind not in STEP_KINDS:
        raise FlowInvalid(f"There is no kind of step called “{kind[:40]}”.")
    return new_step(kind, definition, **_usual(kind))


def only_connection(connector: str) -> str:
    """The account of a service of which there is just one; '' where there is a choice, or none."""
    found = list_connections(pages_db.session, connector=connector)
    return found[0].id if len(found) == 1 else ""


def _usual(kind: str) -> dict[str, Any]:
    """A web request mostly sends JSON: the commonest form is the first that is seen."""
    if kind == "http":
        return {"request": {"method": "POST", "body_kind": "json"}}
    return {}


@blueprint.post("/flows/<flow_id>/steps/<step_id>")
def save(flow_id: str, step_id: str) -> Response:
    """Saves what the form says.  `do` adds or removes rows and paths on the way."""
    editor = open_editor(flow_id)
    step = find_step(editor.definition, step_id)
    data = typed_data()
    focus = change_typed(data, request.form.get("do", ""))
    typed = read_step(step, data)
    if (filled := typed.model) is None:
        return _with_errors(editor, step_id, typed)
    saved = change_draft(flow_id, lambda definition: _saved(definition, filled))
    return _after_save(saved, step, typed, focus)


def _asks_anew(panel: Panel, before: Any) -> bool:
    """Has an input changed that choices of another one depend on?"""
    if not isinstance(panel.part, ActionStep | ConnectorTrigger):
        return False
    needed = needed_inputs(panel.facts, panel.editor.registry.find(panel.part.connector))
    return any(before.input.get(key) != panel.part.input.get(key) for key in needed)


def change_typed(data: dict[str, Any], change: str) -> str:
    """Returns the name of the field that the eye should go to, if the change was one of fields."""
    return set_value(data, change) or change_rows(data, change)


def _saved(definition: FlowDefinition, step: Step) -> FlowDefinition:
    definition = replace_step(definition, step)
    verb, _, target = request.form.get("do", "").partition(":")
    if not isinstance(step, PathsStep):
        return definition
    if verb == "add-path":
        return add_path(definition, step.id, name="")
    if verb == "remove-path":
        return remove_path(definition, step.id, target)
    if verb in ("path-up", "path-down"):
        return move_path(definition, step.id, target, "up" if verb == "path-up" else "down")
    return definition


def _after_save(editor: Editor, before: Step, typed: Typed[Any], focus: str) -> Response:
    panel = open_panel(editor, before.id, request.args.get("tab", ""))
    if focus:
        panel.data, panel.focus = typed.data, focus
    panel.as_data = wants_data(request.form.get("do", ""))
    redraw = bool(request.form.get("do")) or shape(before) != shape(panel.part) or _asks_anew(panel, before)
    return show_parts(editor, panel, draw_panel=redraw, announce="" if redraw else "Saved")


def wants_data(change: str) -> str:
    """`data:<name>`: the field whose list of choices gives way to a field for data."""
    return change.removeprefix("data:") if change.startswith("data:") else ""


def set_value(data: dict[str, Any], change: str) -> str:
    """`set:<name>=<text>` puts a text into a field that a button offers, `append:` adds it to a list."""
    verb, _, rest = change.partition(":")
    name, _, text = rest.partition("=")
    parent, _, last = name.rpartition(".")
    holder = at(data, parent)
    if verb not in ("set", "append") or not isinstance(holder, dict):
        return ""
    before = str(holder.get(last) or "").strip() if verb == "append" else ""
    holder[last] = f"{before}, {text}" if before else text
    return name


def _with_errors(editor: Editor, step_id: str, typed: Typed[Any]) -> Response:
    panel = open_panel(editor, step_id, request.args.get("tab", ""))
    panel.data, panel.errors = typed.data, typed.errors
    first = next(iter(typed.errors.values()))
    return show_parts(editor, panel, draw_panel=False, status=422, announce=first)


@blueprint.post("/flows/<flow_id>/steps/<step_id>/move")
def move(flow_id: str, step_id: str) -> Response:
    direction: Literal["up", "down"] = "up" if request.form.get("direction") == "up" else "down"
    editor = change_draft(flow_id, lambda definition: move_step(definition, step_id, direction))
    number = editor.number(step_id)
    panel = Panel(editor, find_step(editor.definition, step_id), "", {})
    return show_parts(editor, _kept(editor, panel), draw_panel=False, announce=f"Now step {number}")


def _kept(editor: Editor, panel: Panel) -> Panel:
    """The panel stays as it is; the canvas marks the step it shows."""
    shown = request.form.get("shown", "")
    return open_panel(editor, shown) if shown else panel


@blueprint.post("/flows/<flow_id>/steps/<step_id>/duplicate")
def duplicate(flow_id: str, step_id: str) -> Response:
    before = set(open_editor(flow_id).numbers)
    editor = change_draft(flow_id, lambda definition: duplicate_step(definition, step_id))
    copy = min(set(editor.numbers) - before, key=lambda found: editor.numbers[found], default=step_id)
    panel = open_panel(editor, copy)
    return show_parts(editor, panel, push_url=editor.url(step=copy), announce="Step duplicated")


@blueprint.post("/flows/<flow_id>/steps/<step_id>/delete")
def delete(flow_id: str, step_id: str) -> Response:
    title = Panel(
        opened := open_editor(flow_id), find_step(opened.definition, step_id), "", {}
    ).card.words.title
    editor = change_draft(flow_id, lambda definition: remove_step(definition, step_id))
    panel = open_panel(editor, "trigger")
    return show_parts(editor, panel, push_url=editor.url(step="trigger"), announce=f"Deleted: {title}")
