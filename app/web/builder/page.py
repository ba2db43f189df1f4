"""The editor of a flow: its page, what can be added, publishing, switching on and off, and test runs."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, flash, render_template, request

from app.commands import flows as commands
from app.errors import FlowInvalid
from app.intake.manual import start_run
from app.storage.database.db import pages_db
from app.storage.flows.flows import get_flow
from app.web.builder.draft import say_refusals, show_page
from app.web.builder.panel import open_panel
from app.web.builder.view import Editor, open_editor
from app.web.builder.words import STEP_KINDS, TRIGGER_KINDS
from app.web.frame.context import my_id, parts, revision_shown, who
from app.web.frame.hx import hx, redirect, respond


@dataclass(frozen=True)
class Entry:
    """One thing to choose; `fields` are the hidden fields of its form."""

    label: str
    says: str
    icon: str
    fields: dict[str, str]
    connector: str = ""

    def fits(self, words: list[str]) -> bool:
        text = f"{self.label} {self.says} {' '.join(self.fields.values())}".lower()
        return all(word in text for word in words)


@dataclass(frozen=True)
class Group:
    label: str
    entries: list[Entry]


@dataclass(frozen=True)
class Picker:
    """`after`: the step or trigger that the new step follows; '' = first inside `inside`."""

    after: str
    inside: str
    search: str
    place: str
    groups: list[Group]


def picker_for(editor: Editor, *, after: str, inside: str, search: str) -> Picker:
    """What can be added after a step, or first inside one, as far as it fits what is searched for."""
    own = [Entry(facts.label, facts.says, facts.icon, {"kind": kind}) for kind, facts in STEP_KINDS.items()]
    groups = [Group("Web and logic", own), Group("Apps", _app_entries(editor))]
    place = f"After step {editor.number(after)}" if after else "First on this path"
    return Picker(after, inside, search, place, _fitting(groups, search))


def _fitting(groups: list[Group], search: str) -> list[Group]:
    words = search.lower().split()
    fitting = [Group(group.label, [e for e in group.entries if e.fits(words)]) for group in groups]
    return [group for group in fitting if group.entries]


def _app_entries(editor: Editor) -> list[Entry]:
    return [
        Entry(
            action.label,
            connector.name,
            "zap",
            {"kind": "action", "connector": connector.key, "action": action.key},
            connector.key,
        )
        for connector in editor.registry.all()
        for action in connector.actions.values()
    ]


def trigger_choices(editor: Editor, search: str = "") -> list[Group]:
    """Every way a flow can start."""
    own = [
        Entry(facts.label, facts.says, facts.icon, {"kind": kind}) for kind, facts in TRIGGER_KINDS.items()
    ]
    apps = [
        Entry(
            trigger.label,
            connector.name,
            "zap",
            {"kind": "connector", "connector": connector.key, "trigger": trigger.key},
            connector.key,
        )
        for connector in editor.registry.all()
        for trigger in connector.triggers.values()
    ]
    return _fitting([Group("Start with", own), Group("Apps", apps)], search)


blueprint = Blueprint("builder", __name__)
say_refusals(blueprint)


@blueprint.get("/flows/<flow_id>")
def edit(flow_id: str) -> Response:
    editor = open_editor(flow_id)
    if "choose" in request.args:
        return show_page(
            editor, None, template="builder/_choose_trigger.html", choices=trigger_choices(editor)
        )
    if "add" in request.args:
        picker = picker_for(
            editor,
            after=request.args.get("add", ""),
            inside=request.args.get("inside", ""),
            search=request.args.get("q", "")[:100],
        )
        return show_page(editor, None, template="builder/_picker.html", picker=picker)
    panel = open_panel(editor, request.args.get("step", ""), request.args.get("tab", ""))
    return show_page(editor, panel)


# -------------------------------------------------------------------------- publish, on and off


@blueprint.get("/flows/<flow_id>/publish")
def ask_publish(flow_id: str) -> Response:
    return _publish_dialog(open_editor(flow_id))


def _publish_dialog(editor: Editor, *, status: int = 200) -> Response:
    template = "builder/_publish.html" if hx().partial else "builder/publish.html"
    return respond(render_template(template, editor=editor), status=status)


@blueprint.post("/flows/<flow_id>/publish")
def publish_draft(flow_id: str) -> Response:
    try:
        number = commands.publish(who(), parts(), flow_id, revision=revision_shown())
        if request.form.get("switch_on") == "1":
            commands.switch_on(who(), parts(), flow_id)
    except FlowInvalid:
        return _publish_dialog(open_editor(flow_id), status=422)
    return _after(flow_id, f"Version {number} is live.")


@blueprint.post("/flows/<flow_id>/switch")
def switch(flow_id: str) -> Response:
    """On or off, by what the form wants; both may be said twice."""
    wanted = request.form.get("on") == "1"
    if wanted and open_editor(flow_id).live is None:
        return _publish_dialog(open_editor(flow_id))
    (commands.switch_on if wanted else commands.switch_off)(who(), parts(), flow_id)
    return _after(flow_id, "The flow is on." if wanted else "The flow is off.")


def _after(flow_id: str, sentence: str) -> Response:
    editor = open_editor(flow_id)
    if not hx().partial:
        return redirect(editor.url())
    body = render_template("builder/_published.html", editor=editor)
    return respond(body, announce=sentence, toast=("success", sentence))


# ------------------------------------------------------------------------------------- address


@blueprint.get("/flows/<flow_id>/address")
def ask_replace(flow_id: str) -> Response:
    who().must("flows")
    template = "builder/_replace_address.html" if hx().partial else "builder/replace_address.html"
    return respond(render_template(template, flow=get_flow(pages_db.session, flow_id)))


@blueprint.post("/flows/<flow_id>/address")
def replace_address(flow_id: str) -> Response:
    commands.replace_address(who(), parts(), flow_id)
    flash("The flow has a new address. The old one works for another 24 hours.", "success")
    return redirect(f"/flows/{flow_id}?step=trigger")


# ------------------------------------------------------------------------------------- test run


@blueprint.post("/flows/<flow_id>/test-run")
def test_run(flow_id: str) -> Response:
    """The live version with the sample; what it sends is really sent.  Of a flow that is started by hand
    this is no test: it counts like any other run."""
    editor = open_editor(flow_id)
    if editor.live is None:
        raise FlowInvalid(
            f"A {'run' if editor.is_by_hand else 'test run'} goes through the published version,"
            " and this flow has none yet.",
            remedy="Publish it first, or test single steps.",
        )
    panel = open_panel(editor, "trigger")
    sample = panel.scope.get(editor.definition.trigger.id, {})
    is_by_hand = editor.live.trigger.kind == "manual"
    run_id = start_run(parts(), flow_id, sample, by=my_id(), source="manual" if is_by_hand else "test")
    return redirect(f"/runs/{run_id}")
