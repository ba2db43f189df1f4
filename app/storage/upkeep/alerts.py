"""Alerts: what somebody should know of, as rows; one that lasts is one row, and ends with its cause."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text, update

from app.errors import NotFound
from app.ids import new_id
from app.storage.database.executor import Executor
from app.storage.tables import watch as models_watch
from app.storage.tables.models import Alert

KEPT = timedelta(days=90)
_OPEN = text(models_watch.OPEN_ALERT)
_LONGEST = 600
WORST = ("ledger", "worker", "connection")


@dataclass(frozen=True, slots=True)
class Noticed:
    """What a look found.  `count`: how many times, runs, records; the more, the more is told.
    `remedy`: the words of the button that leads to `remedy_url`."""

    kind: str
    noun: str  # flow | connection | connector | host | server
    noun_id: str
    key: str
    sentence: str
    remedy: str
    remedy_url: str
    count: int = 1

    def values(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "noun": self.noun,
            "noun_id": self.noun_id,
            "sentence": self.sentence[:_LONGEST].replace("\x00", ""),
            "remedy": self.remedy,
            "remedy_url": self.remedy_url,
            "count": self.count,
        }


@dataclass(frozen=True, slots=True)
class AlertRow:
    id: str
    kind: str
    noun: str
    noun_id: str
    dedupe_key: str
    sentence: str
    remedy: str
    remedy_url: str
    count: int
    first_at: datetime
    last_at: datetime
    mailed_at: datetime | None
    seen_at: datetime | None
    seen_by: str | None
    ended_at: datetime | None


_COLUMNS = [getattr(Alert, name) for name in AlertRow.__dataclass_fields__]


def open_alerts(db: Executor) -> list[AlertRow]:
    """The newest first."""
    return [AlertRow(*row) for row in db.execute(select(*_COLUMNS).where(_OPEN).order_by(Alert.id.desc()))]


def ended_alerts(db: Executor, *, before: str = "", limit: int = 30) -> list[AlertRow]:
    query = select(*_COLUMNS).where(Alert.ended_at.is_not(None))
    if before:
        query = query.where(Alert.id < before)
    return [AlertRow(*row) for row in db.execute(query.order_by(Alert.id.desc()).limit(limit))]


def number_unseen(db: Executor) -> int:
    query = select(func.count()).select_from(Alert).where(_OPEN, Alert.seen_at.is_(None))
    return db.execute(query).scalar_one()


def worst_unseen(db: Executor) -> AlertRow | None:
    """The one that everybody has to see: data may be lost, or everything stands still."""
    kinds = Alert.kind.in_(WORST)
    found = db.execute(select(*_COLUMNS).where(_OPEN, kinds, Alert.seen_at.is_(None)))
    return min((AlertRow(*row) for row in found), key=lambda row: WORST.index(row.kind), default=None)


# --------------------------------------------------------------------------------------- writing


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between the alerts and what was found: nothing is written where nothing does."""

    new: Sequence[Noticed]
    changed: Sequence[tuple[AlertRow, Noticed]]
    over: Sequence[AlertRow]

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.over)


def compare(db: Executor, found: Iterable[Noticed], *, looked_for: Collection[str]) -> Changes:
    """`looked_for`: the kinds of which `found` holds all there is."""
    there = {row.dedupe_key: row for row in open_alerts(db)}
    by_key = {one.key: one for one in found}
    changed = [(there[key], one) for key, one in by_key.items() if key in there and _differ(there[key], one)]
    over = [row for row in there.values() if row.kind in looked_for and row.dedupe_key not in by_key]
    return Changes([one for key, one in by_key.items() if key not in there], changed, over)


def _differ(row: AlertRow, one: Noticed) -> bool:
    return any(getattr(row, name) != value for name, value in one.values().items())


def bring_up_to_date(
    db: Connection, found: Sequence[Noticed], *, looked_for: Collection[str], now: datetime
) -> None:
    """One that lasts keeps its row; only where it grew it counts as new to whoever is told."""
    changes = compare(db, found, looked_for=looked_for)
    for one in changes.new:
        made: dict[str, Any] = {"id": new_id("alr"), "dedupe_key": one.key, "first_at": now, "last_at": now}
        db.execute(insert(Alert), made | one.values())
    for row, one in changes.changed:
        grew: dict[str, Any] = {"last_at": now} if one.count > row.count else {}
        db.execute(update(Alert).where(Alert.id == row.id).values(**one.values(), **grew))
    for row in changes.over:
        db.execute(update(Alert).where(Alert.id == row.id).values(ended_at=now))


def mark_seen(db: Connection, alert_id: str, *, by: str, now: datetime) -> None:
    changed = db.execute(
        update(Alert).where(Alert.id == alert_id, Alert.seen_at.is_(None)).values(seen_at=now, seen_by=by)
    )
    if changed.rowcount == 0 and db.scalar(select(Alert.id).where(Alert.id == alert_id)) is None:
        raise NotFound("This alert is not there any more.")


def mark_all_seen(db: Connection, *, by: str, now: datetime) -> int:
    unseen = update(Alert).where(_OPEN, Alert.seen_at.is_(None))
    return db.execute(unseen.values(seen_at=now, seen_by=by)).rowcount


def note_mailed(db: Connection, ids: Sequence[str], now: datetime) -> None:
    db.execute(update(Alert).where(Alert.id.in_(ids)).values(mailed_at=now))


def forget_old(db: Connection, now: datetime) -> None:
    db.execute(delete(Alert).where(Alert.ended_at < now - KEPT))
