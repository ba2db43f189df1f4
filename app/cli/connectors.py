"""`plumbline connectors`: what is wrong with connectors, and how good they are."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from app.catalog.check import check_all
from app.cli.opened import print_json
from app.parts import connector_folders
from app.settings import Settings


@click.group()
def connectors() -> None:
    """Check connectors and make new ones."""


@connectors.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def check(ctx: click.Context, folders: tuple[Path, ...], as_json: bool) -> None:
    """Check the connectors in FOLDERS, or all that Plumbline would load; exit code 1 when one is broken."""
    report = check_all(folders or _all_folders())
    if as_json:
        print_json(report.as_json())
    else:
        click.echo(report.as_text(), nl=False)
    ctx.exit(0 if report.ok else 1)


def _all_folders() -> list[Path]:
    """Those of the demo too, whether or not it runs."""
    demo = Path(str(files("seed_data"))) / "connectors"
    return list(dict.fromkeys([*(folder for _, folder in connector_folders(Settings.from_env())), demo]))


commands = [connectors]
