"""`plumbline flows` and `plumbline import`: flows as files, and flows from other tools as drafts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from app.cli.opened import opened_parts, print_json
from app.commands.flows import Imported, import_drafts, import_files
from app.commands.who import SHELL
from app.errors import FlowInvalid
from app.flows.portable.files import FileConnection, FlowFile, connection_ids, from_text, to_text
from app.imports.flows.reading import LIMIT_SIZE, Brought, bring_flows
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
        files = read_flow_file(file, _settings(values))
        made = import_files(SHELL, parts, files, publish_them=publish, on=on)
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


@click.group("import")
def import_group() -> None:
    """Bring flows from n8n or Make."""


def _options(command: Any) -> Any:
    file = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
    as_json = click.option("--json", "as_json", is_flag=True, help="For programs.")
    dry = click.option("--dry-run", is_flag=True, help="Only report; store nothing.")
    zone = click.option("--time-zone", default="UTC", help="For schedules that name none.")
    return file(as_json(dry(zone(command))))


@import_group.command("n8n")
@_options
def import_n8n(file: Path, as_json: bool, dry_run: bool, time_zone: str) -> None:
    """Read FILE, an export of n8n, as drafts."""
    _bring(file, "n8n", as_json, dry_run, time_zone)


@import_group.command("make")
@_options
def import_make(file: Path, as_json: bool, dry_run: bool, time_zone: str) -> None:
    """Read FILE, a blueprint of Make, as a draft."""
    _bring(file, "make", as_json, dry_run, time_zone)


def _bring(file: Path, tool: str, as_json: bool, dry_run: bool, time_zone: str) -> None:
    with opened_parts() as parts:
        brought = bring_flows(_text_of(file), parts.registry, file=str(file), time_zone=time_zone, tool=tool)
        made = [] if dry_run else import_drafts(SHELL, parts, brought.drafts)
    _print_brought(brought, made, as_json)


def _text_of(file: Path) -> str:
    if file.stat().st_size > LIMIT_SIZE * 4:
        raise FlowInvalid(f"the file is larger than {LIMIT_SIZE // 1_000_000} MB.", where=str(file))
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as reason:
        raise FlowInvalid("this is not a text file.", where=str(file)) from reason


def _print_brought(brought: Brought, made: list[Imported], as_json: bool) -> None:
    report = brought.report.as_json()
    if as_json:
        named = [{"id": one.id, "name": one.name} for one in made]
        named = named or [{"id": "", "name": draft.file.definition.name} for draft in brought.drafts]
        print_json({**report, "flows": named})
        return
    for one in made:
        click.echo(f"Brought “{one.name}” ({one.id}) as a draft")
    click.echo(
        f"{report['carried']} of {report['nodes']} nodes and {report['carried_expressions']} of "
        f"{report['expressions']} expressions were brought along."
    )
    for line in brought.report.lines:
        click.echo(f"  {line.where}: {line.what}\n      {line.reason}")


commands = [flows, import_group]
