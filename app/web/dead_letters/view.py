"""A group of dead letters, and an order about them, as the page shows them: in words, with the button
that mends the cause."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import quote, urlencode

from sqlalchemy import select

from app.errors import FlowInvalid, NotFound
from app.flows.edit import find_step
from app.flows.model import ActionStep, EmailStep, HttpStep
from app.storage.connections.connections import ConnectionRow, get_connection
from app.storage.database.executor import Executor
from app.storage.flows.flows import FlowRow, get_flow, get_version
from app.storage.letters import orders as bulk_orders
from app.storage.letters.dead_letters import DeadLetterGroup
from app.storage.letters.orders import Order
from app.storage.tables.models import Run, StepRecord
from app.watch.renamed import still_missing
from app.web.runs.words import Action, StepName, counted, step_names

_KEY_TROUBLE = ("auth_expired", "permission_missing")
_FIELD_TROUBLE = ("invalid_payload", "not_found", "gone")
_MEANINGS = {
    "rate_limited": "Too many calls",
    "unavailable": "Not reachable",
    "auth_expired": "Not signed in",
    "permission_missing": "Not allowed",
    "invalid_payload": "Not accepted",
    "not_found": "Not found",
    "conflict": "Conflict",
    "gone": "Gone",
}
_SHOWN_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class GroupView:
    """`flow` None: it is deleted.  `mend`: what removes the cause, None where only time does."""

    group: DeadLetterGroup
    flow: FlowRow | None
    step: StepName | None
    title: str
    remedy: str
    mend: Action | None
    is_ordered: bool

    @property
    def address(self) -> str:
        return f"/dead-letters/group?{urlencode({'cause': self.group.cause})}"

    @property
    def has_newer_version(self) -> bool:
        return bool(self.flow and self.flow.live_version_id not in (None, self.group.version_id))


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
        """How far it is: `120 of 1,000 resent: 100 succeeded, 20 under way.`"""
        said = f"{self.order.done:,} of {self.order.total:,} {_DONE_WORDS[self.order.what]}"
        counts = [f"{number:,} {word}" for word, number in _counts(self.states) if number]
        said += f": {', '.join(counts)}." if counts else "."
        if self.order.refused:
            said += f" {counted(self.order.refused, 'run')} could not be. {self.order.sentence}"
        if self.is_held:
            said += " It goes on when the flow is released: somebody holds it."
        return said.strip()


_DONE_WORDS = {"replay": "resent", "discard": "discarded", "cancel": "cancelled"}
_DOING_WORDS = {"replay": "Resending", "discard": "Discarding", "cancel": "Cancelling"}
_NOUNS = {"replay": "dead letter", "discard": "dead letter", "cancel": "waiting run"}


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


def group_view(db: Executor, group: DeadLetterGroup) -> GroupView:
    what = group.what
    step = step_names(db, group.version_id).get(what.step_id)
    flow = _flow(db, group.flow_id)
    title = _MEANINGS.get(what.error_kind, "The flow said stop" if step else "Stopped")
    return GroupView(
        group=group,
        flow=flow,
        step=step,
        title=f"{title} · {what.about}" if what.about else title,
        remedy=_remedy(db, group.newest),
        mend=_mend(db, group, flow, step),
        is_ordered=bulk_orders.is_ordered(db, group.cause),
    )


def _mend(db: Executor, group: DeadLetterGroup, flow: FlowRow | None, step: StepName | None) -> Action | None:
    what = group.what
    if what.error_kind in _KEY_TROUBLE and (connection := _connection(db, group)) is not None:
        return Action(f"Reconnect {connection.name}", f"/connections/{connection.id}", picture="plug-zap")
    if flow is None or step is None:
        return None
    for missing in still_missing(db, flow.id) if what.about.startswith("field ") else ():
        if missing.stopped(group):
            return Action(f"Use “{missing.now}” instead"[:80], missing.address, picture="repeat")
    in_builder = f"/flows/{flow.id}?step={quote(what.step_id)}"
    if what.about.startswith("field "):
        return Action("Mend the field", in_builder, picture="square-pen")
    if what.error_kind in _FIELD_TROUBLE + _KEY_TROUBLE:
        return Action(f"Mend step {step.number}", in_builder, picture="square-pen")
    return None


def _connection(db: Executor, group: DeadLetterGroup) -> ConnectionRow | None:
    """The one that the step works with."""
    try:
        step = find_step(get_version(db, group.version_id).definition, group.what.step_id)
        match step:
            case ActionStep() | EmailStep():
                connection_id = step.connection_id
            case HttpStep():
                connection_id = step.request.connection_id
            case _:
                return None
        return get_connection(db, connection_id) if connection_id else None
    except (FlowInvalid, NotFound, ValueError):  # the version, step or connection is gone
        return None


def _flow(db: Executor, flow_id: str) -> FlowRow | None:
    try:
        return get_flow(db, flow_id)
    except NotFound:
        return None


def _remedy(db: Executor, run_id: str) -> str:
    query = select(StepRecord.remedy).join(Run, Run.id == StepRecord.run_id)
    at = query.where(StepRecord.run_id == run_id, StepRecord.step_key == Run.position)
    return db.execute(at).scalar_one_or_none() or ""


def order_views(db: Executor, orders: list[Order]) -> list[OrderView]:
    states = bulk_orders.outcomes(db, [one.id for one in orders])
    return [_order_view(db, order, states.get(order.id, {})) for order in orders]


def _order_view(db: Executor, order: Order, states: dict[str, int]) -> OrderView:
    flow = _flow(db, order.flow_id) if order.flow_id else None
    number = order.done if order.state == "done" else order.total
    what = counted(number, _NOUNS[order.what] if order.chosen is None else "run")
    if order.is_open:
        title = f"{_DOING_WORDS[order.what]} {what}"
    else:
        title = f"{what} {_DONE_WORDS[order.what]}" if order.state == "done" else f"Stopped: {what}"
    is_held = order.is_open and order.what == "replay" and flow is not None and flow.is_held
    return OrderView(order, title, flow.name if flow else "", states, is_held)
