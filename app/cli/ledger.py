"""`plumbline ledger`: does what came in come to what became of it?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from app.cli.opened import opened_parts, print_json
from app.parts import Parts
from app.storage.flows.flows import get_flow
from app.storage.upkeep.ledger_days import flow_names
from app.watch.ledger import SHOWN_DAYS, Day, days_until, of_day, of_flow
from app.watch.ledger_check import Verdict, verdicts

_COLUMNS = ("received", "succeeded", "filtered", "failed", "settled", "held", "waiting", "cancelled")
_MOST_DAYS = 400


@click.command()
@click.option("--flow", "flow_id", default="", help="Only this flow.")
@click.option("--days", default=SHOWN_DAYS, show_default=True, type=click.IntRange(1, _MOST_DAYS))
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def ledger(ctx: click.Context, flow_id: str, days: int, as_json: bool) -> None:
    """Per flow and day (UTC): what came in and what became of it; exit code 1 when it does not add up.

    Every event and delivery of these days is counted anew.  It changes nothing and may run beside the
    server.
    """
    with opened_parts() as parts:
        now = parts.clock.now()
        wrong = list(verdicts(parts.database, now, days=days, everything=True))
        wrong = [one for one in wrong if one.difference and flow_id in ("", one.slot.flow_id)]
        lines, names = _lines(parts, flow_id, days), _names(parts)
    if as_json:
        print_json(_document(lines, wrong, names))
    else:
        _print(lines, wrong, names)
    if wrong:
        ctx.exit(1)


def _lines(parts: Parts, flow_id: str, days: int) -> list[Day]:
    now = parts.clock.now()
    if flow_id:
        with parts.database.read() as db:
            get_flow(db, flow_id)  # or there is no such flow
        return of_flow(parts.database, now, flow_id, days=days)
    return [one for day in days_until(now, days) for one in of_day(parts.database, day)]


def _names(parts: Parts) -> dict[str, str]:
    with parts.database.read() as db:
        return flow_names(db)


def _document(lines: Sequence[Day], wrong: Sequence[Verdict], names: dict[str, str]) -> dict[str, Any]:
    found = {(one.slot.flow_id, one.slot.day): one for one in wrong}
    rows = [_row(one, found.get((one.flow_id, one.day)), names) for one in lines]
    return {"time_zone": "UTC", "adds_up": not wrong, "days": rows}


def _row(one: Day, verdict: Verdict | None, names: dict[str, str]) -> dict[str, Any]:
    return {
        "day": one.day,
        "flow": one.flow_id,
        "name": names.get(one.flow_id, ""),
        "received": one.received,
        "by": {name: getattr(one.came, name) for name in ("webhook", "poll", "schedule", "manual")},
        **{name: getattr(one.became, name) for name in _COLUMNS[1:]},
        "duplicates": one.came.duplicates,
        "refused": one.came.refused,
        "difference": verdict.difference if verdict else 0,
        "sentence": verdict.sentence if verdict else "",
    }


def _print(lines: Sequence[Day], wrong: Sequence[Verdict], names: dict[str, str]) -> None:
    columns = (*_COLUMNS, "duplicates", "refused")
    click.echo("  ".join(["day (UTC) ", *columns, "flow"]))
    for one in lines:
        if one.received or one.accounted:
            row = _row(one, None, names)
            figures = [f"{row[name]:>{len(name)},}" for name in columns]
            click.echo("  ".join([one.day, *figures, row["name"] or one.flow_id]))
    for verdict in wrong:
        name = names.get(verdict.slot.flow_id, verdict.slot.flow_id)
        click.echo(f"{verdict.slot.day}, {name}: {verdict.sentence}", err=True)
    click.echo("It does not add up." if wrong else "It adds up.")


commands = [ledger]
