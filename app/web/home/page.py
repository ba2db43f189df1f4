"""The first page: what needs me, how today goes, what ran last, which flows are on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Blueprint, Response

from app.storage.connections import connections
from app.storage.connections.connections import ConnectionRow
from app.storage.database.db import pages_db
from app.storage.database.executor import Executor
from app.storage.flows import flows, subscriptions, triggers
from app.storage.flows.flows import FlowRow, list_flows
from app.storage.history import counts as run_counts
from app.storage.history.rows import RunRow
from app.storage.history.runs import runs_page
from app.storage.upkeep.ledger_days import differing
from app.watch.ledger import SHOWN_DAYS, days_until
from app.web.frame.context import parts, zone_name
from app.web.frame.hx import page
from app.web.frame.security import public
from app.web.runs.words import counted

blueprint = Blueprint("home", __name__)

_NEEDS_SHOWN = 8
_FLOWS_SHOWN = 12
_RUNS_LOOKED_AT = 200


@dataclass(frozen=True)
class Today:
    runs: int
    succeeded: int
    stopped: int
    under_way: int
    speed: timedelta | None

    @property
    def success(self) -> str:
        """Of those that ended; '' before any has."""
        ended = self.succeeded + self.stopped
        if not ended:
            return ""
        share = self.succeeded / ended * 100
        return "100%" if self.stopped == 0 else f"{min(share, 99.9):.1f}%"


@dataclass(frozen=True)
class FlowToday:
    flow: FlowRow
    runs: int
    stopped: int


@blueprint.get("/")
def index() -> Response:
    flows = list_flows(pages_db.session)
    if not flows:
        return page("home/empty.html", demo_url=parts().settings.demo_url)
    here = parts().clock.now().astimezone(ZoneInfo(zone_name()))
    since = here.replace(hour=0, minute=0, second=0, microsecond=0)
    counts = run_counts.counts_by_flow(pages_db.session, since=since)
    found = what_needs_you(pages_db.session, flows)
    return page(
        "home/index.html",
        block="live",
        needs=found[:_NEEDS_SHOWN],
        adds_up=not differing(pages_db.session, days_until(parts().clock.now(), SHOWN_DAYS)[-1]),
        more_needs=max(len(found) - _NEEDS_SHOWN, 0),
        today=_today(counts),
        recent=runs_page(pages_db.session, limit=8).rows,
        lines=_lines(flows, counts)[:_FLOWS_SHOWN],
        number_of_flows=len(flows),
        number_on=sum(1 for flow in flows if flow.is_on),
        demo_url=parts().settings.demo_url,
    )


@blueprint.get("/healthz")
@public
def health() -> Response:
    """For whoever watches the process: 200 while it answers and its database does."""
    with parts().database.read() as db:
        db.exec_driver_sql("SELECT 1")
    return Response("ok\n", mimetype="text/plain", headers={"Cache-Control": "no-store"})


def _today(counts: dict[str, dict[str, int]]) -> Today:
    def total(*states: str) -> int:
        return sum(of_flow.get(state, 0) for of_flow in counts.values() for state in states)

    speed = run_counts.speed(pages_db.session)
    return Today(
        runs=sum(sum(of_flow.values()) for of_flow in counts.values()),
        succeeded=total("succeeded", "filtered"),
        stopped=total("failed", "dead"),
        under_way=total("queued", "running", "waiting"),
        speed=speed.p95 if speed else None,
    )


def _lines(flows: list[FlowRow], counts: dict[str, dict[str, int]]) -> list[FlowToday]:
    """Those that are on first, then by how much they did today."""
    lines = []
    for flow in flows:
        of_flow = counts.get(flow.id, {})
        stopped = of_flow.get("failed", 0) + of_flow.get("dead", 0)
        lines.append(FlowToday(flow, sum(of_flow.values()), stopped))
    return sorted(lines, key=lambda line: (not line.flow.is_on, -line.runs, line.flow.name.lower()))


# ----------------------------------------------------------------------------- what needs you


@dataclass(frozen=True)
class Need:
    """`look`: bad | warn | quiet.  `button` leads to where it is fixed."""

    look: str
    icon: str
    title: str
    sentence: str
    address: str
    button: str
    at: datetime | None = None
    about: str = ""


def what_needs_you(db: Executor, all_flows: list[FlowRow]) -> list[Need]:
    """The gravest first: what stopped, what waits for a decision, what could stop next."""
    rows = runs_page(db, needs_person=True, limit=_RUNS_LOOKED_AT).rows
    all_connections = connections.list_connections(db)
    broken = [row for row in all_connections if row.state != "ok"]
    found = [
        *_broken(broken, rows),
        *_held_connections([row for row in all_connections if row.is_held], rows),
        *_stopped(rows),
        *_undecided(rows),
        *_untold(db, all_flows),
        *_failing_polls(db, all_flows),
        *_held_flows(all_flows, rows),
        *_unpublished(db, all_flows),
    ]
    ranks = {"bad": 0, "warn": 1, "quiet": 2}
    return sorted(found, key=lambda need: ranks[need.look])


def _broken(broken: list[ConnectionRow], rows: list[RunRow]) -> Iterator[Need]:
    for row in broken:
        waiting = sum(1 for run in rows if run.waits_for == row.id and run.reason == "held_connection")
        held = f" {counted(waiting, 'run')} {'waits' if waiting == 1 else 'wait'} for it." if waiting else ""
        yield Need(
            "bad",
            "unplug",
            f"The connection “{row.name}” needs you",
            (row.state_sentence or "Its key or sign-in is no longer accepted.") + held,
            f"/connections/{row.id}",
            "Fix the connection",
            row.checked_at,
        )


def _held_connections(held: list[ConnectionRow], rows: list[RunRow]) -> Iterator[Need]:
    for row in held:
        waiting = sum(1 for run in rows if run.waits_for == row.id and run.reason == "held_connection")
        why = f"“{row.hold_reason}” " if row.hold_reason else ""
        number = f"{counted(waiting, 'run')} {'waits' if waiting == 1 else 'wait'} for it." if waiting else ""
        yield Need(
            "warn",
            "circle-pause",
            f"The connection “{row.name}” is held",
            f"{why}Nothing goes out with it until it is resumed. {number}".strip(),
            f"/connections/{row.id}",
            "Open the connection",
        )


def _stopped(rows: list[RunRow]) -> Iterator[Need]:
    """One entry for all runs that stopped at the same step for the same kind of reason."""
    for same in _together(row for row in rows if row.state in ("failed", "dead")):
        newest, number = same[0], len(same)
        of_flow = urlencode({"flow": newest.flow_id, "needs": "1"})
        yield Need(
            "bad",
            "octagon-x",
            f"{counted(number, 'run')} stopped" if number > 1 else f"{newest.label or 'A run'} stopped",
            newest.sentence or "It ended without saying why.",
            f"/runs/{newest.id}" if number == 1 else f"/runs?{of_flow}",
            "See why" if number == 1 else "See the runs",
            newest.finished_at or newest.created_at,
            newest.flow_name,
        )


def _undecided(rows: list[RunRow]) -> Iterator[Need]:
    for row in rows:
        if row.state == "waiting" and row.reason == "unknown":
            yield Need(
                "warn",
                "circle-help",
                f"{row.label or 'A run'} waits for your decision",
                row.sentence or "Nobody knows whether its last call arrived.",
                f"/runs/{row.id}",
                "Decide",
                row.created_at,
                row.flow_name,
            )


def _untold(db: Executor, all_flows: list[FlowRow]) -> Iterator[Need]:
    """Flows that get nothing, as their service was not told where to send, or does not want to."""
    named = {flow.id: flow for flow in all_flows if flow.is_on}
    for row in subscriptions.in_trouble(db):
        if row.flow_id in named:
            yield Need(
                "bad",
                "webhook",
                f"“{named[row.flow_id].name}” gets nothing",
                f"{row.sentence} {row.remedy}".strip(),
                f"/flows/{row.flow_id}/subscription",
                "See why",
                row.created_at,
            )


def _failing_polls(db: Executor, all_flows: list[FlowRow]) -> Iterator[Need]:
    named = {flow.id: flow for flow in all_flows if flow.is_on}
    for trigger in triggers.list_triggers(db):
        if trigger.is_on and trigger.fail_count and trigger.flow_id in named:
            times = "Its last look" if trigger.fail_count == 1 else f"Its last {trigger.fail_count} looks"
            yield Need(
                "warn",
                "radio",
                f"“{named[trigger.flow_id].name}” cannot look for new events",
                f"{times} failed: {trigger.last_error} It tries again by itself and misses nothing.",
                f"/flows/{trigger.flow_id}",
                "Open the flow",
                trigger.last_ended_at,
            )


def _held_flows(all_flows: list[FlowRow], rows: list[RunRow]) -> Iterator[Need]:
    for flow in all_flows:
        if flow.is_held:
            waiting = sum(1 for run in rows if run.flow_id == flow.id and run.reason == "held_flow")
            number = f"{counted(waiting, 'run')} so far. " if waiting else ""
            why = f"“{flow.hold_reason}” " if flow.hold_reason else ""
            yield Need(
                "warn",
                "circle-pause",
                f"“{flow.name}” is held",
                f"{why}Its events are kept, and their runs wait: {number}Release it to let them go on."
                if waiting
                else f"{why}Its events are kept, and their runs wait until it is released.",
                f"/flows/{flow.id}",
                "Open the flow",
            )


def _unpublished(db: Executor, all_flows: list[FlowRow]) -> Iterator[Need]:
    changed = flows.changed_drafts(db)
    for flow in all_flows:
        if flow.id in changed and flow.live_version_id:
            yield Need(
                "quiet",
                "square-pen",
                f"“{flow.name}” has changes that are not live",
                f"Version {flow.live_number} runs until you publish them.",
                f"/flows/{flow.id}",
                "Review and publish",
                flow.updated_at,
            )


def _together(rows: Iterable[RunRow]) -> list[list[RunRow]]:
    groups: dict[tuple[str, str | None, str | None], list[RunRow]] = {}
    for row in rows:
        groups.setdefault((row.flow_id, row.position, row.error_kind), []).append(row)
    return list(groups.values())
