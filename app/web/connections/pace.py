"""How fast a connection may be used: what its service allows and what is used of it, a form for one's
own numbers, and a button for a service that is left alone because it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Flask, Response, flash, render_template, request

from app.calls.connections.book import find_connector
from app.calls.connections.pace import AT_ONCE, Pace, read_pace
from app.calls.limits.windows import name_of, read_kept
from app.catalog.format.definition import Limit
from app.errors import AppError
from app.storage.connections import lanes
from app.storage.connections.connections import ConnectionRow, get_connection
from app.storage.connections.lanes import LaneRow
from app.storage.connections.waiting import Waiting, waiting_runs
from app.storage.database.db import pages_db
from app.storage.flows.flows import get_flow
from app.storage.people import audit
from app.web.connections import pace_form as forms
from app.web.connections.pace_words import binding, limit_words
from app.web.frame.context import my_id, parts
from app.web.frame.hx import page, redirect, respond
from app.web.runs.words import counted

blueprint = Blueprint("connection_pace", __name__)

_LONGEST_LOOK_S = 2.0


@dataclass(frozen=True)
class Line:
    """One limit.  `usual`: what the connector says, where somebody set another number."""

    words: str
    about: str
    usual: str
    used: int
    most: int

    @property
    def is_full(self) -> bool:
        return self.used >= self.most


@dataclass(frozen=True)
class PaceView:
    """`asked`: hosts that ask us to wait now.  `asked_before`: those whose pause is over."""

    at_once: int
    is_own_at_once: bool
    lines: list[Line]
    left_alone: list[LaneRow]
    asked: list[LaneRow]
    asked_before: list[LaneRow]
    waiting: list[Waiting]


@blueprint.record_once
def _register(state: object) -> None:
    app: Flask = state.app  # type: ignore[attr-defined]
    app.jinja_env.globals |= {"pace_of": pace_view, "waiting_lines": waiting_lines}


# ------------------------------------------------------------------------------------- shown


def pace_view(row: ConnectionRow) -> PaceView:
    limits, usual_at_once = _facts_of(row.connector)
    pace = _pace_of(row.id, usual_at_once)
    used, now = _used(row.id), parts().clock.now()
    kept = lanes.lanes_of(pages_db.session, row.id)
    return PaceView(
        at_once=pace.at_once,
        is_own_at_once=pace.at_once != usual_at_once,
        lines=[_line(limit, pace, used) for limit in (*limits, *pace.own)],
        left_alone=[one for one in kept if one.tried_at is not None],
        asked=[one for one in kept if one.paused_until is not None and one.paused_until > now],
        asked_before=[one for one in kept if one.paused_until is not None and one.paused_until <= now],
        waiting=waiting_runs(pages_db.session, connection_id=row.id),
    )


def waiting_lines(flow_id: str = "") -> list[tuple[Waiting, str, datetime]]:
    """For the list of runs: who waits for which service, its number in words, and the expected end."""
    return [
        (one, _behind(one), one.last_at)
        for one in waiting_runs(pages_db.session, flow_id=flow_id or None)
        if one.reason == "away" or one.number > 1
    ]


@blueprint.get("/flows/<flow_id>/waiting")
def show_lines(flow_id: str) -> Response:
    """For the page of a flow that is open: its lines in front of services, as they are now."""
    flow = get_flow(pages_db.session, flow_id)
    return respond(render_template("builder/_lines.html", flow_id=flow.id))


def _behind(one: Waiting) -> str:
    if one.reason == "away":
        return ""
    limits, usual = _facts_of(one.connector)
    pace = _pace_of(one.connection_id, usual)
    wait_s = (one.last_at - parts().clock.now()).total_seconds()
    all_limits = pace.limits(tuple(limit for limit in limits if limit.default))
    found = binding(all_limits, wait_s)
    return limit_words(found) if found is not None else ""


def _line(limit: Limit, pace: Pace, used: Mapping[str, int]) -> Line:
    (now,) = pace.changed_limits((limit,)) if limit not in pace.own else (limit,)
    about = "your own number" if limit in pace.own else limit.key.replace("_", " ")
    if not limit.default:
        about += ", for some requests"
    usual = limit_words(limit) if now.requests != limit.requests else ""
    return Line(limit_words(now), about, usual, min(used.get(name_of(limit), 0), now.requests), now.requests)


def _facts_of(connector: str) -> tuple[Sequence[Limit], int]:
    """What the connector says: its limits, and how many calls at once."""
    try:
        found = find_connector(parts().registry, connector)
    except AppError:
        found = None
    return tuple(getattr(found, "limits", ())), getattr(found, "at_once", None) or AT_ONCE


def _pace_of(connection_id: str, usual_at_once: int) -> Pace:
    return read_pace(lanes.get_pace(pages_db.session, connection_id), usual_at_once)


def _used(connection_id: str) -> Mapping[str, int]:
    """By window, how many calls count now.  What this process cannot know stands in the database."""
    limits, engine = parts().caller.limits, parts().engine

    async def look() -> Mapping[str, int] | None:
        return limits.book.used(connection_id)

    if engine.is_started:
        try:
            found = engine.spawn(look()).result(_LONGEST_LOOK_S)
        except TimeoutError:
            found = None
        if found is not None:
            return found
    kept = lanes.get_budget(pages_db.session, connection_id)
    windows = kept.get("windows") if isinstance(kept, dict) else None
    now = parts().clock.now().timestamp()
    return {name: window.used(now) for name, window in read_kept(windows).items()}


# ------------------------------------------------------------------------------------ changed


@blueprint.get("/connections/<connection_id>/limits")
def show(connection_id: str) -> Response:
    row = get_connection(pages_db.session, connection_id)
    limits, usual = _facts_of(row.connector)
    kept = lanes.get_pace(pages_db.session, row.id)
    return _page(row, forms.show(read_pace(kept, usual), limits, usual, kept))


@blueprint.post("/connections/<connection_id>/limits")
def save(connection_id: str) -> Response:
    row = get_connection(pages_db.session, connection_id)
    limits, usual = _facts_of(row.connector)
    form = forms.read(request.form, limits, usual)
    if form.problems:
        return _page(row, form, 422)
    before = lanes.get_pace(pages_db.session, row.id)
    asked = parts().engine.set_pace(row.id, form.pace)
    _record(row.id, "changed the limits", {"from": before, "to": form.pace})
    flash(_saved(row, asked), "success")
    return redirect(f"/connections/{row.id}")


def _saved(row: ConnectionRow, asked: int) -> str:
    are = "is" if asked == 1 else "are"
    again = f" {counted(asked, 'run')} that waited {are} lined up anew." if asked else ""
    return f"The limits of “{row.name}” are saved and hold from now on.{again}"


@blueprint.post("/connections/<connection_id>/try-now")
def try_now(connection_id: str) -> Response:
    row = get_connection(pages_db.session, connection_id)
    asked = parts().engine.try_connection(row.id)
    _record(row.id, "tried it again", None)
    told = f" {counted(asked, 'run')} that waited {'asks' if asked == 1 else 'ask'} now." if asked else ""
    flash(f"“{row.name}” is tried with the next call.{told}", "success")
    return redirect(f"/connections/{row.id}")


def _page(row: ConnectionRow, form: forms.PaceForm, status: int = 200) -> Response:
    return page("connections/limits.html", status=status, row=row, form=form)


def _record(connection_id: str, action: str, detail: object) -> None:
    now, by = parts().clock.now(), my_id()
    parts().database.write(
        lambda db: audit.record(
            db, now=now, user_id=by, action=action, noun="connection", noun_id=connection_id, detail=detail
        )
    )
