"""Who is told of alerts and when, and when somebody was last told of a thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, delete, insert, select, update

from app.storage.database.executor import Executor
from app.storage.database.server_values import get_value, put_value
from app.storage.tables.models import AlertMail

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


_COLUMNS = [getattr(AlertMail, name) for name in Told.__dataclass_fields__]


def all_told(db: Executor) -> dict[tuple[str, str], Told]:
    return {(row.noun, row.noun_id): Told(*row) for row in db.execute(select(*_COLUMNS))}


def failing(db: Executor) -> list[Told]:
    """What could not be sent the last time it was tried."""
    query = select(*_COLUMNS).where(AlertMail.sentence != "").order_by(AlertMail.noun, AlertMail.noun_id)
    return [Told(*row) for row in db.execute(query)]


def claim(db: Connection, rows: Sequence[Told], *, recipients: str, until: datetime) -> bool:
    """Nobody else tells of these until then; False = somebody does already."""
    for told in rows:
        current = db.execute(select(*_COLUMNS).where(*_is(told)).with_for_update()).one_or_none()
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
    """After the way was mended: everything is tried again at once."""
    values = {"tries": 0, "next_try_at": None, "sentence": ""}
    db.execute(update(AlertMail).where(AlertMail.sentence != "").values(**values))


def forget_old(db: Connection, before: datetime) -> None:
    db.execute(delete(AlertMail).where(AlertMail.sent_at < before, AlertMail.sentence == ""))


def _put(db: Connection, told: Told, **values: Any) -> None:
    if db.execute(update(AlertMail).where(*_is(told)).values(**values)).rowcount == 0:
        row = {"noun": told.noun, "noun_id": told.noun_id, "recipients": "", "tries": 0, "sentence": ""}
        db.execute(insert(AlertMail), row | values)


def _is(told: Told) -> tuple[Any, Any]:
    return AlertMail.noun == told.noun, AlertMail.noun_id == told.noun_id
