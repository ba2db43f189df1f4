"""Alerts: what somebody should know of now, what is over, and how telling of it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Flask, Response, flash, g, request
from sqlalchemy.exc import DBAPIError

from app.storage.database.db import pages_db
from app.storage.people.users import list_users
from app.storage.upkeep import alert_mails, alerts
from app.storage.upkeep.alert_mails import Told
from app.storage.upkeep.alerts import AlertRow
from app.storage.upkeep.ledger_days import flow_names
from app.watch.telling import MAIL
from app.web.frame.context import me, my_id, parts
from app.web.frame.hx import page, redirect

blueprint = Blueprint("alerts", __name__)

_ENDED_SHOWN = 30
_NAMED = 3
# The worst first; what is not named comes last.
RANKS = (
    "ledger",
    "disk",
    "worker",
    "connection",
    "subscription",
    "renamed",
    "dead_letters",
    "poll",
    "away",
    "held",
)
PICTURES = {
    "dead_letters": "octagon-x",
    "renamed": "repeat",
    "connection": "plug-zap",
    "poll": "radio",
    "subscription": "webhook",
    "quiet": "moon",
    "held": "circle-pause",
    "away": "unplug",
    "version": "calendar-clock",
    "disk": "database",
    "ledger": "list-ordered",
    "worker": "server",
}


@dataclass(frozen=True, slots=True)
class Unsent:
    is_mail: bool
    to: str
    about: str
    sentence: str


@blueprint.record_once
def _register(state: object) -> None:
    app: Flask = state.app  # type: ignore[attr-defined]
    app.jinja_env.globals |= {"alert_count": number_unseen, "alert_pictures": PICTURES}


def number_unseen() -> int:
    """For the bell on every page, also of those that say that the database is in trouble."""
    if me() is None:
        return 0
    if "alert_count" not in g:
        try:
            g.alert_count = alerts.number_unseen(pages_db.session)
        except DBAPIError:
            g.alert_count = 0
    return int(g.alert_count)


def worst(rows: list[AlertRow]) -> list[AlertRow]:
    """The worst first, of the same kind the newest."""
    ranks = {kind: rank for rank, kind in enumerate(RANKS)}
    return sorted(rows, key=lambda row: ranks.get(row.kind, len(RANKS)))


@blueprint.get("/alerts")
def index() -> Response:
    before = request.args.get("before", "")[:64]
    rows = worst(alerts.open_alerts(pages_db.session))
    ended = alerts.ended_alerts(pages_db.session, before=before, limit=_ENDED_SHOWN + 1)
    return page(
        "home/alerts/index.html",
        fresh=[row for row in rows if row.seen_at is None],
        seen=[row for row in rows if row.seen_at is not None],
        ended=ended[:_ENDED_SHOWN],
        older=ended[_ENDED_SHOWN - 1].id if len(ended) > _ENDED_SHOWN else "",
        before=before,
        people={user.id: user.name or user.email for user in list_users(pages_db.session)},
        **_telling(),
    )


def _telling() -> dict[str, Any]:
    """Why nobody may be told, and what could not be sent."""
    telling = alert_mails.read_telling(pages_db.session)
    names = flow_names(pages_db.session)
    return {
        "is_silent": not parts().settings.smtp_url and not telling.webhook,
        "is_quiet": telling.is_quiet(parts().clock.now()),
        "quiet_to": f"{telling.quiet_to} ({telling.time_zone})",
        "failing": _failing(alert_mails.failing(pages_db.session), names),
    }


def _failing(rows: list[Told], names: dict[str, str]) -> list[Unsent]:
    """What could not be sent to the same readers for the same reason is one."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for told in rows:
        about = f"“{names[told.noun_id]}”" if told.noun_id in names else "the server and its connections"
        found.setdefault((told.noun.split(":")[0], told.recipients, told.sentence), []).append(about)
    return [
        Unsent(way == MAIL, to, _listed(list(dict.fromkeys(about))), sentence)
        for (way, to, sentence), about in found.items()
    ]


def _listed(names: list[str]) -> str:
    if len(names) > _NAMED:
        names = [*names[:_NAMED], f"{len(names) - _NAMED} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


@blueprint.post("/alerts/<alert_id>/seen")
def mark_seen(alert_id: str) -> Response:
    by, now = my_id(), parts().clock.now()
    parts().database.write(lambda db: alerts.mark_seen(db, alert_id, by=by, now=now))
    return redirect("/alerts")


@blueprint.post("/alerts/seen")
def mark_all_seen() -> Response:
    by, now = my_id(), parts().clock.now()
    number = parts().database.write(lambda db: alerts.mark_all_seen(db, by=by, now=now))
    flash("1 alert is marked as seen." if number == 1 else f"{number} alerts are marked as seen.", "success")
    return redirect("/alerts")
