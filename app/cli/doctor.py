"""`plumbline doctor`: is this installation well, and what to do where it is not."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from sqlalchemy.engine import make_url

from app.cli.opened import print_json
from app.clock import SystemClock
from app.errors import AppError, SettingInvalid
from app.settings import Settings
from app.storage.database.db import Database
from app.storage.database.folder_lock import refuse_second
from app.storage.database.secrets import Vault, check_key, has_key, load_key
from app.storage.database.shrink import compact
from app.watch.checkup import Checked, Subject, check_up

_MARKS = {"good": "ok  ", "note": "note", "bad": "BAD "}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option(
    "--compact", "compacts", is_flag=True, help="Write the database file anew, so that it can shrink."
)
@click.pass_context
def doctor(ctx: click.Context, as_json: bool, compacts: bool) -> None:
    """Look at the database, the disk, the clock and the rest; exit code 1 when something is wrong.

    It changes nothing and may run beside the server; --compact needs the server stopped.
    """
    settings = Settings.from_env()
    if compacts:
        url = make_url(settings.database)
        if url.get_backend_name() != "sqlite":
            raise SettingInvalid("PostgreSQL gives room back by itself (autovacuum).")
        refuse_second(settings)
        if not Path(url.database or "").is_file():
            raise SettingInvalid(
                f"There is no database at {url.database}.", remedy="Is PLUMBLINE_DATA_DIR right?"
            )
        before, after = compact(Path(url.database or ""))
        click.echo(f"The database file had {before / 1e6:,.1f} MB and now has {after / 1e6:,.1f} MB.")
        click.echo("From now on it becomes smaller by itself when history goes.")
        return
    found = _look(settings)
    if as_json:
        print_json({"findings": [asdict(one) for one in found], "well": not _is_bad(found)})
    else:
        _print(found)
    if _is_bad(found):
        ctx.exit(1)


def _look(settings: Settings) -> list[Checked]:
    file = make_url(settings.database).database or ""
    if settings.database.startswith("sqlite") and not Path(file).is_file():
        sentence = f"There is no database at {file}."
        return [
            Checked(
                "Database file", "bad", sentence, "Is PLUMBLINE_DATA_DIR right? The first start makes one."
            )
        ]
    database = Database(settings.database)
    database.start()
    try:
        subject = Subject(settings, SystemClock(), database)
        return [*check_up(subject), _key(settings, database)]
    finally:
        database.close()


def _key(settings: Settings, database: Database) -> Checked:
    try:
        with database.read() as db:
            is_new = not has_key(db)
            if not is_new:
                check_key(db, Vault(load_key(settings.secret_key, settings.data_dir, database_is_new=False)))
    except AppError as reason:
        return Checked("Key fits", "bad", reason.sentence, reason.remedy)
    return Checked("Key fits", "good", "The key opens what is kept in this database.")


def _is_bad(found: list[Checked]) -> bool:
    return any(one.look == "bad" for one in found)


def _print(found: list[Checked]) -> None:
    for one in found:
        click.echo(f"{_MARKS[one.look]}  {one.name}: {one.sentence}")
        if one.remedy and one.look != "good":
            click.echo(f"      {one.remedy}")
    bad = sum(one.look == "bad" for one in found)
    click.echo("All is well." if not bad else "1 thing is wrong." if bad == 1 else f"{bad} things are wrong.")


commands = [doctor]
