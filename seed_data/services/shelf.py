"""What the demo services keep: small JSON documents by kind and id, in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

Thing = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS things (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, id TEXT NOT NULL, data TEXT NOT NULL, UNIQUE (kind, id)
)
"""


class Shelf:
    """Numbers never repeat, not even after a restart, as those of a real service do not."""

    def __init__(self, file: Path | None = None) -> None:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(str(file or ":memory:"), check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(_SCHEMA)
        self._lock = threading.RLock()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        self._db.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody else reads or writes inside: what is read there is still true when it is written."""
        with self._lock:
            yield

    def put(self, kind: str, id_: str, data: Thing) -> None:
        sql = (
            "INSERT INTO things (kind, id, data) VALUES (?, ?, ?) "
            "ON CONFLICT (kind, id) DO UPDATE SET data = excluded.data"
        )
        with self._lock:
            self._db.execute(sql, (kind, id_, json.dumps(data)))

    def add(self, kind: str, data: Thing) -> int:
        """Under a new number, which `number` in the document says too."""
        with self._lock, self._whole():
            made = self._db.execute(
                "INSERT INTO things (kind, id, data) VALUES (?, 'new', '{}') RETURNING number", (kind,)
            ).fetchone()
            number = int(made[0])
            text = json.dumps({**data, "number": number})
            self._db.execute("UPDATE things SET id = ?, data = ? WHERE number = ?", (number, text, number))
        return number

    def get(self, kind: str, id_: str | int) -> Thing | None:
        with self._lock:
            row = self._db.execute(
                "SELECT data FROM things WHERE kind = ? AND id = ?", (kind, str(id_))
            ).fetchone()
        return None if row is None else json.loads(row[0])

    def newest(self, kind: str, limit: int = 1000) -> list[Thing]:
        with self._lock:
            rows = self._db.execute(
                "SELECT data FROM things WHERE kind = ? ORDER BY number DESC LIMIT ?", (kind, limit)
            ).fetchall()
        return [json.loads(row[0]) for row in rows]

    def remove(self, kind: str, id_: str) -> None:
        with self._lock:
            self._db.execute("DELETE FROM things WHERE kind = ? AND id = ?", (kind, id_))

    def trim(self, kind: str, keep: int) -> None:
        """Forget all but the newest."""
        sql = (
            "DELETE FROM things WHERE kind = ?1 AND number <= "
            "(SELECT number FROM things WHERE kind = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)"
        )
        with self._lock:
            self._db.execute(sql, (kind, keep))


class _Moments:
    """No moment is given twice, so what is sorted by time stays in the order it was kept in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = datetime.min.replace(tzinfo=UTC)

    def next(self) -> datetime:
        with self._lock:
            self._last = max(datetime.now(UTC), self._last + timedelta(milliseconds=1))
            return self._last


_moments = _Moments()


def now_text() -> str:
    """Such as 2026-11-21T08:00:00.123Z."""
    return _moments.next().isoformat(timespec="milliseconds").replace("+00:00", "Z")
