"""The days of the ledger as they are kept: what came in, and what had become of what was pruned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, case, delete, func, insert, select, update

from app.ids import id_floor, made_at_ms
from app.storage.database.executor import Executor
from app.storage.database.server_values import get_value, put_value
from app.storage.history.received import DAY, Came, day_of, source_name
from app.storage.tables.models import Delivery, Event, Flow, LedgerDay, Run
from app.storage.tables.types import from_ms, to_ms
from app.storage.upkeep.ledger_runs import FAILED, Became, Slot

Leaving = Literal["runs", "events", "deliveries"]

DAYS_KEPT = 400
_COUNTED_UPTO = "ledger counted up to"
_CAME = tuple(Came.__dataclass_fields__)
_GONE = ("gone_succeeded", "gone_filtered", "gone_cancelled", "gone_failed", "gone_settled")
_GONE_OTHERS = ("gone_duplicates", "gone_refused", "gone_events")


@dataclass(frozen=True, slots=True)
class Kept:
    """A row of the ledger."""

    came: Came
    gone: Became
    gone_duplicates: int = 0
    gone_refused: int = 0
    gone_events: int = 0
    difference: int = 0
    runs: int | None = None
    sentence: str = ""

    @property
    def runs_there(self) -> int | None:
        """Those that are still in the history; None = nobody has counted yet."""
        return None if self.runs is None else self.runs - self.gone.total


def counted_upto(db: Executor) -> datetime | None:
    """Everything that came before is in the rows."""
    kept = get_value(db, _COUNTED_UPTO)
    return datetime.fromisoformat(kept) if kept else None


def oldest(db: Executor) -> datetime | None:
    """When the first event or delivery that is still there came in."""
    ids = [db.execute(select(func.min(table.id))).scalar() for table in (Event, Delivery)]
    return min((from_ms(made_at_ms(found)) for found in ids if found), default=None)


def flow_names(db: Executor) -> dict[str, str]:
    """Of deleted flows too."""
    return {row.id: row.name for row in db.execute(select(Flow.id, Flow.name))}


def kept_days(db: Executor, first: str, last: str, *, flow_id: str = "") -> dict[Slot, Kept]:
    query = select(*LedgerDay.__table__.columns).where(LedgerDay.day >= first, LedgerDay.day <= last)
    if flow_id:
        query = query.where(LedgerDay.flow_id == flow_id)
    return {Slot(row.flow_id, row.day): _kept(row) for row in db.execute(query)}


def kept_sums(db: Executor, first: str, last: str) -> dict[Slot, Kept]:
    """All flows of a day together."""
    numbers = (*_CAME, *_GONE, *_GONE_OTHERS)
    columns = LedgerDay.__table__.columns
    sums = [func.sum(columns[name]).label(name) for name in numbers]
    differences = func.sum(func.abs(LedgerDay.difference)).label("difference")
    all_counted = func.count() == func.count(LedgerDay.runs)
    runs = case((all_counted, func.sum(LedgerDay.runs))).label("runs")
    query = select(LedgerDay.day, *sums, differences, runs).where(
        LedgerDay.day >= first, LedgerDay.day <= last
    )
    rows = db.execute(query.group_by(LedgerDay.day))
    return {Slot("", row.day): _kept(row) for row in rows}


def differing(db: Executor, first: str) -> dict[Slot, Kept]:
    """The days from then on that the last check found wrong."""
    query = select(*LedgerDay.__table__.columns).where(LedgerDay.day >= first, LedgerDay.difference != 0)
    return {Slot(row.flow_id, row.day): _kept(row) for row in db.execute(query.order_by(LedgerDay.day))}


def _kept(row: Any) -> Kept:
    return Kept(
        Came(*(getattr(row, name) for name in _CAME)),
        Became(**{name.removeprefix("gone_"): getattr(row, name) for name in _GONE}),
        *(row.gone_duplicates, row.gone_refused, row.gone_events, row.difference, row.runs),
        sentence=getattr(row, "sentence", ""),
    )


# --------------------------------------------------------------------------------------- writing


def add_came(
    db: Connection, *, day: str, came: Mapping[str, Came], after: datetime | None, upto: datetime
) -> bool:
    """False = somebody else counted meanwhile."""
    if counted_upto(db) != after:
        return False
    for flow_id, new in came.items():
        _raise(db, Slot(flow_id, day), {name: getattr(new, name) for name in _CAME})
    put_value(db, _COUNTED_UPTO, upto.isoformat())
    return True


def keep_verdict(db: Connection, slot: Slot, *, late: Mapping[str, int], **values: Any) -> None:
    """`late`: what came in and was not counted yet."""
    _raise(db, slot, late)
    _set(db, slot, values)


def forget_old_days(db: Connection, now: datetime) -> None:
    db.execute(delete(LedgerDay).where(LedgerDay.day < day_of(now - DAYS_KEPT * DAY)))


def _set(db: Connection, slot: Slot, values: Mapping[str, Any]) -> None:
    db.execute(update(LedgerDay).where(*_is(slot)).values(**values))


def _raise(db: Connection, slot: Slot, more: Mapping[str, int]) -> None:
    """Adds to the row, which is made where there is none."""
    there = db.scalar(select(LedgerDay.day).where(*_is(slot)).with_for_update())
    if there is None:
        zeros = dict.fromkeys((*_CAME, *_GONE, *_GONE_OTHERS, "difference"), 0)
        db.execute(insert(LedgerDay), {**zeros, **slot._asdict(), "sentence": ""})
    values = {name: LedgerDay.__table__.columns[name] + number for name, number in more.items() if number}
    if values:
        _set(db, slot, values)


def _is(slot: Slot) -> tuple[Any, Any]:
    return LedgerDay.flow_id == slot.flow_id, LedgerDay.day == slot.day


# --------------------------------------------------------------------------------------- pruning


def note_leaving(db: Connection, what: Leaving, ids: Sequence[str]) -> None:
    """What is pruned stays accounted for.  Called in the transaction that deletes these rows, while they
    are still there."""
    for slot, counts in _LEAVING[what](db, ids).items():
        _raise(db, slot, counts)


def _runs(db: Connection, ids: Sequence[str]) -> dict[Slot, Counter[str]]:
    """A replay that ended well takes the care of what it repeated with it."""
    columns = (Run.id, Run.flow_id, Run.event_id, Run.state, Run.settled_at, Run.replay_of, Run.source)
    rows = db.execute(select(*columns).where(Run.id.in_(ids))).all()
    again = set(db.scalars(select(Run.replay_of).where(Run.replay_of.in_(ids))))
    found: dict[Slot, Counter[str]] = {}
    for row in rows:
        if row.replay_of is None and row.source != "test":
            state = row.state
            if state in FAILED:
                state = "failed" if row.settled_at is None and row.id not in again else "settled"
            _count(found, row.flow_id, row.event_id)[f"gone_{state}"] += 1
    _settle_repeated(db, rows)
    return found


def _settle_repeated(db: Connection, replays: Sequence[Any]) -> None:
    """Else a failure would look as if nobody had seen to it, once its replay is forgotten."""
    for row in replays:
        done_at = row.settled_at if row.state in FAILED else from_ms(made_at_ms(row.id))
        if row.replay_of is not None and done_at is not None:
            repeated = (Run.id == row.replay_of, Run.state.in_(FAILED), Run.settled_at.is_(None))
            db.execute(update(Run).where(*repeated).values(settled_at=done_at))


def _events(db: Connection, ids: Sequence[str]) -> dict[Slot, Counter[str]]:
    """What leaves before it was counted is counted now."""
    query = select(Event.id, Event.flow_id, Event.source).where(Event.id.in_(ids), Event.source != "test")
    upto = _first_uncounted(db, "evt")
    found: dict[Slot, Counter[str]] = {}
    for row in db.execute(query):
        counts = _count(found, row.flow_id, row.id)
        counts["gone_events"] += 1
        counts[source_name(row.source)] += row.id >= upto
    return found


def _deliveries(db: Connection, ids: Sequence[str]) -> dict[Slot, Counter[str]]:
    columns = (Delivery.id, Delivery.flow_id, Delivery.outcome, Delivery.repeated)
    rare = (Delivery.outcome == "refused") | Delivery.repeated.is_not(None)
    upto = _first_uncounted(db, "dlv")
    found: dict[Slot, Counter[str]] = {}
    for row in db.execute(select(*columns).where(Delivery.id.in_(ids), rare)):
        if row.flow_id is not None:
            counts = _count(found, row.flow_id, row.id)
            leaving = Counter(duplicates=row.repeated or 0, refused=int(row.outcome == "refused"))
            counts.update({f"gone_{name}": number for name, number in leaving.items()})
            counts.update(leaving if row.id >= upto else {})
    return found


def _first_uncounted(db: Connection, prefix: str) -> str:
    upto = counted_upto(db)
    return id_floor(prefix, to_ms(upto)) if upto else ""


def _count(found: dict[Slot, Counter[str]], flow_id: str, made: str) -> Counter[str]:
    return found.setdefault(Slot(flow_id, day_of(from_ms(made_at_ms(made)))), Counter())


_LEAVING = {"runs": _runs, "events": _events, "deliveries": _deliveries}
