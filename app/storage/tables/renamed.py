"""The table of values that records used to have, and what they are probably called now."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from app.storage.tables.base import Base


class RenamedField(Base):
    """One row for each place that mappings of a flow look at, made at the first record that lacks it.
    `left_alone_at`: a person said that it is something else, and nobody is told of it again."""

    __tablename__ = "renamed_fields"
    flow_id: Mapped[str] = mapped_column(primary_key=True)
    place: Mapped[str] = mapped_column(primary_key=True)  # trigger:$['email']
    new_path: Mapped[str]
    run_id: Mapped[str]  # the first that noticed
    noticed_at: Mapped[datetime]
    left_alone_at: Mapped[datetime | None]
