"""`plumbline runs`: the history, for programs and for a look over ssh."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

from app.cli.opened import opened_parts, print_json
from app.cli.run_json import row_as_json, run_as_json
from app.storage.history.detail import get_run
from app.storage.history.runs import STATES, runs_page

_AGO = re.compile(r"(\d+)(m|h|d)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@click.group()
def runs() -> None:
    """Look into the history of runs."""


@runs.command("list")
@click.option("--flow", "flow_id", help="Only runs of this flow.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(STATES), help="May be given several times."
)
@click.option("--since", help="Such as 2h, 7d, 2026-11-21 or 2026-11-21T09:00.")
@click.option("--until", help="As --since.")
@click.option("--text", default="", help="In the label, or the id of a run or event.")
@click.option("--before", help="The next page: the `next_before` of the page before.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 200))
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_runs(
    flow_id: str | None,
    states: tuple[str, ...],
    since: str | None,
    until: str | None,
    text: str,
    before: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print runs, the newest first."""
    with opened_parts() as parts, parts.database.read() as db:
        page = runs_page(
            db,
            flow_id=flow_id,
            states=states,
            since=_moment(since),
            until=_moment(until),
            text=text,
            before=before,
            limit=limit,
        )
    if as_json:
        rows = [row_as_json(row) for row in page.rows]
        print_json({"runs": rows, "next_before": page.next_before, "searched_back_to": page.searched_back_to})
        return
    for row in page.rows:
        click.echo(
            f"{row.created_at:%Y-%m-%d %H:%M:%S}  {row.id}  {row.state:9}  {row.label}  {row.sentence}"
        )


@runs.command()
@click.argument("run_id")
@click.option("--json", "as_json", is_flag=True, help="For programs: event, steps and calls.")
def show(run_id: str, as_json: bool) -> None:
    """Print one run with every step and call."""
    with opened_parts() as parts, parts.database.read() as db:
        detail = get_run(db, run_id)
    if as_json:
        print_json(run_as_json(detail))
        return
    click.echo(f"{detail.run.id}  {detail.run.state}  {detail.run.label}  {detail.run.sentence}")
    for step in detail.steps:
        click.echo(f"  {step.step_key}  {step.state}  {step.sentence}")
        for call in detail.calls.get(step.step_key, []):
            answer = call.status if call.status is not None else "no answer"
            click.echo(
                f"    {call.method} {call.url}  {answer}  {call.duration_ms or '?'} ms  {call.sentence}"
            )


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    if (ago := _AGO.fullmatch(text)) is not None:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as reason:
        raise click.BadParameter(f"“{text}” is not a time: write 2h, 7d or 2026-11-21T09:00.") from reason
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


commands = [runs]
