"""`plumbline backup`, `plumbline restore`, `plumbline hold-all`: a copy, and the way back from it."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy.engine import make_url

from app import __version__
from app.cli.opened import opened_parts
from app.commands.flows import hold_all as hold_all_flows
from app.commands.who import SHELL
from app.errors import SettingInvalid
from app.parts import refuse_second
from app.settings import Settings
from app.storage.database.backup import Copy, copy_database, key_beside, look_at, note_backup, put_in_place
from app.storage.database.db import Database
from app.storage.database.migrate import migrate
from app.storage.database.private import make_folder
from app.storage.database.secrets import Vault, check_key, load_key

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=_FILE)
@click.option(
    "--with-key", is_flag=True, help="Put the key beside it, as FILE.key: then both open everything."
)
def backup(file: Path, with_key: bool) -> None:
    """Copy the database to FILE, while Plumbline goes on serving, and check the copy.

    The key that opens the connections is not in FILE.
    """
    settings = Settings.from_env()
    source = _sqlite_file(settings, "Use pg_dump, which copies it while it is used.")
    beside = key_beside(file)
    if with_key and beside.exists():
        raise SettingInvalid(f"{beside} exists already.", remedy="Name another file, or delete that one.")
    with opened_parts(settings) as parts:
        copy = copy_database(source, file, now=parts.clock.now(), release=__version__)
        parts.database.write(lambda db: note_backup(db, copy))
        key = load_key(settings.secret_key, settings.data_dir, database_is_new=False)
    _print(copy, "A backup was made")
    if with_key:
        _write_key(beside, key)
        click.echo(f"The key is in {beside}. Who has both files can use every connection: keep them safe.")
    else:
        where = "PLUMBLINE_SECRET_KEY" if settings.secret_key else str(settings.data_dir / "secret.key")
        click.echo(f"The key is not in it. Keep a copy of {where} elsewhere, or say --with-key.")


@click.command()
@click.argument("file", type=_FILE)
def restore(file: Path) -> None:
    """Put a backup in the place of the database.  The server has to be stopped.

    What is replaced is kept in a folder beside it.  Everything is then held: no flow runs and no
    service is called until a person releases it, for work done since the backup would be done again.
    """
    settings = Settings.from_env()
    target = _sqlite_file(
        settings, "Use pg_restore, then `plumbline hold-all` before you start Plumbline again."
    )
    refuse_second(settings)
    if not file.is_file():
        raise SettingInvalid(f"{file} is not there.", remedy="Name a backup file.")
    copy = look_at(file)
    now = datetime.now(UTC)
    aside = settings.data_dir / f"replaced-{now:%Y%m%d-%H%M%S}"
    runs = _prepare(settings, copy, target.with_name("restoring.db"), now)
    put_in_place(target.with_name("restoring.db"), target, aside)
    _bring_key(settings, file, aside)
    _print(copy, "Restored the backup")
    click.echo(f"What was there before is in {aside}.")
    click.echo(
        f"Everything is held, with {runs:,} open runs. Start Plumbline, look, and release it on the page."
    )


def _prepare(settings: Settings, copy: Copy, at: Path, now: datetime) -> int:
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
        held = hold_all_flows(SHELL, database, now=now, backup_of=copy.made_at)
    except Exception:
        database.close()
        at.unlink()
        raise
    database.close()
    return held


def _key_for(settings: Settings, file: Path) -> bytes:
    """The one beside the backup, else the one that is here."""
    if not settings.secret_key and key_beside(file).is_file():
        return load_key(key_beside(file).read_text().strip(), settings.data_dir, database_is_new=False)
    return load_key(settings.secret_key, settings.data_dir, database_is_new=False)


def _bring_key(settings: Settings, file: Path, aside: Path) -> None:
    here, beside = settings.data_dir / "secret.key", key_beside(file)
    if settings.secret_key or not beside.is_file():
        return
    key = load_key(beside.read_text().strip(), settings.data_dir, database_is_new=False)
    if here.exists():
        os.replace(here, aside / here.name)
    _write_key(here, key)


@click.command("hold-all")
@click.confirmation_option(prompt="Hold every flow until a person releases it?")
def hold_all() -> None:
    """Hold everything, as after a restore: for a database that was restored by other means.

    Do it while Plumbline is stopped.
    """
    with opened_parts() as parts:
        if parts.database.is_sqlite:
            refuse_second(parts.settings)
        now = parts.clock.now()
        runs = hold_all_flows(SHELL, parts.database, now=now)
    click.echo(
        f"Everything is held, with {runs:,} open runs. Start Plumbline, look, and release it on the page."
    )


def _sqlite_file(settings: Settings, instead: str) -> Path:
    url = make_url(settings.database)
    if url.get_backend_name() != "sqlite":
        raise SettingInvalid("This Plumbline keeps its data in PostgreSQL.", remedy=instead)
    path = Path(url.database or "")
    make_folder(settings.data_dir)
    return path


def _write_key(path: Path, key: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.hex() + "\n")


def _print(copy: Copy, what: str) -> None:
    counts = ", ".join(f"{number:,} {name}" for name, number in copy.counts.items())
    click.echo(
        f"{what} of {copy.made_at:%d %b %Y, %H:%M} UTC: {copy.path} ({copy.size / 1e6:,.1f} MB), checked."
    )
    click.echo(f"It holds {counts}.")


commands = [backup, restore, hold_all]
