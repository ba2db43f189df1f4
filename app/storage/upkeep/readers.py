"""Whose address an alert goes to."""

from __future__ import annotations

from sqlalchemy import select

from app.storage.database.executor import Executor
from app.storage.tables.models import Connection as ConnectionTable
from app.storage.tables.models import Flow, User


def address_of_owner(db: Executor, noun: str, noun_id: str) -> str:
    """'' where it has none, or the owner has left."""
    owners = {
        "flow": select(Flow.owner_id).where(Flow.id == noun_id),
        "connection": select(ConnectionTable.owner_id).where(ConnectionTable.id == noun_id),
    }
    if noun not in owners:
        return ""
    query = select(User.email).where(User.id == owners[noun].scalar_subquery())
    return db.execute(query).scalar_one_or_none() or ""


def administrators(db: Executor) -> list[str]:
    return [row[0] for row in db.execute(select(User.email).where(User.role == "admin").order_by(User.email))]
