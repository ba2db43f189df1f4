"""The limits of a connection: what its app allows and what is used of it, a form for one's own numbers, and a
button for an app that is left alone because it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import Blueprint, Flask, Response, flash, render_template, request

from app.calls.connections.book import find_connector
from app.calls.connections.pace import (
    AT_ONCE,
    LONGEST_PER_S,
    MOST_AT_ONCE,
    MOST_CALLS,
    MOST_OWN,
    Pace,
    read_pace,
    write_pace,
)
from app.calls.limits.model import name_of, read_kept
from app.catalog.format.definition import Limit
from app.commands.connections import set_limits, try_now
from app.errors import AppError
from app.storage.connections import limits as kept_limits
from app.storage.connections.connections import ConnectionRow, get_connection
from app.storage.connections.limits import LaneRow, Waiting, waiting_runs
from app.storage.database.db import pages_db
from app.storage.flows.flows import get_flow
from app.web.frame.context import parts, who
from app.web.frame.hx import page, redirect, respond
from app.web.runs.words import counted

blueprint = Blueprint("connection_pace", __name__)

# What a form offers; a window of another length that a connector names is shown as it is.
UNITS = (
    ("1", "a second"),
    ("10", "in 10 seconds"),
    ("60", "a minute"),
    ("3600", "an hour"),
    ("86400", "a day"),
)
_UNITS = {float(value): words for value, words in UNITS}
_LONGER = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_LONGEST_LOOK_S = 2.0
_SPARE = 2  # empty rows to fill in
_STOPS = "0 would let nothing through. To stop it for a while, hold the connection."


@dataclass(frozen=True)
class LimitLine:
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
class LimitsView:
    """`asked`: hosts that ask us to wait now.  `asked_before`: those whose pause is over."""

    at_once: int
    is_own_at_once: bool
    lines: list[LimitLine]
    left_alone: list[LaneRow]
    asked: list[LaneRow]
    asked_before: list[LaneRow]
    waiting: list[Waiting]


@blueprint.record_once
def _register(state: object) -> None:
    app: Flask = state.app  # type: ignore[attr-defined]
    app.jinja_env.globals |= {"pace_of": limits_view, "waiting_lines": waiting_lines}


# ------------------------------------------------------------------------------------- shown


def limits_view(row: ConnectionRow) -> LimitsView:
    limits, usual_at_once = _facts_of(row.connector)
    pace = _pace_of(row.id, usual_at_once)
    used, now = _used(row.id), parts().clock.now()
    kept = kept_limits.lanes_of(pages_db.session, row.id)
    return LimitsView(
        at_once=pace.at_once,
        is_own_at_once=pace.at_once != usual_at_once,
        lines=[_line(limit, pace, used) for limit in (*limits, *pace.own)],
        left_alone=[one for one in kept if one.tried_at is not None],
        asked=[one for one in kept if one.paused_until is not None and one.paused_until > now],
        asked_before=[one for one in kept if one.paused_until is not None and one.paused_until <= now],
        waiting=waiting_runs(pages_db.session, connection_id=row.id),
    )


def waiting_lines(flow_id: str = "") -> list[tuple[Waiting, str, datetime]]:
    """Returns, for the list of runs, who waits for which app, its limit in words, and the expected end."""
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


def _line(limit: Limit, pace: Pace, used: Mapping[str, int]) -> LimitLine:
    (now,) = pace.changed_limits((limit,)) if limit not in pace.own else (limit,)
    about = "your own number" if limit in pace.own else limit.key.replace("_", " ")
    if not limit.default:
        about += ", for some requests"
    usual = limit_words(limit) if now.requests != limit.requests else ""
    return LimitLine(
        limit_words(now), about, usual, min(used.get(name_of(limit), 0), now.requests), now.requests
    )


def _facts_of(connector: str) -> tuple[Sequence[Limit], int]:
    """What the connector says: its limits, and how many calls at once."""
    try:
        found = find_connector(parts().registry, connector)
    except AppError:
        found = None
    return tuple(getattr(found, "limits", ())), getattr(found, "at_once", None) or AT_ONCE


def _pace_of(connection_id: str, usual_at_once: int) -> Pace:
    return read_pace(kept_limits.get_pace(pages_db.session, connection_id), usual_at_once)


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
    kept = kept_limits.get_budget(pages_db.session, connection_id)
    windows = kept.get("windows") if isinstance(kept, dict) else None
    now = parts().clock.now().timestamp()
    return {name: window.used(now) for name, window in read_kept(windows).items()}


# ------------------------------------------------------------------------------------ changed


@blueprint.get("/connections/<connection_id>/limits")
def show(connection_id: str) -> Response:
    row = get_connection(pages_db.session, connection_id)
    limits, usual = _facts_of(row.connector)
    kept = kept_limits.get_pace(pages_db.session, row.id)
    return _page(row, show_limits(read_pace(kept, usual), limits, usual, kept))


@blueprint.post("/connections/<connection_id>/limits")
def save(connection_id: str) -> Response:
    row = get_connection(pages_db.session, connection_id)
    limits, usual = _facts_of(row.connector)
    form = read_limits(request.form, limits, usual)
    if form.problems:
        return _page(row, form, 422)
    asked = set_limits(who(), parts(), row.id, form.pace)
    are = "is" if asked == 1 else "are"
    again = f" {counted(asked, 'run')} that waited {are} lined up anew." if asked else ""
    flash(f"The limits of “{row.name}” are saved and hold from now on.{again}", "success")
    return redirect(f"/connections/{row.id}")


@blueprint.post("/connections/<connection_id>/try-now")
def try_connection(connection_id: str) -> Response:
    row = get_connection(pages_db.session, connection_id)
    asked = try_now(who(), parts(), row.id)
    told = f" {counted(asked, 'run')} that waited {'asks' if asked == 1 else 'ask'} now." if asked else ""
    flash(f"“{row.name}” is tried with the next call.{told}", "success")
    return redirect(f"/connections/{row.id}")


def _page(row: ConnectionRow, form: LimitsForm, status: int = 200) -> Response:
    return page("connections/limits.html", status=status, row=row, form=form)


# ------------------------------------------------------------------------------------ the form


@dataclass
class LimitNumber:
    """One number of the form, as it was typed."""

    name: str
    label: str
    value: str = ""
    usual: str = ""
    problem: str = ""


@dataclass
class WindowRow:
    """A further window: so many calls in so long."""

    at: int
    number: LimitNumber
    per: str = "1"
    units: Sequence[tuple[str, str]] = UNITS


@dataclass
class LimitsForm:
    at_once: LimitNumber
    changed: list[LimitNumber] = field(default_factory=list)
    own: list[WindowRow] = field(default_factory=list)
    pace: Any = None  # what is to be kept

    @property
    def problems(self) -> list[str]:
        numbers = [self.at_once, *self.changed, *(row.number for row in self.own)]
        return [f"{one.label}: {one.problem}" for one in numbers if one.problem]


def show_limits(pace: Pace, limits: Sequence[Limit], usual_at_once: int, kept: Any) -> LimitsForm:
    """Returns the form with the numbers as they are set now."""
    set_at_once = kept.get("at_once") if isinstance(kept, dict) else None
    values = {"at_once": str(set_at_once or "")}
    values |= {f"limit.{key}": str(number) for key, number in pace.changed.items()}
    for at, limit in enumerate(pace.own):
        values |= {f"own.{at}": str(limit.requests), f"per.{at}": f"{limit.per:g}"}
    return _limits_form(values, limits, usual_at_once, len(pace.own))


def read_limits(values: Mapping[str, str], limits: Sequence[Limit], usual_at_once: int) -> LimitsForm:
    """Returns the form as it was filled in; `pace` is what to keep where there is no problem."""
    form = _limits_form(values, limits, usual_at_once, MOST_OWN)
    at_once = _number(form.at_once, MOST_AT_ONCE)
    changed = {one.name.partition(".")[2]: _number(one, MOST_CALLS) for one in form.changed}
    own: list[tuple[int, float]] = []
    for row in form.own:
        number, per = _number(row.number, MOST_CALLS), _per(row.per)
        if number and per is None:
            row.number.problem = "Choose in how long."
        elif number and any(per == other for _, other in own):
            row.number.problem = f"There are two numbers {per_words(per or 0)}. Keep the smaller one."
        elif number and per is not None:
            own.append((number, per))
    form.own = [row for row in form.own if row.number.value or row.at < _SPARE]
    kept = {key: number for key, number in changed.items() if number}
    if not form.problems:
        form.pace = write_pace(at_once, kept, own)
    return form


def _limits_form(
    values: Mapping[str, str], limits: Sequence[Limit], usual_at_once: int, rows: int
) -> LimitsForm:
    def text(name: str) -> str:
        return values.get(name, "").strip()[:30]

    at_once = LimitNumber("at_once", "Calls at once", text("at_once"), str(usual_at_once))
    changed = []
    for one in limits:
        label = f"{one.key.replace('_', ' ').capitalize()} ({limit_words(one)})"
        changed.append(LimitNumber(f"limit.{one.key}", label, text(f"limit.{one.key}"), str(one.requests)))
    own = []
    for at in range(min(MOST_OWN, rows + _SPARE)):
        per = text(f"per.{at}") or "1"
        known = any(value == per for value, _ in UNITS)
        units = UNITS if known or _per(per) is None else (*UNITS, (per, per_words(float(per))))
        own.append(
            WindowRow(at, LimitNumber(f"own.{at}", f"Own limit {at + 1}", text(f"own.{at}")), per, units)
        )
    return LimitsForm(at_once, changed, own)


def _number(one: LimitNumber, most: int) -> int | None:
    """None where nothing, or nothing sensible, was entered; then `problem` says what."""
    digits = one.value.replace(",", "").replace(" ", "").replace("\u202f", "")
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit()):
        one.problem = f"“{one.value}” is not a whole number."
        return None
    if len(digits) > 12 or int(digits) > most:
        one.problem = f"At most {most:,} can be entered."
        return None
    if int(digits) == 0:
        one.problem = _STOPS
        return None
    return int(digits)


def _per(text: str) -> float | None:
    try:
        per = float(text)
    except ValueError:
        return None
    return per if 1 <= per <= LONGEST_PER_S else None


# ----------------------------------------------------------------------------------- in words


def per_words(seconds: float) -> str:
    """Says a length of time: `in 10 seconds`, `a day`."""
    if (known := _UNITS.get(seconds)) is not None:
        return known
    for length, name in _LONGER:
        if seconds >= length and seconds % length == 0:
            return f"in {seconds // length:,.0f} {name}s"
    return f"in {seconds:,g} seconds"


def limit_words(limit: Limit) -> str:
    calls = "1 call" if limit.requests == 1 else f"{limit.requests:,} calls"
    return f"{calls} {per_words(limit.per)}"


def binding(limits: Sequence[Limit], wait_s: float) -> Limit | None:
    """Returns the limit that makes runs wait that long: the slowest of those that can be behind it."""
    if not limits:
        return None
    shortest = min(limit.per for limit in limits)
    possible = [limit for limit in limits if limit.per <= max(wait_s, shortest)]
    return min(possible, key=lambda limit: limit.requests / limit.per)
