"""`plumbline flows`: flows as files."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.opened import opened_parts, print_json
from app.errors import FlowInvalid
from app.flows.portable.files import FileConnection, FlowFile, connection_ids, from_text, to_text
from app.intake.importing import Imported, import_flow
from app.storage.connections import connections
from app.storage.flows import flows as stored


@click.group()
def flows() -> None:
    """List, export and import flows."""


@flows.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_flows(as_json: bool) -> None:
    """Print each flow with its state."""
    with opened_parts() as parts, parts.database.read() as db:
        rows = stored.list_flows(db)
    lines = [
        {
            "id": row.id,
            "name": row.name,
            "on": row.is_on,
            "held": row.is_held,
            "live_version": row.live_number,
        }
        for row in rows
    ]
    if as_json:
        print_json(lines)
        return
    for line in lines:
        state = "held" if line["held"] else "on" if line["on"] else "off"
        version = f"v{line['live_version']}" if line["live_version"] else "draft"
        click.echo(f"{line['id']}  {state:4}  {version:6} {line['name']}")


@flows.command()
@click.argument("flow_id")
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="A file; else standard output.")
def export(flow_id: str, to: Path | None) -> None:
    """Write a flow as a file, without any secret."""
    with opened_parts() as parts, parts.database.read() as db:
        flow = stored.get_flow(db, flow_id)
        used = connection_ids(flow.draft)
        named = [connections.get_connection(db, one) for one in used]
    text = to_text(flow.draft, {row.id: FileConnection(row.connector, row.name) for row in named})
    if to is None:
        click.echo(text, nl=False)
    else:
        to.write_text(text)


@flows.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--publish", is_flag=True, help="Make it live at once.")
@click.option("--on", is_flag=True, help="Switch it on as well.")
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="Replace ${NAME} in the file.")
@click.option("--json", "as_json", is_flag=True, help="Print [{id, name, hook_url}].")
def import_file(file: Path, publish: bool, on: bool, values: tuple[str, ...], as_json: bool) -> None:
    """Read one flow or several from FILE, as drafts."""
    with opened_parts() as parts:
        made = [
            import_flow(parts, one, publish=publish, on=on) for one in read_flow_file(file, _settings(values))
        ]
    _print_imported(made, as_json)


def read_flow_file(file: Path, values: dict[str, str]) -> list[FlowFile]:
    """Raises FlowInvalid naming file, place and reason."""
    try:
        text = file.read_text()
    except UnicodeDecodeError as reason:
        raise FlowInvalid("this is not a text file.", where=str(file)) from reason
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    return from_text(text, str(file))


def _settings(values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for name, sign, _ in pairs:
        if not sign or not name:
            raise click.BadParameter("write --set name=value")
    return {name: value for name, _, value in pairs}


def _print_imported(made: list[Imported], as_json: bool) -> None:
    if as_json:
        print_json([{"id": one.id, "name": one.name, "hook_url": one.hook_url} for one in made])
        return
    for one in made:
        click.echo(f"Imported “{one.name}” ({one.id}){' ' + one.hook_url if one.hook_url else ''}")


commands = [flows]
