"""Works off what people want done with many runs: a small portion at a time, so that what comes in
meanwhile is not kept waiting.

A resent run goes the way of every other: it stands in its flow's line and takes its place in the
service's budget.  Only a few of an order are on that way at once; the next follow when those are done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection, select

from app.changes import RunCancelled
from app.clock import Clock
from app.engine.dispatch.tickets import RunTicket
from app.engine.replay import ReplayWay, WhichVersion, run_again
from app.errors import AppError
from app.log import fields
from app.storage.cluster.messages import announce
from app.storage.database.db import Database
from app.storage.letters import orders as bulk_orders
from app.storage.letters.dead_letters import discard
from app.storage.letters.orders import Order
from app.storage.tables.models import Flow

log = logging.getLogger("plumbline.orders")

MOST_UNDER_WAY = 50
_RESENT_AT_ONCE = 25
_DISCARDED_AT_ONCE = 200
_CANCELLED_AT_ONCE = 100
_PORTIONS = 4  # of one order in a row, before the next order has its turn


@dataclass(slots=True)
class Portion:
    """`moved`: how many runs it dealt with; 0 = nothing can be done for this order now.  `tickets`: of
    runs that are queued; `cancelled`: the ids of those that are not to be performed."""

    moved: int = 0
    tickets: list[RunTicket] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)


class Orders:
    """`enqueue`: hands over the tickets of runs that are queued; `drop`: takes cancelled ones out of the
    lines of this process."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        enqueue: Callable[[Sequence[RunTicket]], None],
        drop: Callable[[Sequence[str]], None] = lambda run_ids: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._enqueue = enqueue
        self._drop = drop

    def work(self) -> int:
        """A portion or some of each open order; called every second.  With how many runs."""
        with self._database.read() as db:
            order_ids = bulk_orders.open_orders(db)
        return sum(self._work_on(order_id) for order_id in order_ids)

    def _work_on(self, order_id: str) -> int:
        moved = 0
        for _ in range(_PORTIONS):
            portion = self._database.write(lambda db: self._portion(db, order_id))
            self._enqueue(portion.tickets)
            self._drop(portion.cancelled)
            moved += portion.moved
            if not portion.moved:
                break
        return moved

    def _portion(self, db: Connection, order_id: str) -> Portion:
        order = bulk_orders.take(db, order_id)
        if order is None:
            return Portion()
        now = self._clock.now()
        if order.what == "discard":
            return _discard(db, order, now)
        if order.what == "cancel":
            return _cancel(db, order, now)
        return _resend(db, order, now)


def _resend(db: Connection, order: Order, now: datetime) -> Portion:
    room = MOST_UNDER_WAY - bulk_orders.note_outcomes(db, order.id, now=now)
    if room <= 0 or _is_held(db, order.flow_id):
        return Portion()
    following, left = bulk_orders.next_letters(db, order, min(room, _RESENT_AT_ONCE))
    if not following:
        return _end(db, order, now)
    way = ReplayWay("failed" if order.mode == "failed" else "whole", _version(order), order.by)
    tickets, refusal = [], ""
    for run_id in left:
        try:
            tickets.append(run_again(db, run_id, way, now))
        except AppError as reason:
            refusal = f"{reason.sentence} {reason.remedy}".strip()
    if len(left) < len(following) and not refusal:
        refusal = "Somebody had dealt with them already."
    bulk_orders.keep_made(db, order, [ticket.run_id for ticket in tickets])
    refused = len(following) - len(tickets)
    done = len(tickets)
    bulk_orders.advance(db, order, after=following[-1], done=done, refused=refused, sentence=refusal)
    return Portion(len(following), tickets)


def _discard(db: Connection, order: Order, now: datetime) -> Portion:
    following, left = bulk_orders.next_letters(db, order, _DISCARDED_AT_ONCE)
    if not following:
        return _end(db, order, now)
    gone = discard(db, left, reason=order.reason, by=order.by, now=now)
    bulk_orders.advance(db, order, after=following[-1], done=len(gone), refused=len(following) - len(gone))
    return Portion(len(following))


def _cancel(db: Connection, order: Order, now: datetime) -> Portion:
    """From the newest to the oldest.  What has begun a step meanwhile is under way, and goes on."""
    following, next_place = bulk_orders.next_waiting(db, order, _CANCELLED_AT_ONCE)
    name = bulk_orders.name_of(db, order.by) or "somebody"
    sentence = f"Cancelled by {name}, with all that waited; nothing more was sent."
    cancelled = bulk_orders.cancel(db, following, sentence=sentence, now=now)
    for run_id in cancelled:
        announce(db, RunCancelled(run_id))
    refused = len(following) - len(cancelled)
    said = "They had begun meanwhile." if refused else ""
    place = next_place or order.after
    bulk_orders.advance(db, order, after=place, done=len(cancelled), refused=refused, sentence=said)
    if next_place is None:
        return replace(_end(db, order, now), cancelled=cancelled)
    return Portion(max(len(following), 1), cancelled=cancelled)


def _end(db: Connection, order: Order, now: datetime) -> Portion:
    bulk_orders.end(db, order.id, "done", now=now)
    log.info("%s", fields(event="order_done", order=order.id, what=order.what, total=order.total))
    return Portion()


def _is_held(db: Connection, flow_id: str) -> bool:
    """What a held flow is to send again waits, as everything of it does."""
    return bool(flow_id and db.scalar(select(Flow.is_held).where(Flow.id == flow_id)))


def _version(order: Order) -> WhichVersion:
    return "current" if order.version == "current" else "same"
