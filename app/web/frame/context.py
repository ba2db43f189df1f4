"""What every page has at hand: the parts of the server, the person signed in, their looks and zone."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo, available_timezones

from flask import Flask, current_app, g, has_request_context, request, session

from app.errors import NotAllowed
from app.storage.database.db import pages_db
from app.storage.people.users import UserRow, find_signed_in
from app.web.frame.banners import banners
from app.web.frame.words import OWN_KINDS, STATE_LOOKS, state_word

if TYPE_CHECKING:
    from app.parts import Parts

THEMES = ("auto", "light", "dark")
NAVIGATION = (
    ("/", "Home", "house"),
    ("/flows", "Flows", "workflow"),
    ("/runs", "Runs", "history"),
    ("/dead-letters", "Dead letters", "inbox"),
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
    """The person signed in, None for a stranger; looked up once per request."""
    if "user" not in g:
        g.user = _signed_in()
    return cast("UserRow | None", g.user)


def _signed_in() -> UserRow | None:
    user_id, epoch, session_id = (session.get(name) for name in ("user", "epoch", "id"))
    if not (isinstance(user_id, str) and isinstance(epoch, int) and isinstance(session_id, str)):
        return None
    return find_signed_in(pages_db.session, user_id, epoch=epoch, session_id=session_id)


def my_id() -> str:
    user = me()
    return user.id if user else ""


def may(role: str) -> bool:
    """`viewer` may look, `editor` change flows and connections, `admin` people and settings."""
    ranks = {"viewer": 0, "editor": 1, "admin": 2}
    user = me()
    return user is not None and ranks.get(user.role, -1) >= ranks[role]


def only_admins(do_this: str, remedy: str = "Ask one of them.") -> None:
    """Raises NotAllowed for everybody else; `do_this` ends the sentence that begins "Only administrators"."""
    if not may("admin"):
        raise NotAllowed(f"Only administrators {do_this}.", remedy=remedy)


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
