"""The history: the list of runs with its filters, and one run with everything it did."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request, stream_with_context
from jinja2_fragments.flask import render_block
from werkzeug.datastructures import MultiDict

from app.errors import NotFound
from app.storage.database.db import pages_db
from app.storage.flows.flows import FlowRow, flow_choices, get_flow
from app.storage.history.counts import Hour, Speed, hours, speed, state_counts, waits_for_people
from app.storage.history.detail import get_event
from app.storage.history.resends import facts
from app.storage.history.rows import RunRow, get_row
from app.storage.history.runs import RunsPage, runs_page
from app.storage.upkeep.ledger_runs import is_in, range_of
from app.web.frame.context import parts, zone_name
from app.web.frame.hx import hx, page
from app.web.reader import pause_while_there
from app.web.runs import words as runs_words
from app.web.runs.bodies import header_pairs, one_line, visible
from app.web.runs.calls import attachment, body_download, call_page
from app.web.runs.filter import STATE_CHOICES, TIME_CHOICES, RunFilter
from app.web.runs.stream import Change, follow, has_room, stream
from app.web.runs.view import RunView, fingerprint, read_view
from app.web.runs.words import Action, StepName

blueprint = Blueprint("runs", __name__)

_PAGE = 50


@dataclass(frozen=True, slots=True)
class Line:
    """A run in the list."""

    run: RunRow
    sentence: str
    at: StepName | None
    action: Action | None


@dataclass(frozen=True, slots=True)
class Today:
    """The last 24 hours in numbers."""

    ended: int
    succeeded: int
    stopped: int
    open: int
    needs: int
    speed: Speed | None
    hours: list[Hour]

    @property
    def success_rate(self) -> str:
        return f"{100 * self.succeeded / self.ended:.1f}%" if self.ended else "–"


@blueprint.record_once
def _register(state: object) -> None:
    app: Flask = state.app  # type: ignore[attr-defined]
    app.add_template_filter(visible)
    app.add_template_filter(one_line)
    app.add_template_filter(runs_words.took)
    app.add_template_filter(runs_words.milliseconds)
    app.add_template_filter(header_pairs)
    app.jinja_env.globals |= {
        "counted": runs_words.counted,
        "status_words": runs_words.status_words,
        "inbox_of": _inbox_of,
        "run_name": runs_words.name,
    }


def _inbox_of(flow: FlowRow) -> str:
    """Where what comes in is listed: its deliveries, or the looks of its poll."""
    trigger = flow.draft.trigger
    kind: str = trigger.kind
    if trigger.kind == "connector":
        found = parts().registry.find_trigger(trigger.connector, trigger.trigger)
        kind = found.kind if found else "webhook"
    return {"webhook": "Deliveries", "poll": "Polls", "schedule": "Polls"}.get(kind, "")


# ----------------------------------------------------------------------------------- the list


@blueprint.get("/runs")
def index() -> Response:
    """Asked again every few seconds by an open page; `seen` spares it what it already shows."""
    chosen = RunFilter.of(request.args)
    now = parts().clock.now()
    found = runs_page(pages_db.session, **_query(chosen, now), limit=_PAGE)
    today = _today(chosen.flow or None)
    seen = _fingerprint(found, today)
    if hx().partial and request.args.get("seen") == seen:
        return Response(status=204)
    answer = page(
        "runs/index.html",
        block="live",
        chosen=chosen,
        lines=[_line(run) for run in found.rows],
        found=found,
        today=today,
        seen=seen,
        flow=_flow(chosen.flow),
        flows=flow_choices(pages_db.session),
        state_choices=STATE_CHOICES,
        time_choices=TIME_CHOICES,
    )
    if hx().partial and "seen" not in request.args:
        answer.headers["HX-Push-Url"] = chosen.address()
    return answer


def _query(chosen: RunFilter, now: datetime) -> dict[str, Any]:
    query = chosen.query(now, zone_name())
    if chosen.slot is None:
        return query
    states, only = is_in(pages_db.session, chosen.slot, chosen.became)
    since, until = range_of(chosen.day)
    return query | {"states": states, "needs_person": False, "since": since, "until": until, "only": only}


@blueprint.get("/flows/<flow_id>/runs")
def of_flow(flow_id: str) -> Response:
    answer = Response(status=303)
    answer.location = RunFilter(flow=flow_id).address()
    return answer


def _flow(flow_id: str) -> FlowRow | None:
    """None also for a deleted flow: its runs are still in the history."""
    try:
        return get_flow(pages_db.session, flow_id) if flow_id else None
    except NotFound:
        return None


def _line(run: RunRow) -> Line:
    at = None
    if run.state != "succeeded" and run.position:
        names = runs_words.step_names(pages_db.session, run.version_id)
        at = names.get(runs_words.step_id(run.position))
    return Line(run, runs_words.row_sentence(run), at, runs_words.main_action(run, at))


def _today(flow_id: str | None) -> Today:
    now = parts().clock.now()
    counts = state_counts(pages_db.session, since=now - timedelta(hours=24), flow_id=flow_id)
    stopped = counts.get("failed", 0) + counts.get("dead", 0)
    succeeded = counts.get("succeeded", 0) + counts.get("filtered", 0)
    return Today(
        ended=succeeded + stopped,
        succeeded=succeeded,
        stopped=stopped,
        open=sum(counts.get(state, 0) for state in ("queued", "running", "waiting")),
        needs=waits_for_people(pages_db.session, flow_id=flow_id),
        speed=speed(pages_db.session, flow_id=flow_id),
        hours=hours(pages_db.session, until=now, flow_id=flow_id),
    )


def _fingerprint(found: RunsPage, today: Today) -> str:
    shown = [
        (run.id, run.state, run.reason, run.sentence, run.calls, run.replayed_as, run.settled_at)
        for run in found.rows
    ]
    return hashlib.blake2b(repr((shown, today, found.next_before)).encode(), digest_size=8).hexdigest()


# ------------------------------------------------------------------------------------- one run


@blueprint.get("/runs/<run_id>")
def show_run(run_id: str) -> Response:
    view = read_view(run_id, request.args)
    if hx().partial and request.args.get("seen") == view.seen:
        return Response(status=204)
    return page("runs/show.html", block="live", **_context(view))


def _context(view: RunView) -> dict[str, Any]:
    run = view.detail.run
    return {
        "view": view,
        "run": run,
        "detail": view.detail,
        "flow": _flow(run.flow_id),
        "source_words": runs_words.SOURCES.get(run.source, ""),
        "step_address": runs_words.step_address(run),
        "may_stream": has_room(current_app),
    }


@blueprint.get("/runs/<run_id>/events")
def live(run_id: str) -> Response:
    """The page's changing part again and again while the run is under way."""
    get_row(pages_db.session, run_id)
    args = request.args
    last_seen = request.headers.get("Last-Event-ID", "")

    def changed() -> Change:
        pages_db.session.rollback()
        seen = fingerprint(pages_db.session, run_id)
        is_open = get_row(pages_db.session, run_id).is_open
        return Change(seen, is_open, lambda: _live_part(run_id, args))

    following = follow(changed, parts().clock, last_seen, pause=pause_while_there(request.environ))
    answer = stream(current_app, lambda: stream_with_context(following))
    return answer or Response(status=204)


