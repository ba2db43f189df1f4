"""Values that records used to have, and what they are probably called now."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "renamed_fields",
        *[sa.Column(name, sa.Text(), nullable=False) for name in ("flow_id", "place", "new_path", "run_id")],
        sa.Column("noticed_at", sa.BigInteger(), nullable=False),
        sa.Column("left_alone_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("flow_id", "place", name=op.f("pk_renamed_fields")),
    )


def downgrade() -> None:
    op.drop_table("renamed_fields")
