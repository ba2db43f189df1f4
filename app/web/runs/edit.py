"""What came in, changed by a person before it is sent again; the original stays as it was."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Blueprint, Response, flash, request
from sqlalchemy import Connection

from app.engine.replay import replay
from app.errors import DeliveryRefused, FlowInvalid, NotFound
from app.intake.deliveries.bodies import read_body
from app.storage.database.db import pages_db
from app.storage.flows.flows import get_flow
from app.storage.history.detail import get_event
from app.storage.history.resends import facts
from app.storage.history.rows import RunRow, get_row
from app.storage.people import audit
from app.web.frame.context import my_id, parts
from app.web.frame.hx import page, redirect
from app.web.runs.words import step_id, step_names

blueprint = Blueprint("run_edit", __name__)

_MOST_EDITED = 1_000_000  # characters: a form is no place for more
_MOST_CHANGES = 30
_LONGEST_VALUE = 80


@dataclass(frozen=True, slots=True)
class Changed:
    """One value that somebody changed: where, what it was, what it is; '' where there was none."""

    path: str
    before: str
    after: str


@blueprint.get("/runs/<run_id>/edit")
def edit(run_id: str) -> Response:
    run = _ended(run_id)
    return _form(run, _pretty(payload_of(run)))


@blueprint.post("/runs/<run_id>/edit")
def resend(run_id: str) -> Response:
    run = _ended(run_id)
    text = request.form.get("data", "")
    try:
        edited = _read(text)
    except DeliveryRefused as refusal:
        return _form(run, text, problem=refusal.sentence.replace("The body is", "This is"), status=422)
    known, by = parts(), my_id()
    before = payload_of(run)
    changed = changes(before, edited)
    new_id = replay(
        known.database,
        known.engine.dispatcher,
        known.clock,
        run.id,
        mode="whole" if request.form.get("mode") == "whole" or not run.position else "failed",
        version="current" if request.form.get("version") == "current" else "same",
        by=by,
        payload=edited if changed else None,
    )
    detail = {"as": new_id, "changed": [one.path for one in changed]}
    _record("edited and resent" if changed else "replayed", run.id, detail)
    flash("Sent again with the edited data." if changed else "Nothing was changed; sent again.", "success")
    return redirect(f"/runs/{new_id}")


def payload_of(run: RunRow) -> bytes:
    """The data that the run works with: as they came, or as somebody edited them."""
    edited = facts(pages_db.session, run.id).payload if run.replay_of else None
    if edited is not None:
        return edited
    event = get_event(pages_db.session, run.event_id)
    if event is None:
        raise NotFound("What came in for this run is no longer in the history.", run=run.id)
    return event.payload


def changes(before: bytes, after: bytes) -> list[Changed]:
    """Value by value, in the order of the document; at most `_MOST_CHANGES`."""
    found: list[Changed] = []
    _compare("", _parsed(before), _parsed(after), found)
    return found


def _compare(path: str, before: Any, after: Any, found: list[Changed]) -> None:
    if len(found) >= _MOST_CHANGES or (before == after and type(before) is type(after)):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            here = f"{path}.{name}" if path else str(name)
            _compare(here, before.get(name, _NOTHING), after.get(name, _NOTHING), found)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True), 1):
            _compare(f"{path}[{number}]", old, new, found)
    else:
        found.append(Changed(path or "everything", _short(before), _short(after)))


_NOTHING = object()


def _short(value: Any) -> str:
    if value is _NOTHING:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _parsed(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return payload.decode("utf-8", "replace")


def _ended(run_id: str) -> RunRow:
    run = get_row(pages_db.session, run_id)
    if run.is_open:
        raise FlowInvalid("This run is still under way.", remedy="Wait for its end, or cancel it first.")
    return run


def _read(text: str) -> bytes:
    if len(text) > _MOST_EDITED:
        raise DeliveryRefused(f"This is longer than {_MOST_EDITED:,} characters.", status=413)
    if not text.strip():
        raise DeliveryRefused("The data are empty. Write {} for an event without data.")
    return read_body(text.encode("utf-8", "replace"), "application/json").raw


def _pretty(payload: bytes) -> str:
    value = _parsed(payload)
    return json.dumps(value, indent=2, ensure_ascii=False)


def _form(run: RunRow, text: str, *, problem: str = "", status: int = 200) -> Response:
    names = step_names(pages_db.session, run.version_id)
    try:
        flow = get_flow(pages_db.session, run.flow_id)
    except NotFound:
        flow = None
    return page(
        "dead_letters/edit.html",
        status=status,
        run=run,
        flow=flow,
        at=names.get(step_id(run.position)) if run.position else None,
        text=text,
        problem=problem,
        is_too_long=len(text) > _MOST_EDITED,
        mode=request.form.get("mode", "failed"),
        version=request.form.get("version", "current"),
    )


def _record(action: str, run_id: str, detail: object) -> None:
    now, by = parts().clock.now(), my_id()

    def work(db: Connection) -> None:
        audit.record(db, now=now, user_id=by, action=action, noun="run", noun_id=run_id, detail=detail)

    parts().database.write(work)
