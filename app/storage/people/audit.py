"""Who did what, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from app.ids import new_id
from app.storage.database.executor import Executor
from app.storage.tables.models import AuditEntry, User


@dataclass(frozen=True)
class AuditRow:
    id: str
    at: datetime
    user_id: str | None
    user_name: str | None
    action: str
    noun: str
    noun_id: str
    detail: Any


def record(
    db: Connection,
    *,
    now: datetime,
    user_id: str | None,
    action: str,
    noun: str,
    noun_id: str,
    detail: Any = None,
) -> None:
    """`action` is a past participle ("published", "reconnected"); `detail` never holds secrets."""
    row = {"id": new_id("aud"), "at": now, "user_id": user_id or None, "action": action}
    db.execute(insert(AuditEntry), row | {"noun": noun, "noun_id": noun_id, "detail": detail})


def entries(db: Executor, *, noun: str = "", noun_id: str = "", limit: int = 50) -> list[AuditRow]:
    """Newest first."""
    query = (
        select(
            AuditEntry.id,
            AuditEntry.at,
            AuditEntry.user_id,
            User.name,
            AuditEntry.action,
            AuditEntry.noun,
            AuditEntry.noun_id,
            AuditEntry.detail,
        )
        .outerjoin(User, User.id == AuditEntry.user_id)
        .order_by(AuditEntry.id.desc())
        .limit(limit)
    )
    if noun:
        query = query.where(AuditEntry.noun == noun)
    if noun_id:
        query = query.where(AuditEntry.noun_id == noun_id)
    return [AuditRow(*found) for found in db.execute(query)]
