"""`plumbline connectors import-openapi`: a connector from the description of an API."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import click

from app.calls.http.documents import Documents
from app.cli.opened import print_json
from app.clock import SystemClock
from app.errors import ConnectorInvalid
from app.imports.apis.choices import SIGN_INS, Choices
from app.imports.apis.draft import Draft
from app.imports.apis.fetching import draft_with_references
from app.imports.apis.folder import write_connector
from app.imports.apis.given import Given
from app.imports.apis.operations import at_of
from app.imports.apis.reading import MOST_BYTES
from app.parts import connector_folders
from app.settings import Settings

_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


@click.command("import-openapi")
@click.argument("source", metavar="FILE_OR_URL")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--dry-run", is_flag=True, help="Only report; write nothing.")
@click.option("--key", default="", help="What the connector's folder is called; else made from the title.")
@click.option("--name", default="", help="As people read it; else the document's title.")
@click.option("--only", multiple=True, metavar="OP", help="Take this operation, by key, id or “GET /path”.")
@click.option("--server", default="", help="The API's address, where the document names several or none.")
@click.option(
    "--auth", type=click.Choice(SIGN_INS[1:]), default=None, help="How one signs in, if not as it says."
)
@click.option("--auth-name", default="", help="With --auth header or query: the name of that.")
@click.option("--replace", is_flag=True, help="Take the place of a connector that was imported before.")
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), help="Else that of your connectors."
)
def import_openapi(
    source: str,
    as_json: bool,
    dry_run: bool,
    key: str,
    name: str,
    only: tuple[str, ...],
    server: str,
    auth: str | None,
    auth_name: str,
    replace: bool,
    folder: Path | None,
) -> None:
    """Make a connector of FILE_OR_URL: OpenAPI 3.0 or 3.1 or Swagger 2.0, as JSON or YAML."""
    settings = Settings.from_env()
    choices = Choices(_key(key), name, server, auth or "", auth_name)
    documents = Documents(settings)
    today = SystemClock().now().date().isoformat()
    draft = draft_with_references(_given(source, today, choices, documents), documents.fetch)
    if not key:
        _settle_key(draft, settings)
    chosen = _chosen(draft, only)
    made: Path | None = None
    if draft.usable:
        place = folder or settings.connectors_folder
        made = write_connector(draft, place, only=chosen, replace=replace, dry=dry_run).folder
    _print(draft, chosen, made, as_json)


def _key(key: str) -> str:
    if key and not re.fullmatch(r"[a-z][a-z0-9_]{1,47}", key):
        raise ConnectorInvalid("a key has small letters, digits and _ only, such as my_shop.", file=key[:60])
    return key


def _settle_key(draft: Draft, settings: Settings) -> None:
    """Without a key that somebody chose, no bundled connector is taken over."""
    folders = [folder for source, folder in connector_folders(settings) if source != "yours"]
    if any((folder / draft.key).is_dir() for folder in folders):
        draft.key = draft.head["key"] = f"{draft.key[:40]}_api"


def _given(source: str, today: str, choices: Choices, documents: Documents) -> Given:
    if _ADDRESS.match(source):
        content = documents.fetch(source)
        return Given(content, source, today, home=source, choices=choices)
    file = Path(source)
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as reason:
        raise ConnectorInvalid(f"it cannot be read ({reason.strerror}).", file=source[:200]) from reason
    return Given(content, file.name, today, choices=choices)


def _chosen(draft: Draft, only: Collection[str]) -> list[str]:
    """Keys of the operations that are taken.  Raises ConnectorInvalid for a name nothing has."""
    if not only:
        return [one.key for one in draft.usable]
    chosen = []
    for name in only:
        found = next((one for one in draft.operations if name in (one.key, one.title, one.label)), None)
        if found is None:
            raise ConnectorInvalid(
                f"there is no operation “{name[:80]}”.",
                file=draft.key,
                remedy="Run with --dry-run --json to see what there is.",
            )
        if found.reason:
            raise ConnectorInvalid(f"“{name[:80]}” cannot be used. {found.reason}", file=draft.key)
        chosen.append(found.key)
    return chosen


def _print(draft: Draft, chosen: list[str], made: Path | None, as_json: bool) -> None:
    refused = [{"operation": one.title, "reason": one.reason} for one in draft.refused]
    if as_json:
        print_json(_report(draft, chosen, made, refused))
        return
    click.echo(f"{draft.name}: {len(chosen)} of {len(draft.operations)} operations can be used.")
    for one in refused:
        click.echo(f"  {one['operation']}: {one['reason']}")
    for address in _also_at(draft, chosen):
        click.echo(f"  also at {address}: the keys of a connection go there too.")
    for note in draft.notes:
        click.echo(f"  note: {note}")
    if made is not None:
        click.echo(f"Made {made}. Restart Plumbline, or press “Read again” on its page of connectors.")


def _also_at(draft: Draft, chosen: list[str]) -> list[str]:
    return at_of(one for one in draft.usable if one.key in chosen)


def _report(
    draft: Draft, chosen: list[str], made: Path | None, refused: list[dict[str, str]]
) -> dict[str, Any]:
    taken = [one for one in draft.usable if one.key in chosen]
    return {
        "operations": len(draft.operations),
        "imported": len(taken),
        "refused": refused,
        "key": draft.key,
        "folder": str(made) if made is not None else "",
        "triggers": sum(bool(one.trigger) for one in taken),
        "also_at": _also_at(draft, chosen),
        "auth": [auth["type"] for auth in draft.head["auth"]],
        "actions": [{"key": one.key, "operation": one.title} for one in taken],
        "notes": draft.notes,
    }


commands = [import_openapi]
