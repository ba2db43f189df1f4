"""What services were told: to send what happens to an address of a flow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXTS = (
    "id",
    "flow_id",
    "connection_id",
    "trigger",
    "hook_id",
    "place",
    "state",
    "vendor_id",
    "error_kind",
    "sentence",
    "remedy",
)
_MOMENTS = ("since", "expires_at", "checked_at", "ended_at", "next_at", "lease_until")


def upgrade() -> None:
    op.create_table(
        "subscriptions",
        *[sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS],
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        *[sa.Column(name, sa.BigInteger(), nullable=True) for name in _MOMENTS],
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
    )
    op.create_index("ix_subscriptions_flow_id_id", "subscriptions", ["flow_id", "id"])
    _partial("ix_subscriptions_next_at", ["next_at"], "next_at IS NOT NULL")
    _partial("ix_subscriptions_connection_id", ["connection_id"], "state <> 'gone'")


def downgrade() -> None:
    op.drop_table("subscriptions")


def _partial(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "subscriptions", columns, sqlite_where=condition, postgresql_where=condition)
