"""`plumbline backup`, `plumbline restore`, `plumbline hold-all`: a copy, and the way back from it."""

from __future__ import annotations

from pathlib import Path

import click
from sqlalchemy.engine import make_url

from app.cli.opened import opened_parts
from app.commands.backups import back_up, put_key_beside
from app.commands.backups import restore as put_back
from app.commands.flows import hold_all as hold_all_flows
from app.commands.who import SHELL
from app.errors import SettingInvalid
from app.settings import Settings
from app.storage.database.backup import Copy, key_beside
from app.storage.database.folder_lock import refuse_second
from app.storage.database.private import make_folder

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
    if with_key and key_beside(file).exists():
        raise SettingInvalid(
            f"{key_beside(file)} exists already.", remedy="Name another file, or delete that one."
        )
    with opened_parts(settings) as parts:
        copy = back_up(SHELL, parts, source, file)
    _print(copy, "A backup was made")
    if with_key:
        beside = put_key_beside(SHELL, settings, file)
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
    restored = put_back(SHELL, settings, target, file)
    _print(restored.copy, "Restored the backup")
    click.echo(f"What was there before is in {restored.aside}.")
    _say_held(restored.waiting)


@click.command("hold-all")
@click.confirmation_option(prompt="Hold every flow until a person releases it?")
def hold_all() -> None:
    """Hold everything, as after a restore: for a database that was restored by other means.

    Do it while Plumbline is stopped.
    """
    with opened_parts() as parts:
        if parts.database.is_sqlite:
            refuse_second(parts.settings)
        runs = hold_all_flows(SHELL, parts.database, now=parts.clock.now())
    _say_held(runs)


def _sqlite_file(settings: Settings, instead: str) -> Path:
    url = make_url(settings.database)
    if url.get_backend_name() != "sqlite":
        raise SettingInvalid("This Plumbline keeps its data in PostgreSQL.", remedy=instead)
    path = Path(url.database or "")
    make_folder(settings.data_dir)
    return path


def _say_held(runs: int) -> None:
    click.echo(
        f"Everything is held, with {runs:,} open runs. Start Plumbline, look, and release it on the page."
    )


def _print(copy: Copy, what: str) -> None:
    counts = ", ".join(f"{number:,} {name}" for name, number in copy.counts.items())
    click.echo(
        f"{what} of {copy.made_at:%d %b %Y, %H:%M} UTC: {copy.path} ({copy.size / 1e6:,.1f} MB), checked."
    )
    click.echo(f"It holds {counts}.")


commands = [backup, restore, hold_all]
