"""Fields that records of a flow have under another name now: taken over, published, and what stopped on
them sent again."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, flash, request

from app.commands import flows as commands
from app.commands.letters import replay_group
from app.errors import FlowInvalid
from app.flows.mapping.values import as_text
from app.flows.model import FlowDefinition, walk
from app.flows.order import label, numbering
from app.flows.portable.files import diff
from app.flows.renamed import Place, uses
from app.storage.database.db import pages_db
from app.storage.flows.flows import FlowRow, get_flow
from app.storage.letters import dead_letters
from app.storage.letters import orders as bulk_orders
from app.storage.letters.dead_letters import DeadLetterGroup
from app.watch.renamed import Renamed, is_back, noticed, values_instead
from app.web.frame.context import parts, revision_shown, who
from app.web.frame.hx import page, redirect
from app.web.runs.actions import work_now
from app.web.runs.words import counted

blueprint = Blueprint("renamed", __name__)

_MOST_CHOICES = 60
_MOST_CAUSES = 200
_LONGEST_VALUE = 60


@dataclass(frozen=True)
class FieldChoice:
    """A value of the record that may be the missing field's."""

    path: str
    words: str
    value: str


@dataclass(frozen=True)
class ShownRenamed:
    """`steps`: those of the draft that look for it still; none = it is taken over."""

    renamed: Renamed
    steps: list[str]
    choices: list[FieldChoice]
    letters: list[DeadLetterGroup]

    @property
    def is_live(self) -> bool:
        """The live version looks for it still."""
        return bool(self.renamed.step_ids)

    @property
    def stopped(self) -> int:
        return sum(group.count for group in self.letters)


# ------------------------------------------------------------------------------------- looking


@blueprint.get("/flows/<flow_id>/renamed")
def show_renamed(flow_id: str) -> Response:
    flow = get_flow(pages_db.session, flow_id)
    shown = _shown(flow)
    waits_for_publishing = any(one.is_live and not one.steps for one in shown)
    return page(
        "flows/renamed/index.html",
        flow=flow,
        to_take=[one for one in shown if one.steps],
        taken=[one for one in shown if not one.steps],
        changes=diff(shown[0].renamed.live, flow.draft) if waits_for_publishing else [],
        letters=_letters(shown),
        ordered=any(bulk_orders.is_ordered(pages_db.session, group.cause) for group in _letters(shown)),
    )


def _shown(flow: FlowRow) -> list[ShownRenamed]:
    """What there is to do something about."""
    letters = dead_letters.groups(pages_db.session, limit=_MOST_CAUSES, flow_id=flow.id)
    found = []
    for one in noticed(pages_db.session, flow.id):
        own = [group for group in letters if one.stopped(group)]
        is_missing = bool(one.step_ids) and not is_back(pages_db.session, one)
        if is_missing or own:
            found.append(ShownRenamed(one, _steps(flow.draft, one.place), _choices(one), own))
    return found


def _steps(definition: FlowDefinition, place: Place) -> list[str]:
    numbers, ids = numbering(definition), uses(definition).get(place, [])
    names = {step.id: label(step) for step in walk(definition.steps)}
    return [f"step {numbers.get(one, '')} · {names.get(one, one)}" for one in ids]


def _choices(one: Renamed) -> list[FieldChoice]:
    """What the first record without the field has, the likely one first."""
    found = values_instead(pages_db.session, one)[: _MOST_CHOICES + 1]
    shown = ["" if value is None or isinstance(value, dict | list) else as_text(value) for _, value in found]
    words = [one.now, *(Place("", path).words for path, _ in found[1:])]
    return [
        FieldChoice(path, word, text[:_LONGEST_VALUE])
        for (path, _), word, text in zip(found, words, shown, strict=True)
    ]


def _letters(shown: list[ShownRenamed]) -> list[DeadLetterGroup]:
    """Each once, although a run may lack more than one field."""
    return list({group.cause: group for one in shown for group in one.letters}.values())


# ------------------------------------------------------------------------------------ deciding


@blueprint.post("/flows/<flow_id>/renamed/take")
def take_over(flow_id: str) -> Response:
    """Into the draft; `place` and `new_path` come in pairs."""
    pairs = zip(request.form.getlist("place"), request.form.getlist("new_path"), strict=False)
    if commands.take_over_renamed(who(), parts(), flow_id, list(pairs)):
        flash("Taken over into the draft. Publish it, and what comes in goes on.", "success")
    return redirect(f"/flows/{flow_id}/renamed")


@blueprint.post("/flows/<flow_id>/renamed/publish")
def publish_renamed(flow_id: str) -> Response:
    try:
        number = commands.publish(who(), parts(), flow_id, revision=revision_shown())
    except FlowInvalid:
        return redirect(f"/flows/{flow_id}/publish")  # which says what has to be fixed first
    flash(f"Version {number} is live.", "success")
    return redirect(f"/flows/{flow_id}/renamed")


@blueprint.post("/flows/<flow_id>/renamed/resend")
def resend_stopped(flow_id: str) -> Response:
    """All that stopped for want of these fields, with the flow as it is now."""
    letters = _letters(_shown(get_flow(pages_db.session, flow_id)))
    for group in letters:
        if not bulk_orders.is_ordered(pages_db.session, group.cause):
            replay_group(who(), parts(), group.cause, version="current")
    work_now()
    number = sum(group.count for group in letters)
    flash(
        f"{counted(number, 'run')} sent again, a few at a time." if number else "Nothing was left.", "success"
    )
    return redirect("/dead-letters")


@blueprint.post("/flows/<flow_id>/renamed/leave")
def leave(flow_id: str) -> Response:
    """It is something else: nobody is told of it again."""
    commands.leave_renamed(who(), parts(), flow_id, request.form.get("place", ""))
    flash("Left as it is. Records without it go on as the flow says.", "success")
    return redirect(f"/flows/{flow_id}/renamed")
