"""Alerts: what somebody should know of now, what is over, and who is told of them."""

from __future__ import annotations

import re
from concurrent.futures import TimeoutError as WaitedTooLong
from dataclasses import dataclass
from datetime import time
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from flask import Blueprint, Flask, Response, flash, g, request
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.errors import CallFailed
from app.ids import new_id
from app.storage.database.db import pages_db
from app.storage.people import audit
from app.storage.people.users import is_email, list_users
from app.storage.upkeep import alerts
from app.storage.upkeep.alerts import AlertRow, Telling, Told, administrators
from app.storage.upkeep.ledger_days import flow_names
from app.watch.telling import MAIL, SEALED_FOR, Post, send_to_mail, send_to_web
from app.web.frame.context import me, my_id, only_admins, parts
from app.web.frame.hx import page, redirect

blueprint = Blueprint("alerts", __name__)

_PAGE = "/settings/alerts"
_FOR_ADMINS = "choose who is told of alerts"
_FIELDS = ("to", "quiet_from", "quiet_to", "time_zone", "webhook")
_LONGEST = 2000
_MOST_READERS = 20
_WAITS_S = 60
_SEPARATORS = re.compile(r"[,;\s]+")
_TRIED = (
    "This is a test of Plumbline's alerts. Whoever reads it will be told when a run stops, a connection "
    "needs a new key, or a flow receives nothing."
)
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
    by, now = my_id(), parts().clock.now()
    parts().database.write(lambda db: alerts.mark_seen(db, alert_id, by=by, now=now))
    return redirect("/alerts")


@blueprint.post("/alerts/seen")
def mark_all_seen() -> Response:
    by, now = my_id(), parts().clock.now()
    number = parts().database.write(lambda db: alerts.mark_all_seen(db, by=by, now=now))
    flash("1 alert is marked as seen." if number == 1 else f"{number} alerts are marked as seen.", "success")
    return redirect("/alerts")


# ------------------------------------------------------------------------------- who is told of them


@blueprint.get(_PAGE)
def show_settings() -> Response:
    only_admins(_FOR_ADMINS)
    telling = alerts.read_telling(pages_db.session)
    return _shown_settings(telling, {name: getattr(telling, name) for name in _FIELDS[:4]}, {})


@blueprint.post(_PAGE)
def save_settings() -> Response:
    only_admins(_FOR_ADMINS)
    before = alerts.read_telling(pages_db.session)
    values = {name: request.form.get(name, "").strip()[:_LONGEST] for name in _FIELDS}
    problems = _problems(values)
    if problems:
        return _shown_settings(before, values, problems)
    telling = _typed_telling(values, before)
    by, now = my_id(), parts().clock.now()

    def work(db: Connection) -> None:
        alerts.save_telling(db, telling)
        alerts.forget_failures(db)
        action = "changed who is told of alerts"
        audit.record(db, now=now, user_id=by, action=action, noun="server", noun_id="", detail=None)

    parts().database.write(work)
    flash("Saved.", "success")
    return redirect(_PAGE)


def _typed_telling(values: dict[str, str], before: Telling) -> Telling:
    """The web address is written, never shown: an empty field leaves it as it is."""
    webhook = before.webhook
    if request.form.get("forget_webhook"):
        webhook = ""
    elif values["webhook"]:
        webhook = parts().vault.seal(values["webhook"].encode(), SEALED_FOR).hex()
    return Telling(
        to=", ".join(_addresses(values["to"])),
        owners=bool(request.form.get("owners")),
        quiet_from=values["quiet_from"],
        quiet_to=values["quiet_to"],
        time_zone=values["time_zone"] or "UTC",
        webhook=webhook,
    )


def _addresses(text: str) -> list[str]:
    return list(dict.fromkeys(part for part in _SEPARATORS.split(text) if part))


def _problems(values: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    addresses = _addresses(values["to"])
    wrong = [one for one in addresses if not is_email(one)]
    if wrong:
        found["to"] = f"“{wrong[0][:80]}” is not an e-mail address."
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
    only_admins(_FOR_ADMINS)
    telling = alerts.read_telling(pages_db.session)
    user = me()
    to = telling.to or (user.email if user else "")
    if not parts().settings.smtp_url and not telling.webhook:
        flash("There is no way to tell anybody yet: neither a mail server nor a web address.", "error")
        return redirect(_PAGE)
    if not parts().engine.is_started:
        flash("The server is not running in full, so nothing can be sent now.", "error")
        return redirect(_PAGE)
    own = parts()
    post = Post(own.settings, own.clock, own.database, own.vault, own.caller)
    try:
        said = parts().engine.spawn(_try(post, telling, to)).result(timeout=_WAITS_S)
    except WaitedTooLong:
        said = [("error", "The test took longer than a minute and was left to itself.")]
    for kind, sentence in said:
        flash(sentence, kind)
    return redirect(_PAGE)


async def _try(post: Post, telling: Telling, to: str) -> list[tuple[str, str]]:
    said = []
    if post.settings.smtp_url:
        subject, key = "Plumbline: a test of alerts", new_id("test")
        failure = await send_to_mail(post, to, subject, f"{_TRIED}\n\n{post.settings.base_url}\n", key=key)
        said.append(_outcome(f"The test mail went to {to}.", failure))
    if telling.webhook:
        failure = await send_to_web(post, telling, _TRIED)
        said.append(_outcome("The web address took the test.", failure))
    return said


def _outcome(good: str, failure: CallFailed | None) -> tuple[str, str]:
    return ("success", good) if failure is None else ("error", f"{failure.sentence} {failure.remedy}".strip())


def _shown_settings(telling: Telling, values: dict[str, str], problems: dict[str, str]) -> Response:
    settings = parts().settings
    return page(
        "home/alerts/settings.html",
        status=422 if problems else 200,
        telling=telling,
        values=values,
        problems=problems,
        has_mail=bool(settings.smtp_url),
        administrators=", ".join(administrators(pages_db.session)),
        zones=sorted(available_timezones()),
    )
