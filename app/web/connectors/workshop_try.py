"""Trying an operation of a connector with real credentials: what was sent, what came back."""

from __future__ import annotations

import json
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, request

from app.calls.http.client import CallOutcome
from app.calls.message.call import CallRequest
from app.catalog.fields import check_input, ready_input
from app.catalog.format.definition import Action, Connector, Operation, PollTrigger
from app.catalog.render import plan
from app.engine.steps.action import request_of
from app.errors import AppError, NotFound, Unavailable
from app.intake.polls.connector import poll_records
from app.storage.connections import connections as store
from app.storage.database.db import pages_db
from app.web.builder.trying import readable
from app.web.connectors.workshop import for_admins
from app.web.frame.context import parts
from app.web.frame.hx import page

blueprint = Blueprint("workshop_try", __name__)
blueprint.before_request(for_admins)

_LONGEST_S = 60
_LONGEST_SAMPLE = 80_000
_TRIED = timedelta(days=7)  # how far back a poll's trial looks


@dataclass
class Trial:
    """`sample`: the answer as JSON, offered as the operation's fields."""

    ok: bool
    sentence: str
    remedy: str = ""
    method: str = ""
    url: str = ""
    sent: str = ""
    status: int | None = None
    answer: str = ""
    sample: str = ""
    values: dict[str, str] = field(default_factory=dict)


@blueprint.get("/connectors/<key>/<any(actions, triggers):part>/<operation>/try")
def show(key: str, part: str, operation: str) -> Response:
    return _page(*_find(key, part, operation), part, None)


@blueprint.post("/connectors/<key>/<any(actions, triggers):part>/<operation>/try")
def send(key: str, part: str, operation: str) -> Response:
    connector, found = _find(key, part, operation)
    values = {one.key: request.form.get(f"input.{one.key}", "") for one in found.input}
    try:
        trial = _try(connector, found, request.form.get("connection", ""), values)
    except AppError as reason:
        trial = Trial(False, reason.sentence, reason.remedy)
    trial.values = values
    return _page(connector, found, part, trial)


def _find(key: str, part: str, operation: str) -> tuple[Connector, Action | PollTrigger]:
    connector = parts().registry.get(key)
    found = (connector.actions if part == "actions" else connector.triggers).get(operation)
    if not isinstance(found, Action | PollTrigger):
        raise NotFound("There is nothing to try under this address.")
    return connector, found


def _page(connector: Connector, found: Operation, part: str, trial: Trial | None) -> Response:
    return page(
        "connectors/workshop/try.html",
        status=200,
        connector=connector,
        operation=found,
        part=part,
        trial=trial,
        connections=store.list_connections(pages_db.session, connector=connector.key),
        chosen=request.form.get("connection", ""),
    )


def _try(
    connector: Connector, found: Action | PollTrigger, connection_id: str, values: dict[str, str]
) -> Trial:
    given = {key: value for key, value in values.items() if value.strip()}
    if problems := check_input(found, given):
        return Trial(False, " ".join(problem.sentence for problem in problems) + " Nothing was sent.")
    facts = parts().connections.get(connection_id) if connection_id else None
    ready = ready_input(found, given)
    scope: dict[str, Any] = {
        "input": ready,
        "fields": ready,
        "connection": facts.as_scope() if facts is not None else {},
    }
    if isinstance(found, PollTrigger) and found.cursor is not None:
        scope["cursor"] = _cursor(found)
    described = found.requests[0] if isinstance(found, Action) else found.request
    planned = plan(connector, described, scope=scope)
    call = request_of(planned, facts)
    success = found.success or connector.success
    sending = parts().caller.send(call, rules=planned.errors, success=success)
    if not parts().engine.is_started:
        sending.close()
        raise Unavailable("The engine is not running, so nothing can be sent.")
    try:
        outcome = parts().engine.spawn(sending).result(_LONGEST_S)
    except TooLate:
        return Trial(False, f"{connector.name} did not answer within {_LONGEST_S} seconds.")
    return _trial(connector, found, call, outcome)


def _cursor(found: PollTrigger) -> Any:
    """A week back, so that a trial finds something."""
    if found.cursor is None or found.cursor.type == "number":
        return 0
    back = parts().clock.now() - _TRIED
    return back.isoformat(timespec="seconds").replace("+00:00", "Z")


def _trial(connector: Connector, found: Operation, call: CallRequest, outcome: CallOutcome) -> Trial:
    row, failure = outcome.row, outcome.failure
    sentence = failure.sentence if failure is not None else f"{connector.name} took it."
    remedy = failure.remedy if failure is not None else ""
    trial = Trial(failure is None, sentence, remedy, call.method, str(row.get("url") or call.url))
    trial.sent = readable(call.body)
    if outcome.answer is None:
        return trial
    trial.status, trial.answer = outcome.answer.status, readable(outcome.answer.body)
    if failure is None:
        try:
            _read(found, outcome, trial)
        except AppError as reason:
            trial.ok, trial.sentence, trial.remedy = False, reason.sentence, reason.remedy
    return trial


def _read(found: Operation, outcome: CallOutcome, trial: Trial) -> None:
    """What the operation makes of the answer."""
    assert outcome.answer is not None
    document = outcome.answer.document()
    if isinstance(found, PollTrigger):
        records = poll_records(found, document)
        trial.sentence = f"{len(records)} {'record' if len(records) == 1 else 'records'} found."
        document = records[0] if records else None
    sample = json.dumps(document, ensure_ascii=False) if document is not None else ""
    if len(sample) <= _LONGEST_SAMPLE:
        trial.sample = sample
