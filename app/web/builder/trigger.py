"""The trigger of the draft: its kind, its fields, its sample, and trying a poll or a schedule."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import available_timezones

from flask import Blueprint, Response, render_template, request

from app.errors import FlowInvalid
from app.flows.edit import replace_trigger
from app.flows.model import (
    ConnectorTrigger,
    FlowDefinition,
    HttpRequest,
    ManualTrigger,
    PollTrigger,
    ScheduleTrigger,
    Trigger,
    WebhookTrigger,
)
from app.storage.database.db import pages_db
from app.storage.flows.flows import get_samples, set_sample
from app.web.builder.answer import change_draft, say_refusals, show_parts
from app.web.builder.inputs import usual_input
from app.web.builder.kinds import read_trigger, shape
from app.web.builder.pace import read_pace
from app.web.builder.panel import open_panel
from app.web.builder.signature_presets import fill_in
from app.web.builder.steps import change_typed, only_connection, typed_data, wants_data
from app.web.builder.times import upcoming
from app.web.builder.view import open_editor
from app.web.frame.context import parts
from app.web.frame.hx import hx, respond

blueprint = Blueprint("builder_trigger", __name__)
say_refusals(blueprint)

_LONGEST_SAMPLE = 1_000_000


@blueprint.post("/flows/<flow_id>/trigger/kind")
def choose(flow_id: str) -> Response:
    trigger = _fresh(request.form.get("kind", ""))
    editor = change_draft(flow_id, lambda definition: replace_trigger(definition, trigger))
    panel = open_panel(editor, "trigger")
    return show_parts(
        editor, panel, push_url=editor.url(step="trigger"), announce=f"Starts with: {panel.card.words.app}"
    )


def _fresh(kind: str) -> Trigger:
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
def save(flow_id: str) -> Response:
    editor = open_editor(flow_id)
    before = editor.definition.trigger
    data = typed_data()
    zone = str(data.pop("time_zone", editor.definition.time_zone))
    pace = data.pop("flow", None)
    fill_in(data, request.form.get("do", ""))
    focus = change_typed(data, request.form.get("do", ""))
    typed = read_trigger(before, data)
    facts = {"time_zone": zone, **read_pace(editor.definition, pace, typed.errors)}
    if zone not in available_timezones():
        typed.errors["time_zone"] = f"“{zone[:60]}” is not a time zone. Examples: Europe/Paris, UTC."
    if typed.model is None or typed.errors:
        return _with_errors(flow_id, typed.data | {"flow": pace}, typed.errors)
    return _saved(flow_id, before, typed.model, facts, typed.data if focus else None, focus)


def _with_errors(flow_id: str, data: dict[str, Any], errors: dict[str, str]) -> Response:
    editor = open_editor(flow_id)
    panel = open_panel(editor, "trigger", request.args.get("tab", ""))
    panel.data, panel.errors = data, errors
    return show_parts(editor, panel, draw_panel=False, status=422, announce=next(iter(errors.values())))


def _saved(
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
    parts().database.write(lambda db: set_sample(db, flow_id, document))
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
