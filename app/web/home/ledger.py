"""The ledger: what came in and what became of it, per day and flow, each number with the runs behind it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Flask, Response, request

from app.commands import settings
from app.errors import NotFound
from app.storage.database.db import pages_db
from app.storage.database.server_values import get_value
from app.storage.flows.flows import flow_choices, get_flow
from app.storage.upkeep.ledger_days import differing, flow_names
from app.watch.ledger import SHOWN_DAYS, Day, by_day, days_until, of_day, of_flow
from app.watch.ledger_check import CHECKED_AT
from app.web.frame.context import parts, who
from app.web.frame.hx import page, redirect
from app.web.runs.filter import known_day

blueprint = Blueprint("ledger", __name__)

# Figure, heading, what it counts; in the order of the columns.
COLUMNS = (
    ("received", "Received", "Everything that came in: records, repeated records and refused deliveries."),
    ("succeeded", "Succeeded", "Every step was done."),
    ("filtered", "Filtered", "A filter of the flow said that nothing was to be done."),
    ("failed", "Failed", "A step failed, and nobody has dealt with it yet: it is listed under Incidents."),
    ("settled", "Put right", "Failed at first, and then sent again with success or put away by a person."),
    ("held", "Held", "Waits for a person: a held flow or connection, or a call whose outcome is unknown."),
    ("waiting", "Waiting", "Under way, or goes on by itself: a delay, a later try, a limit."),
    ("cancelled", "Cancelled", "A person stopped it."),
    ("duplicates", "Came again", "Had come before, was recognised, and was not done twice."),
    ("refused", "Refused", "Turned away, for example because of a wrong signature; the reason is kept."),
)
WORDS = {key: heading for key, heading, _ in COLUMNS}


@blueprint.record_once
def _register(state: object) -> None:
    app: Flask = state.app  # type: ignore[attr-defined]
    app.jinja_env.globals |= {
        "ledger_columns": COLUMNS,
        "ledger_words": WORDS,
        "ledger_figure": figure,
        "ledger_link": link,
    }


def figure(one: Day, name: str) -> int:
    if name == "received":
        return one.received
    holder = one.came if name in ("duplicates", "refused") else one.became
    return int(getattr(holder, name))


def link(one: Day, name: str) -> str:
    """Where exactly what the figure counts is listed."""
    if not one.flow_id:
        return f"/ledger/{one.day}"
    if name in ("duplicates", "refused"):
        outcome = "repeated" if name == "duplicates" else name
        return f"/flows/{one.flow_id}/deliveries?{urlencode({'outcome': outcome, 'day': one.day})}"
    asked = {"flow": one.flow_id, "day": one.day} | ({} if name == "received" else {"became": name})
    return f"/runs?{urlencode(asked)}"


@blueprint.get("/ledger")
def index() -> Response:
    flow_id = request.args.get("flow", "")[:64]
    if flow_id:
        return redirect(f"/flows/{get_flow(pages_db.session, flow_id).id}/ledger")
    now = parts().clock.now()
    days = by_day(parts().database, now)
    return page(
        "home/ledger/index.html",
        days=days,
        total=total(days),
        flows=flow_choices(pages_db.session),
        **_verdict(),
    )


@blueprint.get("/ledger/<day>")
def show_day(day: str) -> Response:
    if known_day(day) != day:
        raise NotFound("This is not a day of the ledger.", remedy="A day is written like 2026-11-21.")
    lines, names = of_day(parts().database, day), flow_names(pages_db.session)
    lines.sort(key=lambda one: (one.adds_up, -one.received, names.get(one.flow_id, "")))
    return page("home/ledger/day.html", day=day, lines=lines, total=total(lines), names=names, **_verdict())


@blueprint.get("/flows/<flow_id>/ledger")
def show_flow(flow_id: str) -> Response:
    flow = get_flow(pages_db.session, flow_id)
    days = of_flow(parts().database, parts().clock.now(), flow_id)
    return page("home/ledger/flow.html", flow=flow, days=days, total=total(days), **_verdict())


@blueprint.post("/ledger/check")
def check_now() -> Response:
    settings.check_ledger(who(), parts())
    return redirect("/ledger")


def total(lines: Iterable[Day]) -> Day:
    found = Day("", "")
    for one in lines:
        found.add(one)
        found.found += one.found
    return found


def _verdict() -> dict[str, Any]:
    """What the last check said about the days that are shown."""
    now = parts().clock.now()
    wrong = differing(pages_db.session, days_until(now, SHOWN_DAYS)[-1])
    names = flow_names(pages_db.session) if wrong else {}
    checked = get_value(pages_db.session, CHECKED_AT)
    return {
        "wrong": [
            (slot, names.get(slot.flow_id, "A deleted flow"), kept.sentence) for slot, kept in wrong.items()
        ],
        "checked_at": datetime.fromisoformat(checked) if checked else None,
        "checked_late": checked is not None and now - datetime.fromisoformat(checked) > timedelta(hours=3),
    }
