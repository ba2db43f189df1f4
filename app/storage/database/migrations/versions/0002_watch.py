"""Causes of failures, orders about dead letters, alerts, and the ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_DEAD_LETTER = "state || '' IN ('failed','dead') AND settled_at IS NULL AND cause IS NOT NULL"


def upgrade() -> None:
    _history()
    _bulk_orders()
    _ordered_runs()
    _resends()
    _discards()
    _alerts()
    _alert_mails()
    _ledger_days()


def _history() -> None:
    op.add_column("flows", sa.Column("hold_reason", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("cause", sa.Text(), nullable=True))
    _earlier_failures()
    _partial("ix_runs_cause", "runs", ["cause", "id", "finished_at"], _DEAD_LETTER)
    _partial("ix_runs_died", "runs", ["finished_at", "flow_id"], _DEAD_LETTER)
    _partial("ix_runs_tests", "runs", ["flow_id", "id"], "source = 'test'")
    op.add_column("deliveries", sa.Column("repeated", sa.Integer(), nullable=True))
    _partial("ix_deliveries_repeated", "deliveries", ["flow_id", "id"], "repeated IS NOT NULL")


def _earlier_failures() -> None:
    """They are dead letters too, known by flow, step and kind of error; one that was run again since is
    dealt with."""
    op.execute(
        "UPDATE runs SET settled_at = finished_at WHERE state IN ('failed','dead') AND settled_at IS NULL"
        " AND EXISTS (SELECT 1 FROM runs AS again WHERE again.replay_of = runs.id)"
    )
    op.execute(
        "UPDATE runs SET cause = flow_id || '|' || COALESCE(position, '') || '|' || COALESCE(error_kind, '')"
        " || '|' WHERE state IN ('failed','dead') AND settled_at IS NULL AND source <> 'test'"
    )


def _bulk_orders() -> None:
    op.create_table(
        "bulk_orders",
        *_texts("id", "what", "cause", "flow_id", "mode", "version", "reason"),
        *_texts("after", "upto", "sentence", "state"),
        *_integers("total", "done", "refused"),
        sa.Column("chosen", sa.Text(), nullable=True),
        sa.Column("narrowed", sa.Text(), nullable=True),
        sa.Column("by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_orders")),
    )
    _partial("ix_bulk_orders_open", "bulk_orders", ["id"], "state = 'open'")
    op.create_index("ix_bulk_orders_cause_id", "bulk_orders", ["cause", "id"])


def _ordered_runs() -> None:
    op.create_table(
        "ordered_runs",
        *_texts("order_id", "run_id"),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("order_id", "run_id", name=op.f("pk_ordered_runs")),
    )
    _partial("ix_ordered_runs_open", "ordered_runs", ["order_id", "run_id"], "outcome IS NULL")


def _resends() -> None:
    op.create_table(
        "resends",
        *_texts("run_id", "mode"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=True),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column("keys", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_resends")),
    )


def _discards() -> None:
    op.create_table(
        "discards",
        *_texts("run_id", "flow_id", "reason", "label"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_discards")),
    )
    op.create_index("ix_discards_at_run_id", "discards", ["at", "run_id"])


def _alerts() -> None:
    op.create_table(
        "alerts",
        *_texts("id", "kind", "noun", "noun_id", "dedupe_key", "sentence", "remedy", "remedy_url"),
        *_integers("count"),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("mailed_at", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=True),
        sa.Column("seen_by", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    _partial("ix_alerts_open", "alerts", ["dedupe_key"], "ended_at IS NULL", unique=True)
    op.create_index("ix_alerts_dedupe_key_id", "alerts", ["dedupe_key", "id"])


def _alert_mails() -> None:
    op.create_table(
        "alert_mails",
        *_texts("noun", "noun_id", "recipients", "sentence"),
        *_integers("tries"),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("next_try_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("noun", "noun_id", name=op.f("pk_alert_mails")),
    )


def _ledger_days() -> None:
    op.create_table(
        "ledger_days",
        *_texts("flow_id", "day", "sentence"),
        *_integers("webhook", "poll", "schedule", "manual", "duplicates", "refused", "lost", "difference"),
        *_integers("gone_succeeded", "gone_filtered", "gone_cancelled", "gone_failed", "gone_settled"),
        *_integers("gone_duplicates", "gone_refused", "gone_events"),
        sa.Column("runs", sa.Integer(), nullable=True),
        sa.Column("checked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("flow_id", "day", name=op.f("pk_ledger_days")),
    )
    op.create_index("ix_ledger_days_day_flow_id", "ledger_days", ["day", "flow_id"])


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _integers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer(), nullable=False) for name in names]


def _partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
