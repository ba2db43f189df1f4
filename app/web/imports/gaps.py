"""Gaps that an import left on a trigger or step: a person says of each that it is seen to."""

from __future__ import annotations

from flask import Blueprint, Response, request

from app.flows.edit import find_step, replace_step, replace_trigger
from app.flows.model import FlowDefinition, Gap
from app.web.builder.draft import change_draft, say_refusals, show_parts
from app.web.builder.panel import open_panel

blueprint = Blueprint("bring_flows_gaps", __name__)
say_refusals(blueprint)


@blueprint.post("/flows/<flow_id>/gaps/<part_id>")
def done(flow_id: str, part_id: str) -> Response:
    """One by what it says, or `all` of the step."""
    what = request.form.get("what", "")
    everything = request.form.get("all") == "1"

    def change(definition: FlowDefinition) -> FlowDefinition:
        trigger = definition.trigger
        if part_id == trigger.id:
            kept = trigger.model_copy(update={"gaps": _kept(trigger.gaps, what, everything)})
            return replace_trigger(definition, kept)
        step = find_step(definition, part_id)
        return replace_step(definition, step.model_copy(update={"gaps": _kept(step.gaps, what, everything)}))

    editor = change_draft(flow_id, change)
    return show_parts(editor, open_panel(editor, part_id), announce="Seen to")


def _kept(gaps: list[Gap], what: str, everything: bool) -> list[Gap]:
    return [] if everything else [gap for gap in gaps if gap.what != what]
