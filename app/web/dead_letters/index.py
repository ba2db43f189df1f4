"""Dead letters as a screen: groups by their cause, the runs of one, the orders about them, and what was
put away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypedDict
from urllib.parse import quote, urlencode

from flask import Blueprint, Flask, Response, flash, g, request
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from app.commands import letters
from app.engine.replay import Mode, WhichVersion
from app.errors import FlowInvalid, NotFound
from app.flows.edit import find_step
from app.flows.model import ActionStep, EmailStep, HttpStep
from app.storage.connections.connections import ConnectionRow, get_connection
from app.storage.database.db import pages_db
from app.storage.database.executor import Executor
from app.storage.flows.flows import FlowRow, find_flow, get_version
from app.storage.letters import dead_letters
from app.storage.letters import orders as bulk_orders
from app.storage.letters.dead_letters import DeadLetterGroup, discards
from app.storage.tables.models import Run, StepRecord
from app.watch.renamed import still_missing
from app.web.dead_letters.orders import group_address, order_views
from app.web.frame.context import parts, who
from app.web.frame.hx import page, redirect
from app.web.runs.actions import work_now
from app.web.runs.words import Action, StepName, step_names

blueprint = Blueprint("dead_letters", __name__)

_GROUPS = 50
_PAGE = 50
_PUT_AWAY = "They are put away; their runs stay in the history."
_MOST_COUNTED = 1000  # from there on the navigation says 999+
_ORDERS_SHOWN_FOR = timedelta(hours=12)
_KEY_TROUBLE = ("auth_expired", "permission_missing")
_FIELD_TROUBLE = ("invalid_payload", "not_found", "gone")
_MEANINGS = {
    "rate_limited": "Too many calls",
    "unavailable": "Not reachable",
    "auth_expired": "Not signed in",
    "permission_missing": "Not allowed",
    "invalid_payload": "Not accepted",
    "not_found": "Not found",
    "conflict": "Conflict",
    "gone": "Gone",
}


@dataclass(frozen=True, slots=True)
class GroupView:
    """`flow` None: it is deleted.  `fix`: what removes the cause, None where only time does."""

    group: DeadLetterGroup
    flow: FlowRow | None
    step: StepName | None
    title: str
    remedy: str
    fix: Action | None
    is_ordered: bool

    @property
    def address(self) -> str:
        return f"/dead-letters/group?{urlencode({'cause': self.group.cause})}"

    @property
    def has_newer_version(self) -> bool:
        return bool(self.flow and self.flow.live_version_id not in (None, self.group.version_id))


@blueprint.record_once
def _register(state: object) -> None:
    app: Flask = state.app  # type: ignore[attr-defined]
    app.jinja_env.globals |= {"dead_letter_count": _count}


def _count() -> int:
    """For the navigation of every page, also of those that say that the database is in trouble."""
    if "dead_letter_count" not in g:
        try:
            g.dead_letter_count = dead_letters.count(pages_db.session, most=_MOST_COUNTED)
        except DBAPIError:
            g.dead_letter_count = 0
    return int(g.dead_letter_count)


# ------------------------------------------------------------------------------------- looking


@blueprint.get("/dead-letters")
def index() -> Response:
    found = dead_letters.groups(pages_db.session, limit=_GROUPS + 1)
    return page(
        "dead_letters/index.html",
        block="live",
        groups=[group_view(pages_db.session, group) for group in found[:_GROUPS]],
        has_more=len(found) > _GROUPS,
        orders=_orders(""),
    )


@blueprint.get("/dead-letters/group")
def show_group() -> Response:
    cause = dead_letters.clean_cause(request.args.get("cause", ""))
    group = dead_letters.get_group(pages_db.session, cause)
    rows, older = dead_letters.letters(
        pages_db.session, cause, before=request.args.get("before"), limit=_PAGE
    )
    query = urlencode({"cause": cause, "before": older}) if older else ""
    return page(
        "dead_letters/group.html",
        block="live",
        cause=cause,
        view=group_view(pages_db.session, group) if group else None,
        runs=rows,
        older=f"/dead-letters/group?{query}" if query else "",
        orders=_orders(cause),
    )


@blueprint.get("/dead-letters/discarded")
def discarded() -> Response:
    rows = discards(pages_db.session, before=_place(request.args.get("before", "")), limit=_PAGE + 1)
    older = ""
    if len(rows) > _PAGE:
        last = rows[_PAGE - 1]
        at = int(last.at.timestamp() * 1000)
        older = "/dead-letters/discarded?" + urlencode({"before": f"{at}.{last.run_id}"})
    return page("dead_letters/discarded.html", rows=rows[:_PAGE], older=older)


def _orders(cause: str) -> list[object]:
    since = parts().clock.now() - _ORDERS_SHOWN_FOR
    found = bulk_orders.recent(pages_db.session, since=since)
    letters = [one for one in found if one.what != "cancel"]
    chosen = [one for one in letters if not cause or one.cause == cause or one.chosen is not None]
    return [*order_views(pages_db.session, chosen)]


def _place(text: str) -> tuple[datetime, str] | None:
    at, _, run_id = text.partition(".")
    if not at.isdecimal() or len(at) > 14:
        return None
    return datetime.fromtimestamp(int(at) / 1000, UTC), run_id


# ------------------------------------------------------------------------------- one group


def group_view(db: Executor, group: DeadLetterGroup) -> GroupView:
    what = group.what
    step = step_names(db, group.version_id).get(what.step_id)
    flow = find_flow(db, group.flow_id)
    title = _MEANINGS.get(what.error_kind, "The flow said stop" if step else "Stopped")
    return GroupView(
        group=group,
        flow=flow,
        step=step,
        title=f"{title} · {what.about}" if what.about else title,
        remedy=_remedy(db, group.newest),
        fix=_fix(db, group, flow, step),
        is_ordered=bulk_orders.is_ordered(db, group.cause),
    )


def _fix(db: Executor, group: DeadLetterGroup, flow: FlowRow | None, step: StepName | None) -> Action | None:
    what = group.what
    if what.error_kind in _KEY_TROUBLE and (connection := _connection(db, group)) is not None:
        return Action(f"Reconnect {connection.name}", f"/connections/{connection.id}", picture="plug-zap")
    if flow is None or step is None:
        return None
    for missing in still_missing(db, flow.id) if what.about.startswith("field ") else ():
        if missing.stopped(group):
            return Action(f"Use “{missing.now}” instead"[:80], missing.address, picture="repeat")
    in_builder = f"/flows/{flow.id}?step={quote(what.step_id)}"
    if what.about.startswith("field "):
        return Action("Fix the field", in_builder, picture="square-pen")
    if what.error_kind in _FIELD_TROUBLE + _KEY_TROUBLE:
        return Action(f"Fix step {step.number}", in_builder, picture="square-pen")
    return None


def _connection(db: Executor, group: DeadLetterGroup) -> ConnectionRow | None:
    """The one that the step works with."""
    try:
        step = find_step(get_version(db, group.version_id).definition, group.what.step_id)
        match step:
            case ActionStep() | EmailStep():
                connection_id = step.connection_id
            case HttpStep():
                connection_id = step.request.connection_id
            case _:
                return None
        return get_connection(db, connection_id) if connection_id else None
    except (FlowInvalid, NotFound, ValueError):  # the version, step or connection is gone
        return None


def _remedy(db: Executor, run_id: str) -> str:
    query = select(StepRecord.remedy).join(Run, Run.id == StepRecord.run_id)
    at = query.where(StepRecord.run_id == run_id, StepRecord.step_key == Run.position)
    return db.execute(at).scalar_one_or_none() or ""


# ------------------------------------------------------------------------------------ deciding


@blueprint.post("/dead-letters/resend")
def resend() -> Response:
    """All of a group."""
    cause = dead_letters.clean_cause(request.form.get("cause", ""))
    letters.replay_group(who(), parts(), cause, **_how())
    work_now()
    flash("They are sent again, a few at a time; this page shows how far it is.", "success")
    return redirect(group_address(cause))


@blueprint.post("/dead-letters/discard")
def discard() -> Response:
    cause = dead_letters.clean_cause(request.form.get("cause", ""))
    letters.settle_group(who(), parts(), cause, reason=request.form.get("reason", ""))
    work_now()
    flash(_PUT_AWAY, "success")
    return redirect(group_address(cause))


@blueprint.post("/dead-letters/chosen")
def decide_chosen() -> Response:
    """Those that were ticked."""
    cause = dead_letters.clean_cause(request.form.get("cause", ""))
    ids = request.form.getlist("run")
    if request.form.get("do") == "discard":
        letters.settle_chosen(who(), parts(), ids, reason=request.form.get("reason", ""))
        said = _PUT_AWAY
    else:
        letters.replay_chosen(who(), parts(), ids, **_how())
        said = "They are sent again, a few at a time."
    work_now()
    flash(said, "success")
    return redirect(group_address(cause))


class How(TypedDict):
    mode: Mode
    version: WhichVersion


def _how() -> How:
    return {
        "mode": "whole" if request.form.get("mode") == "whole" else "failed",
        "version": "current" if request.form.get("version") == "current" else "same",
    }
