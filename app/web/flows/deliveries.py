"""Inbound requests of a flow: accepted, repeated or refused, and why; so that a wrong secret is seen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from flask import Blueprint, Response, request

from app.errors import NotFound
from app.storage.database.db import pages_db
from app.storage.flows.flows import get_flow
from app.storage.history.deliveries import (
    OUTCOMES,
    DeliveryRow,
    deliveries_page,
    events_of,
    find_delivery,
    outcome_counts,
    repeats_of,
)
from app.storage.history.detail import get_event
from app.storage.history.rows import RunRow, runs_of_event, with_facts
from app.watch.ledger import of_flow as of_flow_ledger
from app.web.frame.context import parts
from app.web.frame.hx import page
from app.web.runs.bodies import ALL_CHARS, show
from app.web.runs.filter import known_day

blueprint = Blueprint("deliveries", __name__)

_PAGE = 50
_WEEK = 7
_CHOICES = (
    ("", "All"),
    ("accepted", "Accepted"),
    ("repeated", "Came again"),
    ("refused", "Refused"),
)


@dataclass(frozen=True, slots=True)
class EventLine:
    id: str
    label: str
    runs: list[RunRow]


@blueprint.get("/flows/<flow_id>/deliveries")
def of_flow(flow_id: str) -> Response:
    flow = get_flow(pages_db.session, flow_id)
    outcome = request.args.get("outcome", "")
    day = known_day(request.args.get("day", ""))
    before = request.args.get("before", "")[:64]
    since = parts().clock.now() - timedelta(hours=24)
    return page(
        "flows/deliveries/index.html",
        flow=flow,
        outcome=outcome if outcome in (*OUTCOMES, "repeated") else "",
        day=day,
        choices=_CHOICES,
        found=deliveries_page(
            pages_db.session, flow_id, outcome=outcome, day=day, before=before, limit=_PAGE
        ),
        counts=outcome_counts(pages_db.session, flow_id, since=since),
        week=of_flow_ledger(parts().database, parts().clock.now(), flow_id, days=_WEEK) if not before else [],
        before=before,
        repeats_of=repeats_of,
    )


@blueprint.get("/deliveries/<delivery_id>")
def show_delivery(delivery_id: str) -> Response:
    delivery = find_delivery(pages_db.session, delivery_id)
    events = [
        EventLine(
            event_id, label, with_facts(pages_db.session, runs_of_event(pages_db.session, event_id, limit=20))
        )
        for event_id, label in events_of(pages_db.session, delivery)
    ]
    body = _body(delivery, events)
    first = [
        run for event_id in repeats_of(delivery) for run in runs_of_event(pages_db.session, event_id, limit=1)
    ]
    return page(
        "flows/deliveries/show.html",
        delivery=delivery,
        flow=_flow(delivery.flow_id),
        events=events,
        first=with_facts(pages_db.session, first),
        body=show(body, delivery.content_type, size=delivery.body_size, most=ALL_CHARS),
        is_from_event=delivery.body is None and body is not None,
    )


def _body(delivery: DeliveryRow, events: list[EventLine]) -> bytes | None:
    """The body as it came; where one event holds it, that."""
    if delivery.body is not None or len(events) != 1:
        return delivery.body
    event = get_event(pages_db.session, events[0].id)
    return event.payload if event else None


def _flow(flow_id: str | None) -> object:
    try:
        return get_flow(pages_db.session, flow_id) if flow_id else None
    except NotFound:
        return None
