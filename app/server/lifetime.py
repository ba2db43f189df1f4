"""A server's start and end."""

from __future__ import annotations

from typing import IO

from app.errors import SettingInvalid
from app.parts import Parts
from app.storage.database.folder_lock import hold_folder
from app.storage.database.private import make_folder

_LONGEST_S = 30.0


class Lifetime:
    """Of the parts of one process, from when it takes up open runs until all is on disk."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock: IO[str] | None = None

    def start(self) -> None:
        """Takes up open runs, then lets the ticks begin.  Only one process may do so per data folder;
        where the database is shared, each process does its roles and one scheduler ticks."""
        parts = self._parts
        if parts.presence is None:
            self._lock = hold_folder(parts.settings.data_dir)
            parts.engine.start()
            parts.intake.start()
            return
        make_folder(parts.settings.data_dir)
        parts.presence.start()
        if not parts.presence.wait(_LONGEST_S):
            raise SettingInvalid("The database does not answer.", remedy="Look at PLUMBLINE_DATABASE_URL.")
        parts.engine.start()
        if parts.leader is not None:
            parts.leader.start()

    def stop(self, grace_s: float = 20) -> None:
        """Stops the ticks, lets runs under way finish, commits, folds the log into the file."""
        parts = self._parts
        if parts.leader is not None:
            parts.leader.stop()
        parts.intake.stop()
        parts.engine.stop(grace_s)
        if parts.presence is not None:
            parts.presence.stop()
        parts.database.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None
