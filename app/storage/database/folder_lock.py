"""Who serves a data folder: one server at a time, and the process that takes its deliveries."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.errors import SettingInvalid
from app.settings import Settings
from app.storage.database.private import make_folder

_LONGEST_S = 30.0
_DOOR_LOCK = "door.lock"


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Keeps every server off this data folder for as long as this lasts.  Raises SettingInvalid."""
    lock = hold_folder(settings.data_dir)
    try:
        yield
    finally:
        lock.close()


def refuse_second(settings: Settings) -> None:
    """Raises SettingInvalid when another process serves this data folder; for what is done before the
    server starts."""
    hold_folder(settings.data_dir).close()


def hold_folder(folder: Path) -> IO[str]:
    """Takes the exclusive lock beside the database, which the system releases when the process ends."""
    make_folder(folder)
    lock = (folder / "server.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as reason:
        lock.seek(0)
        other = lock.read().strip() or "another process"
        lock.close()
        raise SettingInvalid(
            f"Plumbline already serves this data folder ({folder}, process {other}).",
            remedy="Stop it first, or choose another PLUMBLINE_DATA_DIR.",
        ) from reason
    try:
        _wait_for_door(folder)
    except SettingInvalid:
        lock.close()
        raise
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def hold_door(folder: Path) -> IO[str]:
    """Takes the lock of the process that takes deliveries for another one, which may be killed first."""
    lock = (folder / _DOOR_LOCK).open("a+")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _wait_for_door(folder: Path) -> None:
    """Lets an earlier server's door write what it had begun to accept before anything else happens here."""
    until = time.monotonic() + _LONGEST_S
    with (folder / _DOOR_LOCK).open("a+") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as reason:
                if time.monotonic() > until:
                    raise SettingInvalid(
                        f"A part of an earlier server still takes deliveries for this folder ({folder}).",
                        remedy="End it first.",
                    ) from reason
            time.sleep(0.02)
