"""A disk that can be full: a small one of its own where that is allowed, else a database with a limit."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, event

from app.storage.database.db import Database

_MB = 1024 * 1024
_CHUNK = bytes(64 * 1024)


class SmallDisk:
    """Sixteen megabytes in memory, mounted on a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def watch(self, _database: Database) -> None:
        """The disk itself says when it is full."""

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(_CHUNK)
            except OSError:
                return

    def free(self) -> None:
        self._ballast.unlink()


class LimitedFile:
    """SQLite answers as on a full disk once the file has as many pages as it may have."""

    _UNLIMITED = 1_000_000_000

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._most = self._UNLIMITED

    def watch(self, database: Database) -> None:
        @event.listens_for(database._write_engine, "begin")
        def limit(db: Connection) -> None:
            db.exec_driver_sql(f"PRAGMA max_page_count={self._most}")

    def fill(self) -> None:
        self._most = 1  # less than there are: no page may be added

    def free(self) -> None:
        self._most = self._UNLIMITED


Disk = SmallDisk | LimitedFile


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    folder.mkdir()
    if os.geteuid() != 0 or _mount(folder) != 0:
        yield LimitedFile(folder)
        return
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _mount(folder: Path) -> int:
    how = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    return subprocess.run(how, capture_output=True).returncode
