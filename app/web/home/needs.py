"""“What needs you”: everything that goes on only when a person does something, gathered by cause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from app.storage.connections import connections
from app.storage.connections.connections import ConnectionRow
from app.storage.database.executor import Executor
from app.storage.flows import flows, subscriptions, triggers
from app.storage.flows.flows import FlowRow
from app.storage.history.rows import RunRow
from app.storage.history.runs import runs_page

_RUNS_LOOKED_AT = 200


@dataclass(frozen=True)
class Need:
    """`look`: bad | warn | quiet.  `button` leads to where it is mended."""

    look: str
    icon: str
    title: str
    sentence: str
    address: str
    button: str
    at: datetime | None = None
    about: str = ""


def needs(db: Executor, all_flows: list[FlowRow]) -> list[Need]:
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
            "Mend the connection",
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


def counted(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"
