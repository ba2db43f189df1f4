"""What every page has at hand: the parts of the server, the person signed in, what everybody has to know."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo, available_timezones

from flask import Flask, current_app, g, has_request_context, request, session
from sqlalchemy.exc import DBAPIError

from app.commands.rights import RANKS, Role
from app.commands.who import Who
from app.errors import NotAllowed
from app.storage.cluster.processes import has_role
from app.storage.database.db import pages_db
from app.storage.flows.standstill import get_standstill
from app.storage.people.users import UserRow, find_signed_in
from app.storage.upkeep.alerts import worst_unseen
from app.web.frame.words import OWN_KINDS, STATE_LOOKS, state_word

if TYPE_CHECKING:
    from app.parts import Parts

THEMES = ("auto", "light", "dark")
NAVIGATION = (
    ("/", "Home", "house"),
    ("/flows", "Flows", "workflow"),
    ("/runs", "Runs", "history"),
    ("/dead-letters", "Incidents", "inbox"),
    ("/connections", "Connections", "cable"),
    ("/connectors", "Connectors", "blocks"),
)


@dataclass(frozen=True)
class Moment:
    """A moment as a page shows it: `text` short, `title` complete, both in the reader's zone; `zone`: "UTC"
    where the reader's is not known."""

    iso: str
    text: str
    title: str
    zone: str

    @property
    def said(self) -> str:
        return f"{self.text} {self.zone}".rstrip()


def parts() -> Parts:
    return cast("Parts", current_app.extensions["plumbline"])


def me() -> UserRow | None:
    """Returns the person signed in, None for a stranger; looked up once per request."""
    if "user" not in g:
        user_id, epoch, session_id = (session.get(name) for name in ("user", "epoch", "id"))
        g.user = None
        if isinstance(user_id, str) and isinstance(epoch, int) and isinstance(session_id, str):
            g.user = find_signed_in(pages_db.session, user_id, epoch=epoch, session_id=session_id)
    return cast("UserRow | None", g.user)


def who() -> Who:
    """Returns the person signed in as the one who gives a command.  Raises NotAllowed for a stranger."""
    user = me()
    if user is None:
        raise NotAllowed("You are not signed in.", remedy="Sign in, then try again.")
    return Who(id=user.id, name=user.name, role=cast("Role", user.role), via="page")


def my_id() -> str:
    user = me()
    return user.id if user else ""


def may(role: Role) -> bool:
    """`viewer` may look, `editor` change flows and connections, `admin` people and settings."""
    user = me()
    return user is not None and RANKS[cast("Role", user.role)] >= RANKS[role]


def only_admins(do_this: str, remedy: str = "Ask one of them.") -> None:
    """Raises NotAllowed for everybody else; `do_this` ends the sentence that begins "Only administrators"."""
    if not may("admin"):
        raise NotAllowed(f"Only administrators {do_this}.", remedy=remedy)


def revision_shown() -> int:
    """Returns the revision of the draft that the form was made of; -1, which none has, without one."""
    said = request.form.get("revision", "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 10 else -1


def theme() -> str:
    chosen = request.cookies.get("plumbline_theme", "auto")
    return chosen if chosen in THEMES else "auto"


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _told_zone() -> str:
    """The browser's zone, which `app.js` keeps in a cookie; '' until it has."""
    name = request.cookies.get("plumbline_zone", "").replace("%2F", "/") if has_request_context() else ""
    return name if name in _zones() else ""


def zone_name() -> str:
    return _told_zone() or "UTC"


def moment(value: datetime) -> Moment:
    """Today only the time, this year without the year."""
    here = ZoneInfo(zone_name())
    local, today = value.astimezone(here), parts().clock.now().astimezone(here)
    clock = local.strftime("%H:%M")
    if local.date() == today.date():
        text = clock
    elif local.year == today.year:
        text = f"{local.day} {local:%b}, {clock}"
    else:
        text = f"{local.day} {local:%b %Y}, {clock}"
    title = f"{local:%A} {local.day} {local:%B %Y, %H:%M:%S %Z}"
    zone = "" if _told_zone() else "UTC"
    return Moment(value.isoformat(timespec="seconds"), text, title, zone)


def init_context(app: Flask) -> None:
    app.jinja_env.globals |= {
        "moment": moment,
        "state_word": state_word,
        "state_look": lambda word: STATE_LOOKS.get(word, "quiet"),
        "own_kind": lambda key: OWN_KINDS.get(key, ""),
        "navigation": NAVIGATION,
        "themes": THEMES,
    }
    app.context_processor(_per_page)
    app.template_filter("json_text")(lambda value: json.dumps(value, indent=2, ensure_ascii=False))


def _per_page() -> dict[str, Any]:
    return {
        "me": me(),
        "may": may,
        "theme": theme(),
        "zone": zone_name(),
        "banners": banners() if me() is not None else [],
        "this_path": request.path,
        "this_address": request.full_path.rstrip("?"),
    }


# ------------------------------------------------------------------- what everybody has to know

_GOES_ON = "Webhooks are answered “try again later”, runs, polls and schedules pause. All goes on by itself"


@dataclass(frozen=True)
class Banner:
    """look: bad | warn."""

    look: str
    title: str
    sentence: str
    remedy: str
    address: str = ""
    button: str = ""


def banners() -> list[Banner]:
    return [*_disk(parts()), *_clock(parts()), *_standstill(), *_worst_alert()]


def _disk(parts: Parts) -> list[Banner]:
    trouble = parts.database.writer.trouble
    if parts.space.is_low:
        remedy = f"{_GOES_ON} once there is room: delete files on that disk, or keep history shorter."
        return [Banner("bad", "The disk is almost full", parts.space.sentence, remedy)]
    if trouble is not None:
        sentence = "Nothing can be written to the database now. " + trouble.sentence
        remedy = f"{_GOES_ON} once it can. What was accepted before is safe."
        return [Banner("bad", "Nothing can be written", sentence, remedy)]
    return []


def _clock(parts: Parts) -> list[Banner]:
    """Who looks after everything is the scheduler: that it is away must be noticed by another process."""
    if parts.database.is_sqlite:
        return []
    try:
        if has_role(pages_db.session, "scheduler"):
            return []
    except DBAPIError:
        return []
    sentence = "No scheduler is there: nothing is polled or started by the clock, and no alert is noticed."
    remedy = "What comes in is kept. Start `plumbline scheduler`, or look at its log."
    return [Banner("bad", "No scheduler is there", sentence, remedy)]


def _worst_alert() -> list[Banner]:
    """One at most: the bell counts the others."""
    try:
        found = worst_unseen(pages_db.session)
    except DBAPIError:
        return []
    if found is None or request.path.startswith(("/alerts", found.remedy_url)):
        return []
    return [Banner("bad", "An alert", found.sentence, "", found.remedy_url, found.remedy)]


def _standstill() -> list[Banner]:
    try:
        held = get_standstill(pages_db.session)
    except DBAPIError:
        return []  # a page that says so is better than none
    if held is None:
        return []
    flows = "1 flow is held" if len(held.flows) == 1 else f"{len(held.flows):,} flows are held"
    waiting = "1 run waits" if held.waiting == 1 else f"{held.waiting:,} runs wait" if held.waiting else ""
    what = "A backup was restored" if held.backup_of else "Everything was held"
    sentence = f"{what}: {', '.join(part for part in (flows, waiting) if part)}."
    remedy = "No service is called for them, and nothing is polled, until somebody releases them."
    return [Banner("warn", "Everything is held", sentence, remedy, "/standstill", "Look and release")]
