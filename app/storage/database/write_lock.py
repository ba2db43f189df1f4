"""Whose turn it is to write to an SQLite file that two processes of one server write to all the time.

SQLite itself lets one of them write and the other try again after 1, 2, 5, 10, … ms, in no order: under
load it would wait hundreds of them.  Here the system wakes who waits, and nobody has two turns in a row
while another waits.  A process that is killed loses its turn with it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from app.storage.database.private import make_folder


class WriteLock:
    """A turnstile: whoever has come to its front holds `next` until the turn is theirs."""

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self._next = _open(folder / "writer.next")
        self._turn = _open(folder / "writer.turn")

    def __enter__(self) -> None:
        fcntl.flock(self._next, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._next, fcntl.LOCK_UN)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._next)
        os.close(self._turn)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
