"""How a run that was made from another came about: by whom, from where, and with which data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from app.storage.database.executor import Executor
from app.storage.tables.models import Call, Resend, StepRecord, User

_OPEN_KINDS = ("unavailable", "conflict", "rate_limited")


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


@dataclass(frozen=True, slots=True)
class ResendFacts:
    """What the engine needs of it."""

    payload: bytes | None
    keys: dict[str, str]


AS_IT_CAME = ResendFacts(None, {})


def facts(db: Executor, run_id: str) -> ResendFacts:
    row = db.execute(select(Resend.payload, Resend.keys).where(Resend.run_id == run_id)).one_or_none()
    return ResendFacts(row[0], row[1] or {}) if row else AS_IT_CAME


def open_keys(db: Executor, run_id: str) -> dict[str, str]:
    """Step -> the run whose key its last call went under, where nobody knows what became of that call:
    it did not answer, was in trouble, or said that it was at it already.  A refusal is an answer: what
    remembers keys would only repeat it."""
    undone = select(StepRecord.step_key).where(
        StepRecord.run_id == run_id, StepRecord.state.not_in(("succeeded", "skipped"))
    )
    calls = (
        select(Call.step_key, Call.idempotency_key, Call.status, Call.error_kind)
        .where(Call.made_for == run_id, Call.step_key.in_(undone), Call.idempotency_key.is_not(None))
        .order_by(Call.number)
    )
    found: dict[str, str] = {}
    for step_key, key, status, error_kind in db.execute(calls):
        owner, _, step = (key or "").partition(":")
        if f"{step}:".startswith(f"{step_key}:") and (status is None or error_kind in _OPEN_KINDS):
            found[step_key] = owner
        else:
            found.pop(step_key, None)
    return found


def keep(
    db: Connection,
    run_id: str,
    *,
    mode: str,
    at: datetime,
    by: str | None,
    payload: bytes | None = None,
    keys: dict[str, str] | None = None,
) -> None:
    row: dict[str, Any] = {"run_id": run_id, "mode": mode, "at": at, "by": by or None}
    db.execute(insert(Resend), {**row, "payload": payload, "keys": keys or None})


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
