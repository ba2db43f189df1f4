"""The page of one run: everything it did, live while it is under way, and its data edited and sent again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, flash, request, stream_with_context
from jinja2_fragments.flask import render_block
from sqlalchemy import func, select
from werkzeug.datastructures import MultiDict

from app.commands.runs import MOST_EDITED, edit_and_replay, get_ended
from app.errors import DeliveryRefused, NotFound
from app.flows.model import ActionStep, ConnectorTrigger, Step, Trigger
from app.flows.order import label
from app.storage.connections.connections import ConnectionRow, get_connection
from app.storage.database.db import pages_db
from app.storage.database.executor import Executor
from app.storage.flows.flows import find_flow
from app.storage.history import turns
from app.storage.history.detail import (
    CallRow,
    RunDetail,
    StepRow,
    call_count,
    calls_for,
    get_event,
    get_head,
    step_marks,
    steps_of,
)
from app.storage.history.resends import Changed, ResendRow, changes, facts, get_resend, parsed, payload_of
from app.storage.history.rows import RunRow, get_row, same_cause
from app.storage.letters.dead_letters import DiscardRow, get_discard
from app.storage.tables.models import Call, Run, StepRecord
from app.web.frame.context import parts, who
from app.web.frame.hx import hx, page, redirect
from app.web.reader import pause_while_there
from app.web.runs import words as runs_words
from app.web.runs.bodies import Node, ShownBody, show, show_document, tree
from app.web.runs.calls import CallView, attachment, body_download, call_page, call_view
from app.web.runs.stream import Change, follow, has_room, stream
from app.web.runs.timeline import Opened, StepCard, Timeline, every
from app.web.runs.words import Action, StepName

blueprint = Blueprint("run", __name__)

_CALLS_IN_FULL = 40
_FINDING = ("field", "sentence", "reference", "remedy")


@dataclass(frozen=True, slots=True)
class Given:
    """A field of a step with the value the mapping gave."""

    label: str
    value: ShownBody
    is_plain: bool


@dataclass(slots=True)
class CardView:
    card: StepCard
    app: str
    brand: str
    given: list[Given]
    calls: list[CallView]
    output: ShownBody | None
    findings: list[dict[str, str]]
    is_taken_over: bool

    @property
    def is_trouble(self) -> bool:
        return self.card.state in ("failed", "unknown", "retry")


@dataclass(slots=True)
class RunView:
    """`seen` changes with everything on the page that can change."""

    detail: RunDetail
    seen: str
    cards: dict[str, CardView]
    timeline: list[StepCard]
    query: str
    action: Action | None
    at: StepName | None
    failed: CardView | None
    connection: ConnectionRow | None
    alike: list[str]
    payload: Node | None
    resend: ResendRow | None
    edited: list[Changed]
    discard: DiscardRow | None
    called: str
    calls: int
    behind: int  # runs of the same key that wait until this one has ended
    trigger_title: str
    trigger_brand: str
    sentence: str

    def address(self, **changes: str) -> str:
        """This page with another round of a loop open."""
        query = urlencode({name: value for name, value in changes.items() if value})
        return f"/runs/{self.detail.run.id}?{query}" if query else f"/runs/{self.detail.run.id}"


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
        "flow": find_flow(pages_db.session, run.flow_id),
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


# ------------------------------------------------------------------------------- what it shows


def read_view(run_id: str, args: MultiDict[str, str]) -> RunView:
    detail = get_head(pages_db.session, run_id)
    run = detail.run
    seen = fingerprint(pages_db.session, run_id)
    item = args.get("item", "")[:200]
    timeline = _timeline(detail, Opened(item, _firsts(args)))
    cards = _card_views(timeline, run)
    names = runs_words.step_names(pages_db.session, run.version_id)
    at = names.get(runs_words.step_id(run.position)) if run.position else None
    calls = [view.call for card in cards.values() for view in card.calls]
    is_stopped = run.state in ("failed", "dead")
    resend = get_resend(pages_db.session, run_id) if run.replay_of else None
    came = detail.event.payload if detail.event else None
    data = resend.payload if resend and resend.payload is not None else came
    trigger = detail.definition.trigger if detail.definition else None
    return RunView(
        detail=detail,
        seen=seen,
        cards=cards,
        timeline=timeline,
        query=urlencode([(name, value) for name, value in args.items() if name in ("item", "from")]),
        action=runs_words.main_action(run, at),
        at=at,
        failed=cards.get(run.position or "") if is_stopped or run.reason in ("unknown", "retry") else None,
        connection=_connection(run),
        alike=same_cause(pages_db.session, run) if is_stopped and run.settled_at is None else [],
        payload=tree(data) if data is not None else None,
        resend=resend,
        edited=changes(came, data) if came is not None and data is not None and data is not came else [],
        discard=get_discard(pages_db.session, run_id) if run.settled_at else None,
        called=runs_words.called(calls),
        calls=call_count(pages_db.session, run_id),
        behind=turns.behind(pages_db.session, run_id) if run.is_open else 0,
        trigger_title=label(trigger) if trigger else "Trigger",
        trigger_brand=_brand(trigger) if trigger else run.source,
        sentence=runs_words.sentence(run),
    )


def fingerprint(db: Executor, run_id: str) -> str:
    """Returns what changes with anything the page shows; cheap, for it is asked for several times a second
    while a run is under way."""
    steps = select(func.count()).where(StepRecord.run_id == run_id)
    calls = select(func.count()).where(Call.made_for == run_id)
    again = select(func.max(Run.id).label("id")).where(Run.replay_of == run_id).correlate(None)

    def last(column: Any) -> Any:
        return select(func.max(column)).where(StepRecord.run_id == run_id).scalar_subquery()

    row = db.execute(
        select(Run.state, Run.reason, Run.wake_at, Run.position, Run.calls, Run.settled_at, Run.sentence)
        .add_columns(steps.scalar_subquery(), calls.scalar_subquery(), again.scalar_subquery())
        .add_columns(last(StepRecord.finished_at), last(StepRecord.started_at), last(StepRecord.attempt))
        .where(Run.id == run_id)
    ).one_or_none()
    return hashlib.blake2b(repr(row).encode(), digest_size=8).hexdigest()


def _firsts(args: MultiDict[str, str]) -> dict[str, int]:
    """`from=s5:20`: the loop s5 shows its rounds from the 21st on."""
    firsts = {}
    for value in args.getlist("from")[:10]:
        key, _, number = value.rpartition(":")
        if number.isdecimal() and len(number) < 8:
            firsts[key] = int(number)
    return firsts


def _timeline(detail: RunDetail, opened: Opened) -> list[StepCard]:
    if detail.definition is None:
        return []
    run_id = detail.run.id

    def load(keys: Sequence[str]) -> tuple[dict[str, StepRow], dict[str, list[CallRow]]]:
        calls: dict[str, list[CallRow]] = {}
        for call in calls_for(pages_db.session, run_id, keys):
            calls.setdefault(call.step_key, []).append(call)
        return {row.step_key: row for row in steps_of(pages_db.session, run_id, keys)}, calls

    return Timeline(detail.definition, step_marks(pages_db.session, run_id), opened, load).cards


# -------------------------------------------------------------------------------- one card each


def _card_views(cards: list[StepCard], run: RunRow) -> dict[str, CardView]:
    """By the key of the step; the first calls of the run with their bodies."""
    views: dict[str, CardView] = {}
    room = _CALLS_IN_FULL
    for card in every(cards):
        is_trouble = card.state in ("failed", "unknown", "retry")
        done_at = card.mark.finished_at if card.mark else None
        views[card.key] = CardView(
            card=card,
            app=_app_name(card.step),
            brand=_brand(card.step),
            given=_given(card),
            calls=[
                call_view(call, is_full=number < room, is_open=is_trouble and number == len(card.calls) - 1)
                for number, call in enumerate(card.calls)
            ],
            output=_output(card),
            findings=_findings(card.row),
            is_taken_over=bool(run.replay_of and done_at and done_at < run.created_at),
        )
        room -= len(card.calls)
    return views


def _findings(row: StepRow | None) -> list[dict[str, str]]:
    found = row.findings if row and isinstance(row.findings, list) else []
    return [{name: str(one.get(name) or "") for name in _FINDING} for one in found if isinstance(one, dict)]


def _app_name(step: Step) -> str:
    """The app's name; '' for Plumbline's own kinds of steps."""
    if not isinstance(step, ActionStep):
        return ""
    connector = parts().registry.find(step.connector)
    return connector.name if connector else step.connector


def _brand(part: Trigger | Step) -> str:
    """The key of its picture."""
    return part.connector if isinstance(part, ActionStep | ConnectorTrigger) else part.kind


def _given(card: StepCard) -> list[Given]:
    mapped = card.row.input if card.row else None
    if mapped is None:
        return []
    rows = mapped.items() if isinstance(mapped, dict) else [("Body", mapped)]
    labels: dict[str, str] = {}
    if isinstance(card.step, ActionStep):
        action = parts().registry.find_action(card.step.connector, card.step.action)
        labels = {one.key: one.label for one in action.input} if action else {}
    return [_given_one(labels.get(str(name), str(name)), value) for name, value in list(rows)[:200]]


def _given_one(name: str, value: Any) -> Given:
    if isinstance(value, dict | list):
        return Given(name, show_document(value, most=4_000), False)
    if isinstance(value, str):
        return Given(name, show(value.encode("utf-8", "replace"), "text/plain", most=4_000), True)
    return Given(name, show_document(value), True)


def _field_labels(card: StepCard) -> dict[str, str]:
    if not isinstance(card.step, ActionStep):
        return {}
    action = parts().registry.find_action(card.step.connector, card.step.action)
    return {one.key: one.label for one in action.input} if action else {}


def _output(card: StepCard) -> ShownBody | None:
    """What later steps see; a loop's is the sum of its rounds and is not repeated here."""
    if card.row is None or card.row.output is None or card.step.kind in ("filter", "paths", "for_each"):
        return None
    return show_document(card.row.output)


