"""The history: the list of runs with its filters."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from flask import Blueprint, Flask, Response, request

from app.storage.database.db import pages_db
from app.storage.flows.flows import FlowRow, find_flow, flow_choices
from app.storage.history.counts import Hour, Speed, hours, speed, state_counts, waits_for_people
from app.storage.history.rows import RunRow
from app.storage.history.runs import RunsPage, runs_page
from app.storage.upkeep.ledger_runs import is_in, range_of
from app.web.frame.context import parts, zone_name
from app.web.frame.hx import hx, page
from app.web.runs import words as runs_words
from app.web.runs.bodies import header_pairs, one_line, visible
from app.web.runs.filter import STATE_CHOICES, TIME_CHOICES, RunFilter
from app.web.runs.words import Action, StepName

blueprint = Blueprint("runs", __name__)

_PAGE = 50


@dataclass(frozen=True, slots=True)
class RunLine:
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
    query = chosen.query(parts().clock.now(), zone_name())
    if chosen.slot is not None:
        states, only = is_in(pages_db.session, chosen.slot, chosen.became)
        since, until = range_of(chosen.day)
        query |= {"states": states, "needs_person": False, "since": since, "until": until, "only": only}
    found = runs_page(pages_db.session, **query, limit=_PAGE)
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
        flow=find_flow(pages_db.session, chosen.flow),
        flows=flow_choices(pages_db.session),
        state_choices=STATE_CHOICES,
        time_choices=TIME_CHOICES,
    )
    if hx().partial and "seen" not in request.args:
        answer.headers["HX-Push-Url"] = chosen.address()
    return answer


@blueprint.get("/flows/<flow_id>/runs")
def of_flow(flow_id: str) -> Response:
    answer = Response(status=303)
    answer.location = RunFilter(flow=flow_id).address()
    return answer


def _line(run: RunRow) -> RunLine:
    at = None
    if run.state != "succeeded" and run.position:
        names = runs_words.step_names(pages_db.session, run.version_id)
        at = names.get(runs_words.step_id(run.position))
    return RunLine(run, runs_words.row_sentence(run), at, runs_words.main_action(run, at))


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
