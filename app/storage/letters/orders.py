"""Orders: what a person wants done with many runs, and how far it has got.

Each portion is written together with how far the order is (`after`), so that a stop in between repeats
nothing and leaves nothing out.  Whoever works on an order holds its row for that one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, text, update

from app.errors import NotFound
from app.ids import new_id
from app.states import NoReason, OrderState, RunState, WaitReason
from app.storage.database.executor import Executor
from app.storage.history.rows import clean
from app.storage.history.runs import runs_page
from app.storage.letters.dead_letters import DEAD_LETTER
from app.storage.tables import watch as models_watch
from app.storage.tables.models import FINAL_STATES, BulkOrder, OrderedRun, Run, User

KEPT = timedelta(days=90)
_SOON = timedelta(minutes=1)
_OPEN = text(models_watch.OPEN_ORDER)
_STILL_OPEN = text("ordered_runs." + models_watch.STILL_OPEN)


@dataclass(frozen=True, slots=True)
class Order:
    """`what`: replay | discard | cancel.  `done`: how many of `total` it has been done with; `refused`:
    with how many more it could not be done, `sentence` says why."""

    id: str
    what: str
    cause: str
    flow_id: str
    chosen: list[str] | None
    narrowed: dict[str, Any] | None
    mode: str
    version: str
    reason: str
    by: str | None
    created_at: datetime
    after: str
    upto: str
    total: int
    done: int
    refused: int
    sentence: str
    state: OrderState
    finished_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.state == "open"


_COLUMNS = [getattr(BulkOrder, name) for name in Order.__dataclass_fields__]


def give_order(db: Connection, **values: Any) -> str:
    """`values`: what an `Order` is given at its beginning.  Its id."""
    row = {
        "id": new_id("ord"),
        "cause": "",
        "flow_id": "",
        "chosen": None,
        "narrowed": None,
        "mode": "failed",
        "version": "same",
        "reason": "",
        "after": "",
        "upto": "",
        "state": "open",
        "sentence": "",
    }
    db.execute(insert(BulkOrder), row | values)
    return str((row | values)["id"])


def get_order(db: Executor, order_id: str) -> Order:
    row = db.execute(select(*_COLUMNS).where(BulkOrder.id == clean(order_id))).one_or_none()
    if row is None:
        raise NotFound("There is no such order any more.", order=order_id)
    return Order(*row)


def open_orders(db: Executor) -> list[str]:
    """The oldest first."""
    return list(db.execute(select(BulkOrder.id).where(_OPEN).order_by(BulkOrder.id)).scalars())


def recent(db: Executor, *, since: datetime, limit: int = 20) -> list[Order]:
    """Those that are open or ended since then, the newest first."""
    late = or_(_OPEN, BulkOrder.finished_at >= since)
    query = select(*_COLUMNS).where(late).order_by(BulkOrder.id.desc()).limit(limit)
    return [Order(*row) for row in db.execute(query)]


def under_way(db: Executor, *, limit: int = 3) -> list[Order]:
    """Those that are open, the newest first."""
    query = select(*_COLUMNS).where(_OPEN).order_by(BulkOrder.id.desc()).limit(limit)
    return [Order(*row) for row in db.execute(query)]


def is_ordered(db: Executor, cause: str) -> bool:
    query = select(BulkOrder.id).where(BulkOrder.cause == cause, BulkOrder.state == "open").limit(1)
    return db.execute(query).scalar_one_or_none() is not None


def common_flow(db: Executor, run_ids: Sequence[str]) -> str:
    """The flow of these runs; '' where they are of several."""
    flows = db.execute(select(Run.flow_id).where(Run.id.in_(run_ids)).distinct().limit(2)).scalars().all()
    return flows[0] if len(flows) == 1 else ""


def take(db: Connection, order_id: str) -> Order | None:
    """For the rest of this transaction the order is nobody else's; None = it is over, or somebody has
    it right now."""
    query = select(*_COLUMNS).where(BulkOrder.id == order_id, BulkOrder.state == "open")
    row = db.execute(query.with_for_update(skip_locked=True)).one_or_none()
    return Order(*row) if row else None


def advance(
    db: Connection, order: Order, *, after: str, done: int, refused: int = 0, sentence: str = ""
) -> None:
    values: dict[str, Any] = {"after": after, "done": BulkOrder.done + done}
    values["refused"] = BulkOrder.refused + refused
    if sentence:
        values["sentence"] = sentence
    db.execute(update(BulkOrder).where(BulkOrder.id == order.id).values(**values))


def end(db: Connection, order_id: str, state: OrderState, *, now: datetime) -> bool:
    """Returns False when it was over already."""
    query = update(BulkOrder).where(BulkOrder.id == order_id, BulkOrder.state == "open")
    return db.execute(query.values(state=state, finished_at=now)).rowcount > 0


# --------------------------------------------------------------------------- what it is about


def dead_letters_of(order: Order) -> list[Any]:
    """The conditions of the runs that an order by cause is about: what was there when it was given, and
    never what it has made itself, whatever the clocks of several processes say."""
    own = select(OrderedRun.run_id).where(OrderedRun.order_id == order.id, OrderedRun.run_id == Run.id)
    return [
        DEAD_LETTER,
        Run.cause == order.cause,
        Run.id > order.after,
        Run.id <= order.upto,
        ~own.exists(),
    ]


def next_letters(db: Connection, order: Order, limit: int) -> tuple[list[str], list[str]]:
    """The runs whose turn it is, and those of them that nobody has dealt with meanwhile; both locked."""
    if order.chosen is None:
        query = select(Run.id).where(*dead_letters_of(order)).order_by(Run.id).limit(limit)
        ids = list(db.scalars(query.with_for_update()))
        return ids, ids
    following = [run_id for run_id in sorted(order.chosen) if run_id > order.after][:limit]
    failed = select(Run.id).where(Run.id.in_(following), Run.state.in_(("failed", "dead")))
    left = failed.where(Run.settled_at.is_(None)).order_by(Run.id)
    return following, list(db.scalars(left.with_for_update()))


def next_waiting(db: Connection, order: Order, limit: int) -> tuple[list[str], str | None]:
    """The ids of waiting runs that an order to cancel is about, from the newest down, and the place where
    to go on; None at the end."""
    wanted = dict(order.narrowed or {})
    for name in ("since", "until"):
        if wanted.get(name):
            wanted[name] = datetime.fromisoformat(wanted[name])
    found = runs_page(db, **wanted, before=order.after or None, limit=limit)
    return [row.id for row in found.rows], found.next_before


def cancel(db: Connection, run_ids: Sequence[str], *, sentence: str, now: datetime) -> list[str]:
    """Those of the runs that still wait, locked and brought to an end."""
    waits = Run.state.in_(("queued", "waiting"))
    query = select(Run.id).where(Run.id.in_(run_ids), waits).order_by(Run.id)
    ids = list(db.scalars(query.with_for_update()))
    ended = {"state": "cancelled", "reason": "", "wake_at": None, "finished_at": now, "sentence": sentence}
    db.execute(update(Run).where(Run.id.in_(ids)).values(**ended))
    return ids


def name_of(db: Executor, user_id: str | None) -> str:
    query = select(User.name).where(User.id == user_id)
    return (db.execute(query).scalar_one_or_none() or "")[:60]


def count_letters(db: Executor, cause: str) -> tuple[int, str]:
    """How many dead letters of this cause there are, and the last of their ids."""
    query = select(func.count(), func.max(Run.id)).where(DEAD_LETTER, Run.cause == cause)
    number, last = db.execute(query).one()
    return number, last or ""


# ------------------------------------------------------------------------------ runs it has made


def keep_made(db: Connection, order: Order, run_ids: Sequence[str]) -> None:
    if run_ids:
        rows = [{"order_id": order.id, "run_id": run_id, "outcome": None} for run_id in run_ids]
        db.execute(insert(OrderedRun), rows)


def note_outcomes(db: Connection, order_id: str, *, now: datetime) -> int:
    """What became of its runs is written down.  How many are in line, under way or wait for a service
    to have room for them: more than a few of those would crowd out what comes in."""
    of_it = select(OrderedRun.run_id, Run.state, Run.reason, Run.wake_at).where(
        _STILL_OPEN, OrderedRun.order_id == order_id
    )
    busy = 0
    ended: dict[RunState, list[str]] = {}
    for run_id, state, reason, wake_at in db.execute(of_it.join(Run, Run.id == OrderedRun.run_id)):
        if state in FINAL_STATES:
            ended.setdefault(state, []).append(run_id)
        elif state != "waiting" or _comes_soon(reason, wake_at, now):
            busy += 1
    for state, ids in ended.items():
        mine = update(OrderedRun).where(OrderedRun.order_id == order_id, OrderedRun.run_id.in_(ids))
        db.execute(mine.values(outcome=state))
    return busy


def _comes_soon(reason: WaitReason | NoReason, wake_at: datetime | None, now: datetime) -> bool:
    """A budget's line is one that others stand in too; any other wait is short or counts for nothing."""
    if reason in ("rate_limit", "away"):
        return True
    return reason == "retry" and wake_at is not None and wake_at - now < _SOON


def outcomes(db: Executor, order_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """Order -> state -> number of its runs, as they are now."""
    now_in = func.coalesce(OrderedRun.outcome, Run.state, "gone")
    query = (
        select(OrderedRun.order_id, now_in, func.count())
        .join(Run, Run.id == OrderedRun.run_id, isouter=True)
        .where(OrderedRun.order_id.in_(order_ids))
        .group_by(OrderedRun.order_id, now_in)
    )
    found: dict[str, dict[str, int]] = {}
    for order_id, state, number in db.execute(query):
        found.setdefault(order_id, {})[state] = number
    return found


def forget_old(db: Connection, *, before: datetime, limit: int = 50) -> int:
    """Orders that ended long ago, with the names of the runs they made."""
    old = select(BulkOrder.id).where(BulkOrder.state != "open", BulkOrder.finished_at < before).limit(limit)
    ids = list(db.scalars(old))
    if ids:
        db.execute(delete(OrderedRun).where(OrderedRun.order_id.in_(ids)))
        db.execute(delete(BulkOrder).where(BulkOrder.id.in_(ids)))
    return len(ids)
