"""Alerts: what somebody should know of now, what is over, and who is told of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from flask import Blueprint, Flask, Response, flash, g, request
from sqlalchemy.exc import DBAPIError

from app.commands import settings
from app.storage.database.db import pages_db
from app.storage.people.users import is_email, list_users
from app.storage.upkeep import alerts
from app.storage.upkeep.alerts import AlertRow, Telling, Told, administrators
from app.storage.upkeep.ledger_days import flow_names
from app.watch.telling import MAIL
from app.web.frame.context import me, parts, who
from app.web.frame.hx import page, redirect

blueprint = Blueprint("alerts", __name__)

_PAGE = "/settings/alerts"
_FIELDS = ("to", "quiet_from", "quiet_to", "time_zone", "webhook")
_LONGEST = 2000
_MOST_READERS = 20
_SEPARATORS = re.compile(r"[,;\s]+")
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
    telling = alerts.read_telling(pages_db.session)
    names = flow_names(pages_db.session)
    return {
        "is_silent": not parts().settings.smtp_url and not telling.webhook,
        "is_quiet": telling.is_quiet(parts().clock.now()),
        "quiet_to": f"{telling.quiet_to} ({telling.time_zone})",
        "failing": _failing(alerts.failing(pages_db.session), names),
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
    settings.mark_seen(who(), parts(), alert_id)
    return redirect("/alerts")


@blueprint.post("/alerts/seen")
def mark_all_seen() -> Response:
    number = settings.mark_all_seen(who(), parts())
    flash("1 alert is marked as seen." if number == 1 else f"{number} alerts are marked as seen.", "success")
    return redirect("/alerts")


# ------------------------------------------------------------------------------- who is told of them


@blueprint.get(_PAGE)
def show_settings() -> Response:
    who().must("alerts")
    telling = alerts.read_telling(pages_db.session)
    return _shown_settings(telling, {name: getattr(telling, name) for name in _FIELDS[:4]}, {})


@blueprint.post(_PAGE)
def save_settings() -> Response:
    who().must("alerts")
    before = alerts.read_telling(pages_db.session)
    values = {name: request.form.get(name, "").strip()[:_LONGEST] for name in _FIELDS}
    problems = _problems(values)
    if problems:
        return _shown_settings(before, values, problems)
    telling = Telling(
        to=", ".join(_addresses(values["to"])),
        owners=bool(request.form.get("owners")),
        quiet_from=values["quiet_from"],
        quiet_to=values["quiet_to"],
        time_zone=values["time_zone"] or "UTC",
    )
    # The web address is written, never shown: an empty field leaves it as it is.
    webhook = "" if request.form.get("forget_webhook") else values["webhook"] or None
    settings.tell_of_alerts(who(), parts(), telling, webhook=webhook)
    flash("Saved.", "success")
    return redirect(_PAGE)


def _addresses(text: str) -> list[str]:
    return list(dict.fromkeys(part for part in _SEPARATORS.split(text) if part))


def _problems(values: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    addresses = _addresses(values["to"])
    wrong = [one for one in addresses if not is_email(one)]
    if wrong:
        found["to"] = f"“{wrong[0][:80]}” is not an email address."
    elif len(addresses) > _MOST_READERS:
        found["to"] = f"These are {len(addresses)} addresses; at most {_MOST_READERS} are told. Use a list."
    for name in ("quiet_from", "quiet_to"):
        if values[name] and not _is_time(values[name]):
            found[name] = "Write a time like 22:00."
    if bool(values["quiet_from"]) != bool(values["quiet_to"]):
        found.setdefault("quiet_to", "Quiet hours need a begin and an end; leave both empty for none.")
    if values["time_zone"] and values["time_zone"] not in available_timezones():
        found["time_zone"] = f"“{values['time_zone'][:60]}” is not a time zone; one is called Europe/Berlin."
    if values["webhook"] and not _is_web(values["webhook"]):
        found["webhook"] = "This has to be the whole address, beginning with https://."
    return found


def _is_time(text: str) -> bool:
    try:
        return len(text) == 5 and bool(time.fromisoformat(text).strftime("%H:%M") == text)
    except ValueError:
        return False


def _is_web(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("https", "http") and bool(url.hostname) and text.isprintable()
    except ValueError:
        return False


# -------------------------------------------------------------------------------------- trying it


@blueprint.post("/settings/alerts/test")
def try_it() -> Response:
    """To the address of the settings, else to whoever presses the button."""
    who().must("alerts")
    telling = alerts.read_telling(pages_db.session)
    user = me()
    to = telling.to or (user.email if user else "")
    if not parts().settings.smtp_url and not telling.webhook:
        flash("There is no way to tell anybody yet: neither a mail server nor a web address.", "error")
        return redirect(_PAGE)
    if not parts().engine.is_started:
        flash("The server is not running in full, so nothing can be sent now.", "error")
        return redirect(_PAGE)
    try:
        sent = settings.test_alerts(who(), parts(), to)
    except TimeoutError:
        flash("The test took longer than a minute and was left to itself.", "error")
        return redirect(_PAGE)
    arrived = {"mail": f"The test mail went to {to}.", "web": "The web address took the test."}
    for way, failure in sent:
        if failure is None:
            flash(arrived[way], "success")
        else:
            flash(f"{failure.sentence} {failure.remedy}".strip(), "error")
    return redirect(_PAGE)


def _shown_settings(telling: Telling, values: dict[str, str], problems: dict[str, str]) -> Response:
    return page(
        "home/alerts/settings.html",
        status=422 if problems else 200,
        telling=telling,
        values=values,
        problems=problems,
        has_mail=bool(parts().settings.smtp_url),
        administrators=", ".join(administrators(pages_db.session)),
        zones=sorted(available_timezones()),
    )
