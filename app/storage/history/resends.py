"""How a run that was made from another came about: by whom, from where, and with which data, compared with
those that came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select

from app.errors import NotFound
from app.storage.database.executor import Executor
from app.storage.history.detail import get_event
from app.storage.history.rows import RunRow
from app.storage.tables.models import Call, Resend, StepRecord, User

_OPEN_KINDS = ("unavailable", "conflict", "rate_limited")
_MOST_CHANGES = 30
_LONGEST_VALUE = 80


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


def payload_of(db: Executor, run: RunRow) -> bytes:
    """Returns the data that the run works with: as they came, or as somebody edited them.  Raises NotFound
    when they are no longer in the history."""
    edited = facts(db, run.id).payload if run.replay_of else None
    if edited is not None:
        return edited
    event = get_event(db, run.event_id)
    if event is None:
        raise NotFound("What came in for this run is no longer in the history.", run=run.id)
    return event.payload


# ------------------------------------------------------------------------------ what was edited


@dataclass(frozen=True, slots=True)
class Changed:
    """One value that somebody changed: where, what it was, what it is; '' where there was none."""

    path: str
    before: str
    after: str


def changes(before: bytes, after: bytes) -> list[Changed]:
    """Returns what differs between two JSON documents, value by value in the order of the document; at most
    30 changes."""
    found: list[Changed] = []
    _compare("", parsed(before), parsed(after), found)
    return found


def _compare(path: str, before: Any, after: Any, found: list[Changed]) -> None:
    if len(found) >= _MOST_CHANGES or (before == after and type(before) is type(after)):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            here = f"{path}.{name}" if path else str(name)
            _compare(here, before.get(name, _NOTHING), after.get(name, _NOTHING), found)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True), 1):
            _compare(f"{path}[{number}]", old, new, found)
    else:
        found.append(Changed(path or "everything", _short(before), _short(after)))


_NOTHING = object()


def _short(value: Any) -> str:
    if value is _NOTHING:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def parsed(payload: bytes) -> Any:
    """Returns the document, or the text where it is not JSON."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return payload.decode("utf-8", "replace")
