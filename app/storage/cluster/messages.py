"""What processes that share a database tell each other: changes, sent with the commit that made them."""

from __future__ import annotations

from sqlalchemy import Connection, text

from app.changes import Told, in_words

CHANNEL = "plumbline"
_NOTIFY = text("SELECT pg_notify(:channel, :words)")


def announce(db: Connection, change: Told) -> None:
    """Tells all processes of this database, this one too, once the transaction is committed.  Where one
    process has the database to itself, nobody is told."""
    if db.dialect.name == "postgresql":
        db.execute(_NOTIFY, {"channel": CHANNEL, "words": in_words(change)})
