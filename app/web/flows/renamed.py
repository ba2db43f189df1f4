"""Fields that records of a flow have under another name now: taken over, published, and what stopped on
them sent again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flask import Blueprint, Response, flash, request
from sqlalchemy import Connection

from app.commands.letters import replay_group
from app.errors import FlowInvalid, NotFound, Stale
from app.flows.mapping.jsonpath import parse_path, quoted_path
from app.flows.mapping.jsonpath_reader import EACH
from app.flows.mapping.values import as_text
from app.flows.model import FlowDefinition, walk
from app.flows.order import label, numbering
from app.flows.portable.files import diff
from app.flows.renamed import Place, taken_over, uses, values_in
from app.intake.activation import publish
from app.storage.database.db import pages_db
from app.storage.flows.flows import FlowRow, get_flow, save_draft
from app.storage.flows.renamed_fields import document_of_run, leave_alone
from app.storage.letters import dead_letters
from app.storage.letters import orders as bulk_orders
from app.storage.letters.dead_letters import DeadLetterGroup
from app.storage.people import audit
from app.watch.renamed import Renamed, is_back, noticed
from app.web.frame.context import my_id, parts, who
from app.web.frame.hx import page, redirect
from app.web.runs.actions import work_now
from app.web.runs.words import counted

blueprint = Blueprint("renamed", __name__)

_MOST_CHOICES = 60
_MOST_CAUSES = 200
_LONGEST_VALUE = 60


@dataclass(frozen=True)
class Choice:
    path: str
    words: str
    value: str


@dataclass(frozen=True)
class Shown:
    """`steps`: those of the draft that look for it still; none = it is taken over."""

    renamed: Renamed
    steps: list[str]
    choices: list[Choice]
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
    return page(
        "flows/renamed/index.html",
        flow=flow,
        to_take=[one for one in shown if one.steps],
        taken=[one for one in shown if not one.steps],
        changes=_changes(shown, flow) if any(one.is_live and not one.steps for one in shown) else [],
        letters=_letters(shown),
        ordered=any(bulk_orders.is_ordered(pages_db.session, group.cause) for group in _letters(shown)),
    )


def _shown(flow: FlowRow) -> list[Shown]:
    """What there is to do something about."""
    letters = dead_letters.groups(pages_db.session, limit=_MOST_CAUSES, flow_id=flow.id)
    found = []
    for one in noticed(pages_db.session, flow.id):
        own = [group for group in letters if one.stopped(group)]
        is_missing = bool(one.step_ids) and not is_back(pages_db.session, one)
        if is_missing or own:
            found.append(Shown(one, _steps(flow.draft, one.place), _choices(one), own))
    return found


def _steps(definition: FlowDefinition, place: Place) -> list[str]:
    numbers, ids = numbering(definition), uses(definition).get(place, [])
    names = {step.id: label(step) for step in walk(definition.steps)}
    return [f"step {numbers.get(one, '')} · {names.get(one, one)}" for one in ids]


def _choices(one: Renamed) -> list[Choice]:
    """What the first record without the field has, the likely one first."""
    document = document_of_run(pages_db.session, one.row.run_id, one.place.root)
    likely = parse_path(one.row.new_path)
    found = [
        Choice(path, Place("", path).words, as_text(value)[:_LONGEST_VALUE])
        for keys, value in values_in(document)
        if EACH not in keys and not isinstance(value, dict | list)
        if (path := quoted_path(keys)) != one.row.new_path
    ]
    value = likely.value(document)
    shown = "" if isinstance(value, dict | list) or value is None else as_text(value)[:_LONGEST_VALUE]
    return [Choice(one.row.new_path, one.now, shown), *found[:_MOST_CHOICES]]


def _letters(shown: list[Shown]) -> list[DeadLetterGroup]:
    """Each once, although a run may lack more than one field."""
    return list({group.cause: group for one in shown for group in one.letters}.values())


def _changes(shown: list[Shown], flow: FlowRow) -> list[str]:
    return diff(shown[0].renamed.live, flow.draft)


# ------------------------------------------------------------------------------------ deciding


@blueprint.post("/flows/<flow_id>/renamed/take")
def take_over(flow_id: str) -> Response:
    """Into the draft; `place` and `new_path` come in pairs."""
    flow = get_flow(pages_db.session, flow_id)
    known = {one.place.text: one for one in noticed(pages_db.session, flow_id)}
    draft, taken = flow.draft, []
    for place, new_path in zip(request.form.getlist("place"), request.form.getlist("new_path"), strict=False):
        one = known.get(place)
        if one is None or new_path not in [choice.path for choice in _choices(one)]:
            raise NotFound("This field is no longer among those that are missing.")
        draft = taken_over(draft, one.place, new_path)
        taken.append({"from": one.was, "to": replace(one.place, path=new_path).words})
    if draft != flow.draft:
        _save(flow, draft, taken)
        flash("Taken over into the draft. Publish it, and what comes in goes on.", "success")
    return redirect(f"/flows/{flow_id}/renamed")


def _save(flow: FlowRow, draft: FlowDefinition, taken: list[dict[str, str]]) -> None:
    now, by = parts().clock.now(), my_id()

    def work(db: Connection) -> None:
        save_draft(db, flow.id, draft, revision=flow.draft_revision, now=now)
        said, detail = "took over renamed fields", {"fields": taken}
        audit.record(db, now=now, user_id=by, action=said, noun="flow", noun_id=flow.id, detail=detail)

    parts().database.write(work)


@blueprint.post("/flows/<flow_id>/renamed/publish")
def publish_renamed(flow_id: str) -> Response:
    if request.form.get("revision") != str(get_flow(pages_db.session, flow_id).draft_revision):
        raise Stale(
            "The draft was changed meanwhile; nothing was published.",
            remedy="Load the page again and look at the change.",
        )
    try:
        number = publish(parts(), flow_id, by=my_id())
    except FlowInvalid:
        return redirect(f"/flows/{flow_id}/publish")  # which says what has to be mended first
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
    now, place = parts().clock.now(), request.form.get("place", "").replace("\x00", "")
    if not parts().database.write(lambda db: leave_alone(db, flow_id, place, now=now)):
        raise NotFound("This field is no longer among those that are missing.")
    flash("Left as it is. Records without it go on as the flow says.", "success")
    return redirect(f"/flows/{flow_id}/renamed")
