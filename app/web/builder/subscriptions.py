"""What the service of a flow's trigger was told: since when, until when, why not, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Response, flash, render_template

from app.commands.flows import subscribe_again, subscribed_by_hand
from app.commands.who import Who
from app.errors import FlowInvalid, NotFound
from app.flows.model import FlowDefinition
from app.intake.subscriptions import rows as subscriptions
from app.parts import Parts
from app.storage.database.db import pages_db
from app.storage.flows import subscriptions as store
from app.storage.flows.flows import FlowRow, get_flow
from app.storage.flows.subscriptions import SubscriptionRow
from app.storage.history.detail import calls_for
from app.storage.history.rows import clean
from app.web.frame.context import parts, who
from app.web.frame.hx import page, redirect, respond
from app.web.runs.calls import CallView, body_download, call_page, call_view

blueprint = Blueprint("subscriptions", __name__)

_CALLS_IN_FULL = 10
_BUSY = ("asked", "making", "leaving")
_WORDS = {
    "asked": ("Being told", "busy"),
    "making": ("Being told", "busy"),
    "live": ("Told", "ok"),
    "refused": ("Refused", "bad"),
    "unsure": ("Unsure", "warn"),
    "by_hand": ("Set up by hand", "quiet"),
    "leaving": ("Ending", "busy"),
    "left": ("Not ended", "warn"),
    "gone": ("Ended", "quiet"),
}
_PURPOSES = {
    "ask": "Asked first",
    "look": "Asked what it has",
    "create": "Told where to send",
    "then": "Asked what it signs with",
    "renew": "Renewed",
    "remove": "Told to stop",
}


@dataclass(frozen=True)
class Told:
    """`row` None: nobody was told anything yet, or not any more."""

    flow_id: str
    service: str
    directions: str
    row: SubscriptionRow | None

    @property
    def state(self) -> str:
        return self.row.state if self.row is not None else ""

    @property
    def word(self) -> str:
        return _WORDS[self.state][0] if self.row is not None else "Not told yet"

    @property
    def look(self) -> str:
        return _WORDS[self.state][1] if self.row is not None else "quiet"

    @property
    def is_busy(self) -> bool:
        return self.state in _BUSY

    @property
    def needs_person(self) -> bool:
        return self.state in ("refused", "unsure", "left")

    @property
    def needs_connection(self) -> bool:
        kind = self.row.error_kind if self.row is not None else ""
        return kind in ("auth_expired", "permission_missing")


def told_of(flow_id: str, definition: FlowDefinition) -> Told | None:
    """None where nothing has to be told."""
    service = subscriptions.service_trigger(parts().registry, definition.trigger)
    if service is None:
        return None
    key = str(getattr(definition.trigger, "connector", ""))
    row = _row(flow_id)
    if row is not None and row.trigger.get("connector") != key:
        row = None  # the draft starts with another service now
    return Told(flow_id, parts().registry.get(key).name, service.subscribe.directions, row)


def _row(flow_id: str) -> SubscriptionRow | None:
    """The one the flow lives by, else the last one."""
    return store.current(pages_db.session, flow_id) or next(
        iter(store.of_flow(pages_db.session, flow_id)), None
    )


# ---------------------------------------------------------------------------------------- pages


@blueprint.get("/flows/<flow_id>/subscription")
def show(flow_id: str) -> Response:
    flow = get_flow(pages_db.session, flow_id)
    rows = store.of_flow(pages_db.session, flow_id)
    told = _told(flow)
    if told is None and not rows:
        raise NotFound("The trigger of this flow has no service that would have to be told anything.")
    return page(
        "builder/subscriptions/show.html",
        flow=flow,
        told=told,
        entries=[_Entry(row, _calls(row), *_WORDS[row.state]) for row in rows],
        purposes=_PURPOSES,
    )


@dataclass(frozen=True)
class _Entry:
    row: SubscriptionRow
    calls: list[CallView]
    word: str
    look: str


def _calls(row: SubscriptionRow) -> list[CallView]:
    """The newest first."""
    found = list(reversed(calls_for(pages_db.session, row.id)))
    return [
        call_view(call, is_full=number < _CALLS_IN_FULL, is_open=False) for number, call in enumerate(found)
    ]


@blueprint.get("/flows/<flow_id>/subscription/state")
def state(flow_id: str) -> Response:
    """Asked again every other second while the service is being told."""
    pages_db.session.rollback()
    return respond(
        render_template("builder/subscriptions/_state.html", told=_told(get_flow(pages_db.session, flow_id)))
    )


def _told(flow: FlowRow) -> Told | None:
    return told_of(flow.id, flow.draft)


@blueprint.get("/subscriptions/<subscription_id>/calls/<int(max=1000000):number>")
def show_call(subscription_id: str, number: int) -> Response:
    row = _found(subscription_id)
    return call_page(row.id, number, back=f"/subscriptions/{row.id}", title="What a service was told")


@blueprint.get("/subscriptions/<subscription_id>")
def show_one(subscription_id: str) -> Response:
    return redirect(f"/flows/{_found(subscription_id).flow_id}/subscription")


@blueprint.get("/subscriptions/<subscription_id>/calls/<int(max=1000000):number>/<any(request, answer):side>")
def download_body(subscription_id: str, number: int, side: str) -> Response:
    return body_download(_found(subscription_id).id, number, side)


def _found(subscription_id: str) -> SubscriptionRow:
    row = store.get_subscription(pages_db.session, clean(subscription_id))
    if row is None:
        raise NotFound("This subscription is not in the history.")
    return row


# -------------------------------------------------------------------------------------- buttons


@blueprint.post("/flows/<flow_id>/subscription/again")
def again(flow_id: str) -> Response:
    return _done(flow_id, subscribe_again, "The service is asked again.")


@blueprint.post("/flows/<flow_id>/subscription/by-hand")
def by_hand(flow_id: str) -> Response:
    return _done(flow_id, subscribed_by_hand, "Plumbline leaves it alone from now on.")


def _done(flow_id: str, command: Callable[[Who, Parts, str], None], sentence: str) -> Response:
    try:
        command(who(), parts(), flow_id)
    except FlowInvalid as reason:
        flash(f"{reason.sentence} {reason.remedy}".strip(), "error")
    else:
        flash(sentence, "success")
    return redirect(f"/flows/{flow_id}/subscription")
