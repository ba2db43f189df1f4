"""What people do about copies of the database: make one, and put one in the place of what is there."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from app import __version__
from app.commands.flows import hold_all
from app.commands.who import Who
from app.errors import SettingInvalid
from app.parts import Parts
from app.settings import Settings
from app.storage.database.backup import Copy, copy_database, key_beside, look_at, note_backup, put_in_place
from app.storage.database.db import Database
from app.storage.database.folder_lock import refuse_second
from app.storage.database.migrate import migrate
from app.storage.database.secrets import Vault, check_key, load_key
from app.storage.people import audit


@dataclass(frozen=True)
class Restored:
    """`aside`: the folder with what was there before; `waiting`: how many open runs are held."""

    copy: Copy
    aside: Path
    waiting: int


def back_up(who: Who, parts: Parts, source: Path, target: Path) -> Copy:
    """Copies the SQLite file while it is used, and checks the copy.  Raises NotAllowed, and SettingInvalid
    for a target that is there already or has no room."""
    who.must("database")
    now = parts.clock.now()
    copy = copy_database(source, target, now=now, release=__version__)

    def work(db: Connection) -> None:
        note_backup(db, copy)
        audit.record(db, now=now, user_id=who.id, action="backed up", noun="server", noun_id="")

    parts.database.write(work)
    return copy


def put_key_beside(who: Who, settings: Settings, file: Path) -> Path:
    """Writes the key that opens the connections beside a copy, and returns its place.  Raises NotAllowed,
    and SettingInvalid where a file is there already."""
    who.must("database")
    beside = key_beside(file)
    if beside.exists():
        raise SettingInvalid(f"{beside} exists already.", remedy="Name another file, or delete that one.")
    _write_key(beside, load_key(settings.secret_key, settings.data_dir, database_is_new=False))
    return beside


def restore(who: Who, settings: Settings, target: Path, file: Path) -> Restored:
    """Puts a copy in the place of the database, held as a whole: work done since the copy would be done
    again.  Raises NotAllowed, and SettingInvalid while a server runs, or for a file that is no copy."""
    who.must("database")
    refuse_second(settings)
    if not file.is_file():
        raise SettingInvalid(f"{file} is not there.", remedy="Name a backup file.")
    copy, now = look_at(file), datetime.now(UTC)
    aside = settings.data_dir / f"replaced-{now:%Y%m%d-%H%M%S}"
    coming = target.with_name("restoring.db")
    waiting = _prepare(who, settings, copy, coming, now)
    put_in_place(coming, target, aside)
    _bring_key(settings, file, aside)
    return Restored(copy, aside, waiting)


def _prepare(who: Who, settings: Settings, copy: Copy, at: Path, now: datetime) -> int:
    """The copy is held before it gets into its place, so that no stop in between lets it run."""
    for suffix in ("", "-wal", "-shm"):
        at.with_name(at.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(copy.path, at)
    os.chmod(at, 0o600)
    database = Database(f"sqlite:///{at.absolute()}")
    database.start()
    try:
        migrate(database)
        vault = Vault(_key_for(settings, copy.path))
        database.write(lambda db: check_key(db, vault))
        waiting = hold_all(who, database, now=now, backup_of=copy.made_at)
    except Exception:
        database.close()
        at.unlink()
        raise
    database.close()
    return waiting


def _key_for(settings: Settings, file: Path) -> bytes:
    """The one beside the backup, else the one that is here."""
    beside = key_beside(file)
    given = (
        beside.read_text().strip() if not settings.secret_key and beside.is_file() else settings.secret_key
    )
    return load_key(given, settings.data_dir, database_is_new=False)


def _bring_key(settings: Settings, file: Path, aside: Path) -> None:
    here, beside = settings.data_dir / "secret.key", key_beside(file)
    if settings.secret_key or not beside.is_file():
        return
    key = load_key(beside.read_text().strip(), settings.data_dir, database_is_new=False)
    if here.exists():
        os.replace(here, aside / here.name)
    _write_key(here, key)


def _write_key(path: Path, key: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.hex() + "\n")