def _connection(run: RunRow) -> ConnectionRow | None:
    """The one that the run waits for, while it is there."""
    if run.waits_for is None or run.reason != "held_connection":
        return None
    try:
        return get_connection(pages_db.session, run.waits_for)
    except NotFound:
        return None


# ----------------------------------------------------------------------- edited and sent again


@blueprint.get("/runs/<run_id>/edit")
def edit(run_id: str) -> Response:
    run = get_ended(pages_db.session, run_id)
    data = parsed(payload_of(pages_db.session, run))
    return _form(run, json.dumps(data, indent=2, ensure_ascii=False))


@blueprint.post("/runs/<run_id>/edit")
def resend(run_id: str) -> Response:
    run = get_ended(pages_db.session, run_id)
    text = request.form.get("data", "")
    try:
        made = edit_and_replay(
            who(),
            parts(),
            run.id,
            text,
            mode="whole" if request.form.get("mode") == "whole" else "failed",
            version="current" if request.form.get("version") == "current" else "same",
        )
    except DeliveryRefused as refusal:
        return _form(run, text, problem=refusal.sentence.replace("The body is", "This is"), status=422)
    flash(
        "Sent again with the edited data." if made.changed else "Nothing was changed; sent again.", "success"
    )
    return redirect(f"/runs/{made.run_id}")


def _form(run: RunRow, text: str, *, problem: str = "", status: int = 200) -> Response:
    names = runs_words.step_names(pages_db.session, run.version_id)
    return page(
        "dead_letters/edit.html",
        status=status,
        run=run,
        flow=find_flow(pages_db.session, run.flow_id),
        at=names.get(runs_words.step_id(run.position)) if run.position else None,
        text=text,
        problem=problem,
        is_too_long=len(text) > MOST_EDITED,
        mode=request.form.get("mode", "failed"),
        version=request.form.get("version", "current"),
    )
