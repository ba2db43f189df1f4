"""`plumbline connectors`: what is wrong with connectors, and how good they are."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import get_args

import click

from app.catalog.workbench.check import check_all
from app.catalog.workbench.scaffold import AuthKind, new_connector
from app.catalog.workbench.schema import schemas
from app.cli.import_api import import_openapi
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


@connectors.command()
@click.argument("key")
@click.option("--base-url", default="https://api.example.com", show_default=True, help="Where its API is.")
@click.option("--name", default="", help="As people read it; else made from the key.")
@click.option("--auth", type=click.Choice(get_args(AuthKind)), default="bearer", show_default=True)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where it is made; else the folder of your own connectors.",
)
def new(key: str, base_url: str, name: str, auth: AuthKind, folder: Path | None) -> None:
    """Begin a connector for the service KEY, with one action and its recorded exchanges."""
    place = folder or Settings.from_env().connectors_folder
    made = new_connector(place, key, base_url=base_url, name=name, auth=auth)
    click.echo(f"Made {made}. Describe the service there, then run: plumbline connectors check {made}")


@connectors.command()
@click.argument("kind", type=click.Choice(["connector", "action", "trigger", "lookup", "cassette"]))
def schema(kind: str) -> None:
    """Print the JSON Schema of one KIND of file, for editors that complete while one types."""
    print_json(schemas()[kind])


def _all_folders() -> list[Path]:
    """Those of the demo too, whether or not it runs."""
    demo = Path(str(files("seed_data"))) / "connectors"
    return list(dict.fromkeys([*(folder for _, folder in connector_folders(Settings.from_env())), demo]))


connectors.add_command(import_openapi)

commands = [connectors]
