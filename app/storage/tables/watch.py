"""The tables of what needs a person: orders about many runs, alerts, and the days of the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.states import OrderState, RunState
from app.storage.tables.base import Base, partial_index
from app.storage.tables.types import JsonText, PackedBytes

OPEN_ALERT = "ended_at IS NULL"
OPEN_ORDER = "state = 'open'"
STILL_OPEN = "outcome IS NULL"


class BulkOrder(Base):
    """What a person wants done with many runs: dead letters resent or discarded, waiting runs cancelled;
    a few at a time.  `after`: the last one done; each portion is written together with it."""

    __tablename__ = "bulk_orders"
    id: Mapped[str] = mapped_column(primary_key=True)  # ord_
    what: Mapped[str]  # replay | discard | cancel
    cause: Mapped[str]  # of the dead letters; '' where `chosen` or `narrowed` says which
    flow_id: Mapped[str]
    chosen: Mapped[Any] = mapped_column(JsonText, nullable=True)  # ids, or None for all
    narrowed: Mapped[Any] = mapped_column(JsonText, nullable=True)  # the filter of a list of runs
    mode: Mapped[str]  # whole | failed
    version: Mapped[str]  # same | current
    reason: Mapped[str]
    by: Mapped[str | None]
    created_at: Mapped[datetime]
    after: Mapped[str]
    upto: Mapped[str]
    total: Mapped[int]
    done: Mapped[int] = mapped_column(default=0)
    refused: Mapped[int] = mapped_column(default=0)
    sentence: Mapped[str] = mapped_column(default="")  # why some were refused
    state: Mapped[OrderState] = mapped_column(Text)
    finished_at: Mapped[datetime | None]
    __table_args__ = (
        partial_index("ix_bulk_orders_open", "id", where=OPEN_ORDER),
        Index("ix_bulk_orders_cause_id", "cause", "id"),
    )


class OrderedRun(Base):
    """A run made for an order.  `outcome`: its last state, None as long as it is under way."""

    __tablename__ = "ordered_runs"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[RunState | None] = mapped_column(Text)
    __table_args__ = (partial_index("ix_ordered_runs_open", "order_id", "run_id", where=STILL_OPEN),)


class Resend(Base):
    """How a run that was made from another came about.  `payload`: what a person made of the event's
    data, None where it was left as it came.  `keys`: step key -> the run whose idempotency key the
    first call of that step keeps."""

    __tablename__ = "resends"
    run_id: Mapped[str] = mapped_column(primary_key=True)
    mode: Mapped[str]  # whole | failed
    at: Mapped[datetime]
    by: Mapped[str | None]
    payload: Mapped[bytes | None] = mapped_column(PackedBytes)
    keys: Mapped[Any] = mapped_column(JsonText, nullable=True)


class Discard(Base):
    """A dead letter that a person put away, and why.  The run stays as long as other failures."""

    __tablename__ = "discards"
    run_id: Mapped[str] = mapped_column(primary_key=True)
    flow_id: Mapped[str]
    at: Mapped[datetime]
    by: Mapped[str | None]
    reason: Mapped[str]
    label: Mapped[str]
    __table_args__ = (Index("ix_discards_at_run_id", "at", "run_id"),)


class Alert(Base):
    """Something that somebody should know of.  Of one `dedupe_key` at most one is open, that is, not
    over.  `mailed_at`: what happened until then is in a mail."""

    __tablename__ = "alerts"
    id: Mapped[str] = mapped_column(primary_key=True)  # alr_
    kind: Mapped[str]  # dead_letters | ledger…
    noun: Mapped[str]
    noun_id: Mapped[str]
    dedupe_key: Mapped[str]
    sentence: Mapped[str]
    remedy: Mapped[str]  # the words of the button
    remedy_url: Mapped[str]
    count: Mapped[int] = mapped_column(default=1)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    mailed_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]
    seen_by: Mapped[str | None]
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        partial_index("ix_alerts_open", "dedupe_key", where=OPEN_ALERT, unique=True),
        Index("ix_alerts_dedupe_key_id", "dedupe_key", "id"),
    )


class AlertMail(Base):
    """When somebody was last told by email about one thing, and what keeps the next one."""

    __tablename__ = "alert_mails"
    noun: Mapped[str] = mapped_column(primary_key=True)
    noun_id: Mapped[str] = mapped_column(primary_key=True)
    recipients: Mapped[str]
    sent_at: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime | None]
    sentence: Mapped[str] = mapped_column(default="")


class LedgerDay(Base):
    """A flow's day in UTC, of which events and deliveries were counted once, soon after they came:
    what came in by source, and deliveries whose record is not there (`lost`).  `gone_…`: what had become
    of what is no longer in the history.  `difference`, `sentence`: what the last check said."""

    __tablename__ = "ledger_days"
    flow_id: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[str] = mapped_column(primary_key=True)  # 2026-11-21
    webhook: Mapped[int] = mapped_column(default=0)
    poll: Mapped[int] = mapped_column(default=0)
    schedule: Mapped[int] = mapped_column(default=0)
    manual: Mapped[int] = mapped_column(default=0)
    duplicates: Mapped[int] = mapped_column(default=0)
    refused: Mapped[int] = mapped_column(default=0)
    lost: Mapped[int] = mapped_column(default=0)
    runs: Mapped[int | None]  # of these records, gone ones too, once the day is over and was checked
    gone_succeeded: Mapped[int] = mapped_column(default=0)
    gone_filtered: Mapped[int] = mapped_column(default=0)
    gone_cancelled: Mapped[int] = mapped_column(default=0)
    gone_failed: Mapped[int] = mapped_column(default=0)
    gone_settled: Mapped[int] = mapped_column(default=0)
    gone_duplicates: Mapped[int] = mapped_column(default=0)
    gone_refused: Mapped[int] = mapped_column(default=0)
    gone_events: Mapped[int] = mapped_column(default=0)
    checked_at: Mapped[datetime | None]
    difference: Mapped[int] = mapped_column(default=0)
    sentence: Mapped[str] = mapped_column(default="")
    __table_args__ = (Index("ix_ledger_days_day_flow_id", "day", "flow_id"),)
