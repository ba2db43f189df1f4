"""The table of what services were told: send what happens to this address of ours."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.states import SubscriptionState
from app.storage.tables.base import Base, partial_index
from app.storage.tables.types import JsonText

IN_USE = "state <> 'gone'"
TO_DO = "next_at IS NOT NULL"


class Subscription(Base):
    """`trigger`: the flow's trigger as it was published.  `place`: the digest of the address the
    service was told.  `sealed`: the secret it signs with.  Its calls have `made_for` = this id."""

    __tablename__ = "subscriptions"
    id: Mapped[str] = mapped_column(primary_key=True)  # sub_
    flow_id: Mapped[str]
    connection_id: Mapped[str]
    trigger: Mapped[Any] = mapped_column(JsonText)
    hook_id: Mapped[str]
    place: Mapped[str]
    state: Mapped[SubscriptionState] = mapped_column(Text)
    vendor_id: Mapped[str] = mapped_column(default="")  # what the service calls it
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    since: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    checked_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    next_at: Mapped[datetime | None]  # when there is something to do about it
    lease_until: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    error_kind: Mapped[str] = mapped_column(default="")
    sentence: Mapped[str] = mapped_column(default="")
    remedy: Mapped[str] = mapped_column(default="")
    __table_args__ = (
        Index("ix_subscriptions_flow_id_id", "flow_id", "id"),
        partial_index("ix_subscriptions_next_at", "next_at", where=TO_DO),
        partial_index("ix_subscriptions_connection_id", "connection_id", where=IN_USE),
    )
