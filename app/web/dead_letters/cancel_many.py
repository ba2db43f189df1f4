"""Cancelling all that waits in what a list of runs shows: first the number, then the order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, flash, request

from app.engine.cancelling import WAITING, cancel_waiting
from app.errors import NotFound
from app.storage.database.db import pages_db
from app.storage.flows.flows import get_flow
from app.storage.history.runs import count_by_reason
from app.storage.letters import orders as bulk_orders
from app.web.dead_letters.view import order_views
from app.web.frame.context import my_id, parts, zone_name
from app.web.frame.hx import page, redirect
from app.web.runs.filter import RunFilter
from app.web.runs.words import counted

blueprint = Blueprint("runs_cancel", __name__)

_WHY = {
    "delay": "for a delay of the flow",
    "retry": "for the next try",
    "rate_limit": "for a service that takes only so many calls",
    "held_connection": "for a connection",
    "held_flow": "because the flow is held",
    "unknown": "for a decision about a call whose outcome nobody knows",
    "turn": "for an earlier run of the same key",
    "batch": "to go out together with others",
    "status": "for a service to finish what it accepted",
    "callback": "for a service to call back",
}


@blueprint.get("/runs/cancel")
def ask() -> Response:
    chosen = replace(RunFilter.of(request.args), before="")
    wanted = _wanted(chosen)
    found = count_by_reason(pages_db.session, **wanted) if wanted["states"] else {}
    lines = sorted(
        ((number, _words(state, reason)) for (state, reason), number in found.items()), reverse=True
    )
    return page(
        "dead_letters/cancel.html",
        chosen=chosen,
        number=sum(found.values()),
        lines=lines,
        flow_name=_flow_name(chosen.flow),
    )


@blueprint.post("/runs/cancel")
def cancel() -> Response:
    chosen = RunFilter.of(request.form)
    order_id = cancel_waiting(parts().database, parts().clock, _wanted(chosen), by=my_id())
    pages_db.session.rollback()  # what was just written is not in what this request has read
    order = bulk_orders.get_order(pages_db.session, order_id)
    if parts().engine.is_started:
        parts().engine.work_orders()
    flash(f"{counted(order.total, 'run')} {'is' if order.total == 1 else 'are'} being cancelled.", "success")
    return redirect(f"/orders/{order_id}")


@blueprint.get("/orders/<order_id>")
def show_order(order_id: str) -> Response:
    order = bulk_orders.get_order(pages_db.session, order_id)
    (view,) = order_views(pages_db.session, [order])
    return page("dead_letters/order.html", block="live", view=view)


def _wanted(chosen: RunFilter) -> dict[str, Any]:
    """What the list shows, as far as it waits."""
    query = chosen.query(parts().clock.now(), zone_name())
    states = query["states"] or WAITING
    return {
        "flow_id": query["flow_id"],
        "states": () if chosen.state == "needs" else tuple(one for one in WAITING if one in states),
        "since": query["since"],
        "until": query["until"],
        "text": query["text"],
    }


def _words(state: str, reason: str) -> str:
    return "in line, not begun" if state == "queued" else f"waiting {_WHY.get(reason, '')}".strip()


def _flow_name(flow_id: str) -> str:
    try:
        return get_flow(pages_db.session, flow_id).name if flow_id else ""
    except NotFound:
        return "a deleted flow"
