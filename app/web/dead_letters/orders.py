"""Orders about many runs: how far each is, stopping one, and cancelling all that waits in a list of runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from flask import Blueprint, Flask, Response, flash, request

from app.commands.letters import stop_order
from app.commands.runs import WAITING, Narrowed, cancel_waiting
from app.storage.database.db import pages_db
from app.storage.database.executor import Executor
from app.storage.flows.flows import find_flow
from app.storage.history.runs import count_by_reason
from app.storage.letters import orders as bulk_orders
from app.storage.letters.dead_letters import get_group
from app.storage.letters.orders import Order
from app.web.frame.context import parts, who, zone_name
from app.web.frame.hx import page, redirect
from app.web.runs.actions import work_now
from app.web.runs.filter import RunFilter
from app.web.runs.words import counted

blueprint = Blueprint("orders", __name__)

_DONE_WORDS = {"replay": "sent again", "discard": "discarded", "cancel": "cancelled"}
_DOING_WORDS = {"replay": "Sending {} again", "discard": "Discarding {}", "cancel": "Cancelling {}"}
_NOUNS = {"replay": "run", "discard": "run", "cancel": "waiting run"}
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


@dataclass(frozen=True, slots=True)
class OrderView:
    """`states`: what has become of the runs it made.  `is_held`: its flow is, so that it waits."""

    order: Order
    title: str
    flow_name: str
    states: dict[str, int] = field(default_factory=dict)
    is_held: bool = False

    @property
    def is_lively(self) -> bool:
        """What the page shows of it changes soon."""
        return self.order.is_open or self.states.get("queued", 0) + self.states.get("running", 0) > 0

    @property
    def handled(self) -> int:
        return min(self.order.done + self.order.refused, self.order.total)

    @property
    def sentence(self) -> str:
        """How far it is: `120 of 1,000 sent again: 100 succeeded, 20 under way.`"""
        said = f"{self.order.done:,} of {self.order.total:,} {_DONE_WORDS[self.order.what]}"
        counts = [f"{number:,} {word}" for word, number in _counts(self.states) if number]
        said += f": {', '.join(counts)}." if counts else "."
        if self.order.refused:
            said += f" {counted(self.order.refused, 'run')} could not be. {self.order.sentence}"
        if self.is_held:
            said += " It goes on when somebody releases the flow, which is on hold."
        return said.strip()


def _counts(states: dict[str, int]) -> list[tuple[str, int]]:
    def total(*names: str) -> int:
        return sum(states.get(name, 0) for name in names)

    return [
        ("succeeded", total("succeeded", "filtered")),
        ("stopped again", total("failed", "dead")),
        ("under way", total("queued", "running")),
        ("waiting", total("waiting")),
        ("cancelled", total("cancelled")),
    ]


@blueprint.record_once
def _register(state: object) -> None:
    app: Flask = state.app  # type: ignore[attr-defined]
    app.jinja_env.globals |= {"orders_under_way": under_way}


def under_way() -> list[OrderView]:
    """Returns the orders that are open, for the list of runs."""
    found = bulk_orders.under_way(pages_db.session)
    return order_views(pages_db.session, found) if found else []


def order_views(db: Executor, orders: list[Order]) -> list[OrderView]:
    states = bulk_orders.outcomes(db, [one.id for one in orders])
    return [_order_view(db, order, states.get(order.id, {})) for order in orders]


def _order_view(db: Executor, order: Order, states: dict[str, int]) -> OrderView:
    flow = find_flow(db, order.flow_id)
    number = order.done if order.state == "done" else order.total
    what = counted(number, _NOUNS[order.what] if order.chosen is None else "run")
    if order.is_open:
        title = _DOING_WORDS[order.what].format(what)
    else:
        title = f"{what} {_DONE_WORDS[order.what]}" if order.state == "done" else f"Stopped: {what}"
    is_held = order.is_open and order.what == "replay" and flow is not None and flow.is_held
    return OrderView(order, title, flow.name if flow else "", states, is_held)


# --------------------------------------------------------------------------------- one order


@blueprint.get("/orders/<order_id>")
def show_order(order_id: str) -> Response:
    order = bulk_orders.get_order(pages_db.session, order_id)
    (view,) = order_views(pages_db.session, [order])
    return page("dead_letters/order.html", block="live", view=view)


@blueprint.post("/orders/<order_id>/stop")
def stop(order_id: str) -> Response:
    order = bulk_orders.get_order(pages_db.session, order_id)
    if stop_order(who(), parts(), order.id):
        flash("Stopped. What had been begun goes on; the rest stays as it was.", "success")
    else:
        flash("It had ended already.", "info")
    return redirect(group_address(order.cause) if order.cause else f"/orders/{order.id}")


def group_address(cause: str) -> str:
    """Returns where to go after a decision: to the group as long as something of it is left."""
    pages_db.session.rollback()  # what was just written is not in what this request has read
    left = get_group(pages_db.session, cause) if cause else None
    return f"/dead-letters/group?{urlencode({'cause': cause})}" if left else "/dead-letters"


# -------------------------------------------------------------------------- all that waits


@blueprint.get("/runs/cancel")
def ask() -> Response:
    chosen = replace(RunFilter.of(request.args), before="")
    wanted = _wanted(chosen)
    found = count_by_reason(pages_db.session, **wanted) if wanted["states"] else {}
    lines = sorted(
        ((number, _wait_words(state, reason)) for (state, reason), number in found.items()), reverse=True
    )
    flow = find_flow(pages_db.session, chosen.flow)
    return page(
        "dead_letters/cancel.html",
        chosen=chosen,
        number=sum(found.values()),
        lines=lines,
        flow_name=flow.name if flow else "a deleted flow" if chosen.flow else "",
    )


@blueprint.post("/runs/cancel")
def cancel() -> Response:
    chosen = RunFilter.of(request.form)
    order_id = cancel_waiting(who(), parts(), _wanted(chosen))
    pages_db.session.rollback()  # what was just written is not in what this request has read
    order = bulk_orders.get_order(pages_db.session, order_id)
    work_now()
    flash(f"{counted(order.total, 'run')} {'is' if order.total == 1 else 'are'} being cancelled.", "success")
    return redirect(f"/orders/{order_id}")


def _wanted(chosen: RunFilter) -> Narrowed:
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


def _wait_words(state: str, reason: str) -> str:
    return "in line, not begun" if state == "queued" else f"waiting {_WHY.get(reason, '')}".strip()
