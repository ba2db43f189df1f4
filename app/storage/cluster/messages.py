"""What processes that share a database tell each other: a word and an id, sent with the commit.

Nothing depends on a message: each says only sooner what rows say, or what is asked for again anyway.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

CHANNEL = "plumbline"
_TELL = text("SELECT pg_notify(:channel, :words)")


def tell(db: Connection, *words: str) -> None:
    """`tell(connection, "cancel", run_id)`.  Where one process has the database, nobody listens."""
    if db.dialect.name == "postgresql":
        db.execute(_TELL, {"channel": CHANNEL, "words": " ".join(words)})
