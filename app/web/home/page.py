"""The first page: what needs me, how today goes, what ran last, which flows are on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from flask import Blueprint, Response

from app.storage.database.db import pages_db
from app.storage.flows.flows import FlowRow, list_flows
from app.storage.history import counts as run_counts
from app.storage.history.runs import runs_page
from app.storage.upkeep.ledger_days import differing
from app.watch.ledger import SHOWN_DAYS, days_until
from app.web.frame.context import parts, zone_name
from app.web.frame.hx import page
from app.web.frame.security import public
from app.web.home.needs import needs

blueprint = Blueprint("home", __name__)

_NEEDS_SHOWN = 8
_FLOWS_SHOWN = 12


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
class FlowLine:
    flow: FlowRow
    runs: int
    stopped: int


@blueprint.get("/")
def index() -> Response:
    flows = list_flows(pages_db.session)
    if not flows:
        return page("home/empty.html", demo_url=parts().settings.demo_url)
    since = _midnight()
    counts = run_counts.counts_by_flow(pages_db.session, since=since)
    found = needs(pages_db.session, flows)
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


def _midnight() -> datetime:
    """The begin of today where the reader is."""
    now = parts().clock.now().astimezone(ZoneInfo(zone_name()))
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


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


def _lines(flows: list[FlowRow], counts: dict[str, dict[str, int]]) -> list[FlowLine]:
    """Those that are on first, then by how much they did today."""
    lines = []
    for flow in flows:
        of_flow = counts.get(flow.id, {})
        stopped = of_flow.get("failed", 0) + of_flow.get("dead", 0)
        lines.append(FlowLine(flow, sum(of_flow.values()), stopped))
    return sorted(lines, key=lambda line: (not line.flow.is_on, -line.runs, line.flow.name.lower()))
