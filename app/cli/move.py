"""`plumbline move`: from SQLite to PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import click
from sqlalchemy.engine import make_url

from app.errors import SettingInvalid
from app.settings import Settings
from app.storage.database.db import Database, with_driver
from app.storage.database.folder_lock import alone
from app.storage.database.moving import Moved, move


@click.command("move")
@click.argument("address")
def move_command(address: str) -> None:
    """Copy everything to an empty PostgreSQL database, `postgresql://user:password@host/name`.

    The server has to be stopped. The SQLite file stays as it is.
    """
    settings = Settings.from_env()
    here = make_url(settings.database)
    if here.get_backend_name() != "sqlite" or not Path(here.database or "").is_file():
        raise SettingInvalid(
            f"There is no SQLite database to move at {here.render_as_string()}.",
            remedy="Set PLUMBLINE_DATA_DIR to its folder, and leave PLUMBLINE_DATABASE_URL unset.",
        )
    if not with_driver(address).startswith("postgresql+psycopg://"):
        raise SettingInvalid(
            f"{address} is not the address of a PostgreSQL database.",
            remedy="Use postgresql://user:password@host/name.",
        )
    with alone(settings):
        source, target = Database(settings.database), Database(address)
        target.start()
        try:
            moved = move(source, target, say=_say)
        finally:
            target.close()
            source.engine.dispose()
    rows = sum(one.rows for one in moved)
    click.echo(f"All {rows:,} rows of {len(moved)} tables are there, counted on both sides.")
    click.echo("From now on start Plumbline with PLUMBLINE_DATABASE_URL set to that address, and with the")
    click.echo(f"same key: PLUMBLINE_SECRET_KEY, or {settings.data_dir / 'secret.key'} as it is.")


def _say(moved: Moved) -> None:
    click.echo(f"{moved.table:<16} {moved.rows:>12,} rows")


commands = [move_command]
