"""Alerts: what somebody should know of, one row as long as it lasts; who is told of them, and when."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, delete, func, insert, select, text, update

from app.errors import NotFound
from app.ids import new_id
from app.storage.database.executor import Executor
from app.storage.database.server_values import get_value, put_value
from app.storage.tables import watch as models_watch
from app.storage.tables.models import Alert, AlertMail, Flow, User
from app.storage.tables.models import Connection as ConnectionTable

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


def forget_old_alerts(db: Connection, now: datetime) -> None:
    db.execute(delete(Alert).where(Alert.ended_at < now - KEPT))


_SETTINGS = "alerts"


@dataclass(frozen=True, slots=True)
class Telling:
    """`to`: addresses by commas, '' = all administrators.  `owners`: of flows and connections are told
    in their place.  `quiet_from`, `quiet_to`: `22:00`, '' = nobody is ever left in peace.  `webhook`:
    sealed, as hexadecimal."""

    to: str = ""
    owners: bool = True
    quiet_from: str = ""
    quiet_to: str = ""
    time_zone: str = "UTC"
    webhook: str = ""

    def is_quiet(self, now: datetime) -> bool:
        if not self.quiet_from or not self.quiet_to:
            return False
        local = now.astimezone(ZoneInfo(self.time_zone)).time()
        begin, end = time.fromisoformat(self.quiet_from), time.fromisoformat(self.quiet_to)
        return begin <= local < end if begin <= end else local >= begin or local < end


def read_telling(db: Executor) -> Telling:
    return Telling(**(get_value(db, _SETTINGS) or {}))


def save_telling(db: Connection, telling: Telling) -> None:
    put_value(db, _SETTINGS, asdict(telling))


# ------------------------------------------------------------------------------------- was told


@dataclass(frozen=True, slots=True)
class Told:
    """`noun`: with the way it is told, `mail:flow`."""

    noun: str
    noun_id: str
    recipients: str = ""
    sent_at: datetime | None = None
    tries: int = 0
    next_try_at: datetime | None = None
    sentence: str = ""


_MAIL_COLUMNS = [getattr(AlertMail, name) for name in Told.__dataclass_fields__]


def all_told(db: Executor) -> dict[tuple[str, str], Told]:
    return {(row.noun, row.noun_id): Told(*row) for row in db.execute(select(*_MAIL_COLUMNS))}


def failing(db: Executor) -> list[Told]:
    """What could not be sent the last time it was tried."""
    query = select(*_MAIL_COLUMNS).where(AlertMail.sentence != "").order_by(AlertMail.noun, AlertMail.noun_id)
    return [Told(*row) for row in db.execute(query)]


def claim(db: Connection, rows: Sequence[Told], *, recipients: str, until: datetime) -> bool:
    """Nobody else tells of these until then; False = somebody does already."""
    for told in rows:
        current = db.execute(select(*_MAIL_COLUMNS).where(*_is(told)).with_for_update()).one_or_none()
        if (Told(*current) if current else Told(told.noun, told.noun_id)) != told:
            return False
    for told in rows:
        _put(db, told, tries=told.tries + 1, next_try_at=until, recipients=recipients)
    return True


def note_sent(db: Connection, rows: Sequence[Told], *, at: datetime) -> None:
    for told in rows:
        _put(db, told, sent_at=at, tries=0, next_try_at=None, sentence="")


def note_failed(db: Connection, rows: Sequence[Told], *, sentence: str, again_at: datetime) -> None:
    for told in rows:
        _put(db, told, sentence=sentence, next_try_at=again_at)


def forget_failures(db: Connection) -> None:
    """After the way was fixed: everything is tried again at once."""
    values = {"tries": 0, "next_try_at": None, "sentence": ""}
    db.execute(update(AlertMail).where(AlertMail.sentence != "").values(**values))


def forget_old_mails(db: Connection, before: datetime) -> None:
    db.execute(delete(AlertMail).where(AlertMail.sent_at < before, AlertMail.sentence == ""))


def _put(db: Connection, told: Told, **values: Any) -> None:
    if db.execute(update(AlertMail).where(*_is(told)).values(**values)).rowcount == 0:
        row = {"noun": told.noun, "noun_id": told.noun_id, "recipients": "", "tries": 0, "sentence": ""}
        db.execute(insert(AlertMail), row | values)


def _is(told: Told) -> tuple[Any, Any]:
    return AlertMail.noun == told.noun, AlertMail.noun_id == told.noun_id


def address_of_owner(db: Executor, noun: str, noun_id: str) -> str:
    """'' where it has none, or the owner has left."""
    owners = {
        "flow": select(Flow.owner_id).where(Flow.id == noun_id),
        "connection": select(ConnectionTable.owner_id).where(ConnectionTable.id == noun_id),
    }
    if noun not in owners:
        return ""
    query = select(User.email).where(User.id == owners[noun].scalar_subquery())
    return db.execute(query).scalar_one_or_none() or ""


def administrators(db: Executor) -> list[str]:
    return [row[0] for row in db.execute(select(User.email).where(User.role == "admin").order_by(User.email))]
