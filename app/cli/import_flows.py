"""`plumbline import`: flows from other tools, as drafts, with a report of what stayed behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from app.cli.opened import opened_parts, print_json
from app.errors import FlowInvalid
from app.imports.flows.reading import LIMIT_SIZE, Brought, bring_flows
from app.intake.importing import Imported, import_drafts


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
        brought = bring_flows(_text(file), parts.registry, file=str(file), time_zone=time_zone, tool=tool)
        made = [] if dry_run else import_drafts(parts, brought.drafts)
    _print(brought, made, as_json)


def _text(file: Path) -> str:
    if file.stat().st_size > LIMIT_SIZE * 4:
        raise FlowInvalid(f"the file is larger than {LIMIT_SIZE // 1_000_000} MB.", where=str(file))
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as reason:
        raise FlowInvalid("this is not a text file.", where=str(file)) from reason


def _print(brought: Brought, made: list[Imported], as_json: bool) -> None:
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


commands = [import_group]
