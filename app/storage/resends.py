"""How a run that was made from another came about: by whom, from where, and with which data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from app.storage.executor import Executor
from app.storage.models import Resend, User


@dataclass(frozen=True, slots=True)
class ResendRow:
    """`payload`: the event's data as a person changed it, None where it is as it came.  `keys`: step ->
    the run whose idempotency key its first call keeps."""

    run_id: str
    mode: str
    at: datetime
    by: str | None
    by_name: str
    payload: bytes | None
    keys: dict[str, str] | None


def keep(
    connection: Connection,
    run_id: str,
    *,
    mode: str,
    at: datetime,
    by: str | None,
    payload: bytes | None = None,
    keys: dict[str, str] | None = None,
) -> None:
    row: dict[str, Any] = {"run_id": run_id, "mode": mode, "at": at, "by": by or None}
    connection.execute(insert(Resend), {**row, "payload": payload, "keys": keys or None})


def get_resend(db: Executor, run_id: str) -> ResendRow | None:
    """None for a run that an event started, and for one that was run again before these were kept."""
    query = (
        select(Resend.run_id, Resend.mode, Resend.at, Resend.by, User.name, Resend.payload, Resend.keys)
        .join(User, User.id == Resend.by, isouter=True)
        .where(Resend.run_id == run_id)
    )
    row = db.execute(query).one_or_none()
    if row is None:
        return None
    made_for, mode, at, by, name, payload, keys = row
    return ResendRow(made_for, mode, at, by, name or "", payload, keys)
