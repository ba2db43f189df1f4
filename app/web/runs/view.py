"""What the page of one run shows, read and put into words; the live stream shows the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import func, select
from werkzeug.datastructures import MultiDict

from app.errors import NotFound
from app.flows.model import ActionStep
from app.flows.order import label
from app.storage.connections.connections import ConnectionRow, get_connection
from app.storage.database.db import pages_db
from app.storage.database.executor import Executor
from app.storage.history import turns
from app.storage.history.detail import CallRow, RunDetail, StepRow, calls_for, get_head, step_marks, steps_of
from app.storage.history.resends import ResendRow, get_resend
from app.storage.history.rows import RunRow, same_cause
from app.storage.letters.discards import DiscardRow, get_discard
from app.storage.tables.models import Call, Run, StepRecord
from app.web.frame.context import parts
from app.web.runs import words as runs_words
from app.web.runs.bodies import Node, ShownBody, show, show_document, tree
from app.web.runs.calls import CallView, call_view
from app.web.runs.edit import Changed, changes
from app.web.runs.timeline import Card, Timeline, View, every
from app.web.runs.words import Action, StepName

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
    card: Card
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
    timeline: list[Card]
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


def read_view(run_id: str, args: MultiDict[str, str]) -> RunView:
    detail = get_head(pages_db.session, run_id)
    run = detail.run
    seen = fingerprint(pages_db.session, run_id)
    item = args.get("item", "")[:200]
    timeline = _timeline(detail, View(item, _firsts(args)))
    cards = _card_views(timeline, run)
    names = runs_words.step_names(pages_db.session, run.version_id)
    at = names.get(runs_words.step_id(run.position)) if run.position else None
    calls = [view.call for card in cards.values() for view in card.calls]
    is_stopped = run.state in ("failed", "dead")
    resend = get_resend(pages_db.session, run_id) if run.replay_of else None
    came = detail.event.payload if detail.event else None
    data = resend.payload if resend and resend.payload is not None else came
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
        calls=_count_calls(pages_db.session, run_id),
        behind=turns.behind(pages_db.session, run_id) if run.is_open else 0,
        trigger_title=label(detail.definition.trigger) if detail.definition else "Trigger",
        trigger_brand=_trigger_brand(detail),
        sentence=runs_words.sentence(run),
    )


def fingerprint(db: Executor, run_id: str) -> str:
    """Cheap to work out: asked several times a second while a run is under way."""
    row = db.execute(
        select(Run.state, Run.reason, Run.wake_at, Run.position, Run.calls, Run.settled_at, Run.sentence)
        .add_columns(_number(StepRecord.run_id, run_id), _number(Call.made_for, run_id))
        .add_columns(_last(StepRecord.finished_at, run_id), _last(StepRecord.started_at, run_id))
        .add_columns(_last(StepRecord.attempt, run_id), _last_replay(run_id))
        .where(Run.id == run_id)
    ).one_or_none()
    return hashlib.blake2b(repr(row).encode(), digest_size=8).hexdigest()


def _number(column: Any, run_id: str) -> Any:
    return select(func.count()).where(column == run_id).scalar_subquery()


def _last(column: Any, run_id: str) -> Any:
    return select(func.max(column)).where(StepRecord.run_id == run_id).scalar_subquery()


def _last_replay(run_id: str) -> Any:
    again = select(func.max(Run.id).label("id")).where(Run.replay_of == run_id)
    return again.correlate(None).scalar_subquery()


def _count_calls(db: Executor, run_id: str) -> int:
    return db.execute(select(func.count()).where(Call.made_for == run_id)).scalar_one()


def _firsts(args: MultiDict[str, str]) -> dict[str, int]:
    """`from=s5:20`: the loop s5 shows its rounds from the 21st on."""
    firsts = {}
    for value in args.getlist("from")[:10]:
        key, _, number = value.rpartition(":")
        if number.isdecimal() and len(number) < 8:
            firsts[key] = int(number)
    return firsts


def _timeline(detail: RunDetail, opened: View) -> list[Card]:
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


def _card_views(cards: list[Card], run: RunRow) -> dict[str, CardView]:
    views: dict[str, CardView] = {}
    room = _CALLS_IN_FULL
    for card in every(cards):
        views[card.key] = _card_view(card, run, room)
        room -= len(card.calls)
    return views


def _card_view(card: Card, run: RunRow, room: int) -> CardView:
    row = card.row
    name, brand = _app(card)
    is_trouble = card.state in ("failed", "unknown", "retry")
    calls = [
        call_view(call, is_full=number < room, is_open=is_trouble and number == len(card.calls) - 1)
        for number, call in enumerate(card.calls)
    ]
    return CardView(
        card=card,
        app=name,
        brand=brand,
        given=_given(card) if row else [],
        calls=calls,
        output=_output(card),
        findings=_findings(row),
        is_taken_over=bool(
            run.replay_of and card.mark and card.mark.finished_at and card.mark.finished_at < run.created_at
        ),
    )


def _findings(row: StepRow | None) -> list[dict[str, str]]:
    found = row.findings if row and isinstance(row.findings, list) else []
    return [{name: str(one.get(name) or "") for name in _FINDING} for one in found if isinstance(one, dict)]


def _app(card: Card) -> tuple[str, str]:
    """The service's name and the key of its picture."""
    if isinstance(card.step, ActionStep):
        connector = parts().registry.find(card.step.connector)
        return (connector.name if connector else card.step.connector), card.step.connector
    return "", card.step.kind


def _given(card: Card) -> list[Given]:
    mapped = card.row.input if card.row else None
    if mapped is None:
        return []
    rows = mapped.items() if isinstance(mapped, dict) else [("Body", mapped)]
    labels = _field_labels(card)
    return [_given_one(labels.get(str(name), str(name)), value) for name, value in list(rows)[:200]]


def _given_one(name: str, value: Any) -> Given:
    if isinstance(value, dict | list):
        return Given(name, show_document(value, most=4_000), False)
    if isinstance(value, str):
        return Given(name, show(value.encode("utf-8", "replace"), "text/plain", most=4_000), True)
    return Given(name, show_document(value), True)


def _field_labels(card: Card) -> dict[str, str]:
    if not isinstance(card.step, ActionStep):
        return {}
    action = parts().registry.find_action(card.step.connector, card.step.action)
    return {one.key: one.label for one in action.input} if action else {}


def _output(card: Card) -> ShownBody | None:
    """What later steps see; a loop's is the sum of its rounds and is not repeated here."""
    if card.row is None or card.row.output is None or card.step.kind in ("filter", "paths", "for_each"):
        return None
    return show_document(card.row.output)


def _connection(run: RunRow) -> ConnectionRow | None:
    if run.waits_for is None or run.reason != "held_connection":
        return None
    try:
        return get_connection(pages_db.session, run.waits_for)
    except NotFound:
        return None


def _trigger_brand(detail: RunDetail) -> str:
    if detail.definition is None:
        return detail.run.source
    trigger = detail.definition.trigger
    return trigger.connector if trigger.kind == "connector" else trigger.kind
