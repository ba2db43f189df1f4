"""The draft of a flow changed by forms: its trigger and steps, and the parts of the page that answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal
from zoneinfo import available_timezones

from flask import Blueprint, Response, render_template, request

from app.commands import flows as commands
from app.errors import AppError, CallFailed, ConnectionBroken, FlowInvalid, MappingFailed, Stale, Unavailable
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
    replace_trigger,
)
from app.flows.model import (
    ActionStep,
    ConnectorTrigger,
    FlowDefinition,
    HttpRequest,
    ManualTrigger,
    PathsStep,
    PollTrigger,
    ScheduleTrigger,
    Step,
    Trigger,
    WebhookTrigger,
)
from app.storage.connections.connections import list_connections
from app.storage.database.db import pages_db
from app.storage.flows.flows import get_flow, get_samples
from app.web.builder.forms import Data, Typed, at, change_rows, nested
from app.web.builder.inputs import needed_inputs, usual_input
from app.web.builder.kinds import fill_in_signature, read_step, read_trigger, shape
from app.web.builder.pace import read_pace
from app.web.builder.panel import Panel, open_panel, upcoming
from app.web.builder.view import Editor, open_editor
from app.web.builder.words import STEP_KINDS
from app.web.frame.context import parts, revision_shown, who
from app.web.frame.hx import hx, redirect, respond

blueprint = Blueprint("draft", __name__)

_REFUSALS = (CallFailed, ConnectionBroken, FlowInvalid, MappingFailed, Stale, Unavailable)


def change_draft(flow_id: str, change: Callable[[FlowDefinition], FlowDefinition]) -> Editor:
    """Saves what `change` makes of the draft, if it differs; refuses one that is based on an older
    revision than the stored one."""
    flow = get_flow(pages_db.session, flow_id)
    revision = revision_shown()
    if revision != flow.draft_revision:
        raise Stale(
            "This flow was changed in another window or by somebody else.",
            remedy="Load the page again to see that change, then make yours.",
            flow=flow_id,
        )
    wanted = change(flow.draft)
    if wanted != flow.draft:
        commands.edit_draft(who(), parts(), flow_id, wanted, revision=revision)
    return open_editor(flow_id)


def show_parts(
    editor: Editor,
    panel: Panel | None = None,
    *,
    draw_panel: bool = True,
    status: int = 200,
    announce: str = "",
    push_url: str | None = None,
    template: str = "builder/_panel.html",
    **more: Any,
) -> Response:
    """The canvas and the bar anew, the panel too if `draw_panel`; else only its errors."""
    if not hx().partial:
        if status == 200:
            return redirect(push_url or editor.url(step=panel.part.id if panel else "trigger"))
        return show_page(editor, panel, status=status, template=template, **more)
    body = render_template(
        "builder/_answer.html",
        editor=editor,
        panel=panel,
        draw_panel=draw_panel,
        panel_template=template,
        selected=panel.part.id if panel else "",
        **more,
    )
    return respond(body, status=status, announce=announce, push_url=push_url)


def show_page(
    editor: Editor,
    panel: Panel | None,
    *,
    status: int = 200,
    template: str = "builder/_panel.html",
    **more: Any,
) -> Response:
    """The whole editor; only the panel where htmx asks for a part of it."""
    context = {
        "editor": editor,
        "panel": panel,
        "panel_template": template,
        "selected": panel.part.id if panel else "",
        **more,
    }
    if hx().partial:
        return respond(render_template("builder/_panel_answer.html", **context), status=status)
    return respond(render_template("builder/edit.html", **context), status=status)


def say_refusals(blueprint: Blueprint) -> None:
    """What cannot be done is said above the canvas; what was typed stays where it is."""
    for kind in _REFUSALS:
        blueprint.register_error_handler(kind, _refuse)


def _refuse(reason: AppError) -> Response:
    status = 409 if isinstance(reason, Stale) else 422
    editor = open_editor(str((request.view_args or {})["flow_id"]))
    shown = request.form.get("step") or (request.view_args or {}).get("step_id", "")
    if hx().partial:
        body = render_template("builder/_refused.html", editor=editor, reason=reason, selected=shown)
        return respond(body, status=status, announce=reason.sentence)
    panel = open_panel(editor, shown)
    return show_page(editor, panel, status=status, refused=reason)


say_refusals(blueprint)


_LONGEST_SAMPLE = 1_000_000
_ABOUT_THE_FORM = ("csrf_token", "revision", "do", "tab", "step", "idem")


def typed_data() -> dict[str, Any]:
    """What the form says about the step itself."""
    about = (*_ABOUT_THE_FORM, "preview_field", "preview_label", "preview_required")
    return nested([(name, value) for name, value in request.form.items(multi=True) if name not in about])


@blueprint.post("/flows/<flow_id>/steps")
def add(flow_id: str) -> Response:
    made: list[str] = []

    def change(definition: FlowDefinition) -> FlowDefinition:
        step = _fresh_step(definition)
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


def _fresh_step(definition: FlowDefinition) -> Step:
    kind = request.form.get("kind", "")
    if kind == "action":
        connector, action = request.form.get("connector", ""), request.form.get("action", "")
        usual = usual_input(parts().registry.find_action(connector, action))
        only = only_connection(connector)
        facts = {"connector": connector, "action": action, "connection_id": only, "input": usual}
        return new_step(kind, definition, **facts)
    if kind not in STEP_KINDS:
        raise FlowInvalid(f"There is no kind of step called “{kind[:40]}”.")
    # A web request mostly sends JSON: the commonest form is the first that is seen.
    begun = {"request": {"method": "POST", "body_kind": "json"}} if kind == "http" else {}
    return new_step(kind, definition, **begun)


def only_connection(connector: str) -> str:
    """The account of a service of which there is just one; '' where there is a choice, or none."""
    found = list_connections(pages_db.session, connector=connector)
    return found[0].id if len(found) == 1 else ""


@blueprint.post("/flows/<flow_id>/steps/<step_id>")
def save_step(flow_id: str, step_id: str) -> Response:
    """Saves what the form says.  `do` adds or removes rows and paths on the way."""
    editor = open_editor(flow_id)
    step = find_step(editor.definition, step_id)
    data = typed_data()
    focus = change_typed(data, request.form.get("do", ""))
    typed = read_step(step, data)
    if (filled := typed.model) is None:
        return _with_errors(flow_id, step_id, typed.data, typed.errors)
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


def _with_errors(flow_id: str, part_id: str, data: Data, errors: dict[str, str]) -> Response:
    editor = open_editor(flow_id)
    panel = open_panel(editor, part_id, request.args.get("tab", ""))
    panel.data, panel.errors = data, errors
    return show_parts(editor, panel, draw_panel=False, status=422, announce=next(iter(errors.values())))


@blueprint.post("/flows/<flow_id>/steps/<step_id>/move")
def move(flow_id: str, step_id: str) -> Response:
    direction: Literal["up", "down"] = "up" if request.form.get("direction") == "up" else "down"
    editor = change_draft(flow_id, lambda definition: move_step(definition, step_id, direction))
    number = editor.number(step_id)
    # The panel stays as it is; the canvas marks the step it shows.
    panel = open_panel(editor, request.form.get("shown") or step_id)
    return show_parts(editor, panel, draw_panel=False, announce=f"Now step {number}")


@blueprint.post("/flows/<flow_id>/steps/<step_id>/duplicate")
def duplicate(flow_id: str, step_id: str) -> Response:
    before = set(open_editor(flow_id).numbers)
    editor = change_draft(flow_id, lambda definition: duplicate_step(definition, step_id))
    copy = min(set(editor.numbers) - before, key=lambda found: editor.numbers[found], default=step_id)
    panel = open_panel(editor, copy)
    return show_parts(editor, panel, push_url=editor.url(step=copy), announce="Step duplicated")


@blueprint.post("/flows/<flow_id>/steps/<step_id>/delete")
def delete(flow_id: str, step_id: str) -> Response:
    before = open_editor(flow_id)
    title = before.card(find_step(before.definition, step_id)).words.title
    editor = change_draft(flow_id, lambda definition: remove_step(definition, step_id))
    panel = open_panel(editor, "trigger")
    return show_parts(editor, panel, push_url=editor.url(step="trigger"), announce=f"Deleted: {title}")


# ----------------------------------------------------------------------------------- the trigger


@blueprint.post("/flows/<flow_id>/trigger/kind")
def choose(flow_id: str) -> Response:
    trigger = _fresh_trigger(request.form.get("kind", ""))
    editor = change_draft(flow_id, lambda definition: replace_trigger(definition, trigger))
    panel = open_panel(editor, "trigger")
    return show_parts(
        editor, panel, push_url=editor.url(step="trigger"), announce=f"Starts with: {panel.card.words.app}"
    )


def _fresh_trigger(kind: str) -> Trigger:
    if kind == "connector":
        connector, trigger = request.form.get("connector", ""), request.form.get("trigger", "")
        usual = usual_input(parts().registry.find_trigger(connector, trigger))
        return ConnectorTrigger.model_validate(
            {
                "connector": connector,
                "trigger": trigger,
                "connection_id": only_connection(connector),
                "input": usual,
            }
        )
    fresh: dict[str, Trigger] = {
        "webhook": WebhookTrigger(),
        "manual": ManualTrigger(),
        "schedule": ScheduleTrigger(when="every weekday at 09:00"),
        "poll": PollTrigger(request=HttpRequest()),
    }
    if kind not in fresh:
        raise FlowInvalid(f"There is no kind of trigger called “{kind[:40]}”.")
    return fresh[kind]


@blueprint.post("/flows/<flow_id>/trigger")
def save_trigger(flow_id: str) -> Response:
    editor = open_editor(flow_id)
    before = editor.definition.trigger
    data = typed_data()
    zone = str(data.pop("time_zone", editor.definition.time_zone))
    pace = data.pop("flow", None)
    fill_in_signature(data, request.form.get("do", ""))
    focus = change_typed(data, request.form.get("do", ""))
    typed = read_trigger(before, data)
    facts = {"time_zone": zone, **read_pace(editor.definition, pace, typed.errors)}
    if zone not in available_timezones():
        typed.errors["time_zone"] = f"“{zone[:60]}” is not a time zone. Examples: Europe/Paris, UTC."
    if typed.model is None or typed.errors:
        return _with_errors(flow_id, "trigger", typed.data | {"flow": pace}, typed.errors)
    return _trigger_saved(flow_id, before, typed.model, facts, typed.data if focus else None, focus)


def _trigger_saved(
    flow_id: str,
    before: Trigger,
    trigger: Trigger,
    facts: dict[str, Any],
    data: dict[str, Any] | None,
    focus: str,
) -> Response:
    """`facts`: what the form says of the flow as a whole."""

    def change(definition: FlowDefinition) -> FlowDefinition:
        return replace_trigger(definition, trigger).model_copy(update=facts)

    editor = change_draft(flow_id, change)
    panel = open_panel(editor, "trigger", request.args.get("tab", ""))
    if data is not None:
        panel.data, panel.focus = panel.data | data, focus
    panel.as_data = wants_data(request.form.get("do", ""))
    redraw = bool(request.form.get("do")) or shape(before) != shape(trigger)
    return show_parts(editor, panel, draw_panel=redraw, announce="" if redraw else "Saved")


@blueprint.post("/flows/<flow_id>/gaps/<part_id>")
def close_gap(flow_id: str, part_id: str) -> Response:
    """One by what it says, or `all` of the step."""
    what = None if request.form.get("all") == "1" else request.form.get("what", "")
    commands.close_gap(who(), parts(), flow_id, part_id, what=what, revision=revision_shown())
    editor = open_editor(flow_id)
    return show_parts(editor, open_panel(editor, part_id), announce="Seen to")


# ----------------------------------------------------------------------------------- the sample


@blueprint.get("/flows/<flow_id>/sample")
def sample(flow_id: str) -> Response:
    """Asked every few seconds while the page waits for a test event: 204 until there is one."""
    has_one = get_samples(pages_db.session, flow_id).get("trigger") is not None
    if not has_one:
        return Response(status=204)
    editor = open_editor(flow_id)
    panel = open_panel(editor, request.args.get("step", "trigger"), request.args.get("tab", ""))
    said = "A test event came in."
    if panel.tab == "test" or not hx().partial:
        return show_parts(editor, panel, announce=said)
    return respond(render_template("builder/_sample_came.html", panel=panel), announce=said)


@blueprint.post("/flows/<flow_id>/sample")
def paste_sample(flow_id: str) -> Response:
    text = request.form.get("sample", "").strip()
    editor = open_editor(flow_id)
    try:
        document = _document(text)
    except FlowInvalid as reason:
        panel = open_panel(editor, "trigger", "test")
        panel.data["sample"], panel.errors = text, {"sample": reason.sentence}
        return show_parts(editor, panel, draw_panel=False, status=422, announce=reason.sentence)
    commands.set_sample(who(), parts(), flow_id, document)
    editor = open_editor(flow_id)
    return show_parts(editor, open_panel(editor, "trigger", "test"), announce="The sample is kept.")


def _document(text: str) -> Any:
    if len(text) > _LONGEST_SAMPLE:
        raise FlowInvalid("A sample can have at most one million characters.")
    try:
        return json.loads(text)
    except json.JSONDecodeError as reason:
        raise FlowInvalid(
            f"This is not JSON: line {reason.lineno}, column {reason.colno}: {reason.msg}."
        ) from None
    except (RecursionError, ValueError):
        raise FlowInvalid("This JSON cannot be used as a sample; it is nested too deeply.") from None


@blueprint.post("/flows/<flow_id>/next-times")
def next_times(flow_id: str) -> Response:
    """The words of a schedule as they are typed: what they mean and the next three times."""
    zone = request.form.get("time_zone") or open_editor(flow_id).definition.time_zone
    return respond(
        render_template("builder/_next_times.html", times=upcoming(request.form.get("when", ""), zone))
    )
