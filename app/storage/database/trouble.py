"""Whether a write failed because nothing can be written now, and not because of what was written."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, OperationalError

from app.errors import Unavailable

# The low byte of SQLite's result code says the kind, the rest the occasion.
_SQLITE = {
    5: "Another program holds the database locked.",  # SQLITE_BUSY
    6: "Another program holds the database locked.",  # SQLITE_LOCKED
    8: "The database may only be read.",  # SQLITE_READONLY, such as a disk mounted so after an error
    10: "The disk does not work as it should.",  # SQLITE_IOERR
    13: "The disk is full.",  # SQLITE_FULL
    14: "A file of the database cannot be opened.",  # SQLITE_CANTOPEN
}
# The class of a SQLSTATE: the connection, resources (disk, connections), a shut-down.
_POSTGRES = {
    "08": "The database is away.",
    "25": "The database may only be read.",
    "53": "The disk of the database is full, or it has too many connections.",
    "57": "The database is being stopped.",
    "58": "The disk of the database does not work as it should.",
}


def trouble(reason: BaseException) -> Unavailable | None:
    """What to tell whoever wanted to write; None when the same write would fail at any time."""
    if not isinstance(reason, DBAPIError):
        return None
    sentence = _of_sqlite(reason.orig) if isinstance(reason.orig, sqlite3.Error) else _of_postgres(reason)
    return Unavailable(f"{sentence} Nothing was accepted.") if sentence else None


def as_told(reason: Exception | None) -> Exception | None:
    """What comes out where the write was asked for."""
    if isinstance(reason, OperationalError):
        return Unavailable("The database cannot be written now; nothing was accepted.")
    return reason


def _of_sqlite(reason: sqlite3.Error) -> str:
    code = getattr(reason, "sqlite_errorcode", None)
    return _SQLITE.get(code & 0xFF, "") if isinstance(code, int) else ""


def _of_postgres(reason: DBAPIError) -> str:
    state = getattr(reason.orig, "sqlstate", None) or ""
    is_away = reason.connection_invalidated or (isinstance(reason, OperationalError) and not state)
    return _POSTGRES.get(state[:2], _POSTGRES["08"] if is_away else "")