def _live_part(run_id: str, args: MultiDict[str, str]) -> str:
    part = render_block("runs/show.html", "live", **_context(read_view(run_id, args)))
    pages_db.session.rollback()
    return f'<hx-partial hx-target="#run-live" hx-swap="innerMorph">{part}</hx-partial>'


@blueprint.get("/runs/<run_id>/calls/<int(max=1000000):number>")
def show_call(run_id: str, number: int) -> Response:
    run = get_row(pages_db.session, run_id)
    names = runs_words.step_names(pages_db.session, run.version_id)
    return call_page(run.id, number, back=f"/runs/{run.id}", title=runs_words.name(run), names=names)


@blueprint.get("/runs/<run_id>/calls/<int(max=1000000):number>/<any(request, answer):side>")
def download_body(run_id: str, number: int, side: str) -> Response:
    return body_download(get_row(pages_db.session, run_id).id, number, side)


@blueprint.get("/runs/<run_id>/event.json")
def download_event(run_id: str) -> Response:
    run = get_row(pages_db.session, run_id)
    edited = (
        facts(pages_db.session, run.id).payload if run.replay_of and "original" not in request.args else None
    )
    if edited is not None:
        return attachment(edited, f"{run.event_id}-edited.json", "application/json")
    event = get_event(pages_db.session, run.event_id)
    if event is None:
        raise NotFound("The event of this run is no longer in the history.", run=run_id)
    return attachment(event.payload, f"{event.id}.json", "application/json")
