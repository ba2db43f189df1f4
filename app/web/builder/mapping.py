"""What a field will be: filled from the samples by the engine's own code, and the menu of functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import orjson
from flask import Blueprint, Response, render_template, request

from app.errors import MappingFailed
from app.flows.mapping.functions.menu import FUNCTIONS, Arg, Function
from app.flows.mapping.template import GAP, MISSING, Finding, compile_template, fill
from app.flows.model import Mapping, WhenEmpty
from app.storage.database.db import pages_db
from app.storage.flows.flows import get_flow, get_samples
from app.web.builder.forms import at, nested
from app.web.builder.inputs import all_samples
from app.web.builder.scope import Scope, scope_for
from app.web.builder.words import path_name
from app.web.frame.context import parts
from app.web.frame.hx import respond

blueprint = Blueprint("mapping", __name__)

Look = Literal["plain", "value", "empty", "unknown", "wrong"]
_LONGEST_SHOWN = 400


@dataclass(frozen=True)
class Preview:
    """`plain`: nothing to resolve; `empty`: the sample has nothing there; `unknown`: no sample yet."""

    look: Look
    text: str = ""
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """A function as the menu offers it: what the value would be with it."""

    function: Function
    call: str
    outcome: str


def preview(label: str, mapping: Mapping, scope: Scope, *, required: bool = False) -> Preview:
    if "{{" not in mapping.value:
        return Preview("plain")
    try:
        template = compile_template(mapping.value)
    except MappingFailed as reason:
        return Preview("wrong", sentences=(reason.sentence,))
    if any(reference.root == GAP for reference in template.references):
        return Preview(
            "wrong", sentences=("This could not be brought along. Put another value in its place.",)
        )
    if unknown := [reference.root for reference in template.references if reference.root not in scope]:
        return Preview("unknown", sentences=(_no_sample(unknown[0]),))
    return _filled(label, mapping, scope, required)


def _no_sample(root: str) -> str:
    if root == "trigger":
        return "There is no sample yet. Send a test event, or paste one at the trigger, to see the value."
    return "This step has not been tested yet. Test it to see the value here."


def _filled(label: str, mapping: Mapping, scope: Scope, required: bool) -> Preview:
    findings: list[Finding] = []
    try:
        value = fill(label, mapping, scope, findings, required=required)
    except MappingFailed as reason:
        return Preview("empty", sentences=(reason.sentence,))
    sentences = tuple(dict.fromkeys(finding.sentence for finding in findings))
    if value is MISSING:
        return Preview("empty", sentences=sentences or ("The sample has nothing here; it is left out.",))
    return Preview("empty" if sentences else "value", shown(value), sentences)


def shown(value: Any) -> str:
    """A value on one line, as a person reads it."""
    if isinstance(value, str):
        text = value
    else:
        text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


@blueprint.post("/flows/<flow_id>/preview")
def show_preview(flow_id: str) -> Response:
    """The value of one field (`field`: its name) of the form that is sent along."""
    name = request.form.get("preview_field", "")
    data = nested(request.form.items(multi=True))
    found = preview(
        _label(data, name, request.form.get("preview_label", name)),
        mapping_of(at(data, name)),
        _scope(flow_id, request.form.get("step", "trigger")),
        required=request.form.get("preview_required") == "1",
    )
    return respond(render_template("builder/_preview.html", preview=found))


def _label(data: Any, name: str, label: str) -> str:
    """A row goes by the name that is typed in it."""
    row = at(data, name.removesuffix(".mapping")) if name.endswith(".mapping") else None
    typed = row.get("name") if isinstance(row, dict) else None
    return str(typed or label)


def mapping_of(typed: Any) -> Mapping:
    """A mapping as a form or a stored flow says it; nothing sensible = an empty one."""
    if isinstance(typed, Mapping):
        return typed
    if isinstance(typed, str):
        return Mapping(value=typed)
    if not isinstance(typed, dict):
        return Mapping()
    when = typed.get("when_empty")
    known = when if when in ("leave_out", "default", "stop") else None
    return Mapping(
        value=str(typed.get("value") or ""),
        when_empty=cast(WhenEmpty | None, known),
        default=str(typed.get("default") or ""),
    )


@blueprint.post("/flows/<flow_id>/functions")
def show_functions(flow_id: str) -> Response:
    """The menu of a pill: the functions it has, and each other one with what it would make of it."""
    expression = request.form.get("expression", "")[:4000]
    scope = _scope(flow_id, request.form.get("step", "trigger"))
    try:
        template = compile_template("{{" + expression + "}}")
    except MappingFailed as reason:
        return respond(render_template("builder/_functions_wrong.html", sentence=reason.sentence))
    reference = template.references[0]
    return respond(
        render_template(
            "builder/_functions.html",
            reference=reference,
            name=path_name(reference.path),
            functions=FUNCTIONS,
            now=preview("This value", Mapping(value="{{" + expression + "}}"), scope),
            choices=[_choice(function, expression, scope) for function in FUNCTIONS.values()],
        )
    )


def _choice(function: Function, expression: str, scope: Scope) -> Choice:
    call = call_text(function)
    found = preview("This value", Mapping(value="{{" + f"{expression} | {call}" + "}}"), scope)
    return Choice(function, call, found.text if found.look == "value" else "")


def call_text(function: Function) -> str:
    """A function with its usual arguments, as it stands in a template: `date:"%d %b %Y"`."""
    return function.name + "".join(f":{quoted(_usual(arg))}" for arg in function.args)


def _usual(arg: Arg) -> str:
    """Where a person has to say it: something of the right kind to begin with."""
    if arg.default is not None:
        return arg.default
    return arg.choices[0] if arg.choices else "1" if arg.kind == "number" else "a=1; b=2"


def quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def _scope(flow_id: str, step_id: str) -> Scope:
    flow = get_flow(pages_db.session, flow_id)
    samples = all_samples(flow.draft, parts().registry, get_samples(pages_db.session, flow_id))
    return scope_for(flow.draft, step_id, samples, flow_id=flow_id, now=parts().clock.now())
