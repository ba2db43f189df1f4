"""A copy of the database while it is used, and a copy put in its place: SQLite's own online backup.

A copy is one file.  The key that opens the connections is not in it: it lies in a file beside it, and
only where that was asked for.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson
from sqlalchemy import Connection

from app.errors import SettingInvalid
from app.storage.database.executor import Executor
from app.storage.database.server_values import get_value, put_value

_INFO = "backup"
_LAST = "last backup"
_COUNTED = ("flows", "connections", "runs", "events", "calls")
_LEFT_FREE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Copy:
    """`made_at`: when it was made; `schema`: of which tables."""

    path: Path
    made_at: datetime
    release: str
    schema: str
    size: int
    counts: dict[str, int]


def key_beside(path: Path) -> Path:
    return path.with_name(path.name + ".key")


def copy_database(source: Path, target: Path, *, now: datetime, release: str) -> Copy:
    """All that is committed at this moment; who writes meanwhile does not wait.  `target` is there when
    the copy is complete and found good, or not at all.  Raises SettingInvalid."""
    if target.exists():
        raise SettingInvalid(f"{target} exists already.", remedy="Name another file, or delete that one.")
    folder = target.parent
    if not folder.is_dir():
        raise SettingInvalid(f"{folder} is not a folder.", remedy="Make it, or name another file.")
    wanted, free = source.stat().st_size + _LEFT_FREE, shutil.disk_usage(folder).free
    if free < wanted:
        raise SettingInvalid(
            f"The copy needs {wanted // 1_000_000:,} MB and {folder} has {free // 1_000_000:,} MB free.",
            remedy="Make room, or name a file on another disk.",
        )
    part = target.with_name(target.name + ".part")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))
        info = orjson.dumps({"made_at": now.isoformat(), "release": release}).decode()
        with (
            contextlib.closing(sqlite3.connect(source)) as read,
            contextlib.closing(sqlite3.connect(part)) as kept,
        ):
            read.backup(kept)
            kept.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
            if _has_table(kept, "server_values"):
                kept.execute("DELETE FROM server_values WHERE name = ?", (_INFO,))
                kept.execute("INSERT INTO server_values (name, value) VALUES (?, ?)", (_INFO, info))
            kept.commit()
        with part.open("rb") as file:
            os.fsync(file.fileno())
        found = look_at(part)
        os.replace(part, target)
    except sqlite3.Error as reason:
        raise SettingInvalid(f"{source} cannot be copied to {target}: {reason}.") from reason
    finally:
        part.unlink(missing_ok=True)
    _flush_folder(target.parent)
    return Copy(target, found.made_at, found.release, found.schema, found.size, found.counts)


def look_at(path: Path) -> Copy:
    """What is in a copy, once it was found to be whole.  Raises SettingInvalid."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
            complaint = file.execute("PRAGMA quick_check(1)").fetchone()[0]
            if complaint != "ok":
                raise SettingInvalid(f"{path} is damaged: {complaint}.", remedy="Use another backup.")
            if not _has_table(file, "flows") or not _has_table(file, "alembic_version"):
                raise SettingInvalid(f"{path} is no database of Plumbline.", remedy="Name a backup file.")
            counts = {name: _count(file, name) for name in _COUNTED}
            schema = file.execute("SELECT version_num FROM alembic_version").fetchone()[0]
            kept = file.execute("SELECT value FROM server_values WHERE name = ?", (_INFO,)).fetchone()
    except sqlite3.Error as reason:
        raise SettingInvalid(f"{path} cannot be read: {reason}.", remedy="Name a backup file.") from reason
    stat = path.stat()
    info = orjson.loads(kept[0]) if kept else {}
    made = info.get("made_at") or datetime.fromtimestamp(stat.st_mtime).astimezone().isoformat()
    return Copy(path, datetime.fromisoformat(made), info.get("release", ""), schema, stat.st_size, counts)


def put_in_place(copy: Path, target: Path, aside: Path) -> None:
    """`copy` becomes the database; what was there before, its log included, goes to the folder `aside`."""
    aside.mkdir(parents=True)
    for suffix in ("", "-wal", "-shm"):
        old = target.with_name(target.name + suffix)
        if old.exists():
            os.replace(old, aside / old.name)
    os.replace(copy, target)
    _flush_folder(target.parent)


def note_backup(db: Connection, copy: Copy) -> None:
    put_value(
        db,
        _LAST,
        {"made_at": copy.made_at.isoformat(), "path": str(copy.path.absolute()), "size": copy.size},
    )


def last_backup(db: Executor) -> datetime | None:
    kept = get_value(db, _LAST)
    return datetime.fromisoformat(kept["made_at"]) if kept else None


def _has_table(file: sqlite3.Connection, name: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return file.execute(query, (name,)).fetchone() is not None


def _count(file: sqlite3.Connection, name: str) -> int:
    return int(file.execute(f"SELECT count(*) FROM {name}").fetchone()[0])  # noqa: S608 -- our own names


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
