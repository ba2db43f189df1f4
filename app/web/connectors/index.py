"""Connectors: which services this Plumbline knows, how good and how fresh each one is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from html import escape
from pathlib import Path

from flask import Blueprint, Response, flash, request

from app.catalog.format.definition import Connector
from app.catalog.registry import Shelf
from app.catalog.workbench.check import ConnectorReport, check_one
from app.commands import connectors
from app.errors import NotFound
from app.storage.connections import connections as store
from app.storage.database.db import pages_db
from app.web.frame.context import parts, who
from app.web.frame.hx import page, redirect
from app.web.frame.markdown import Rendered, only_elsewhere, render

blueprint = Blueprint("connectors", __name__)

LEVEL_LOOKS = {"draft": "warn", "tested": "quiet", "proven": "ok", "complete": "ok"}

_WARN_DAYS = 90
_OLD_CHECK_DAYS = 365
_CATEGORIES = {"crm": "CRM", "email": "Email", "other": "Service"}
# A picture may come from somebody's own connector: it can neither run anything nor load anything.
_PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


@dataclass(frozen=True)
class ConnectorLine:
    """`warning`: what makes this connector worth a look, '' if nothing does."""

    shelf: Shelf
    connector: Connector
    report: ConnectorReport
    warning: str
    connections: int


@blueprint.get("/connectors")
def index() -> Response:
    registry = parts().registry
    used: dict[str, int] = {}
    for row in store.list_connections(pages_db.session):
        used[row.connector] = used.get(row.connector, 0) + 1
    lines = []
    for connector in registry.all():
        shelf = registry.shelf_of(connector.key)
        if shelf is not None:
            warning, number = warning_of(connector, _today()), used.get(connector.key, 0)
            lines.append(ConnectorLine(shelf, connector, _report(shelf), warning, number))
    return page(
        "connectors/index.html",
        looks=LEVEL_LOOKS,
        lines=lines,
        broken=registry.broken(),
        folder=str(parts().settings.connectors_folder),
    )


@blueprint.post("/connectors/reload")
def reload() -> Response:
    """After somebody put a folder there or corrected a file."""
    if broken := connectors.reload(who(), parts()):
        flash(f"Read again: {broken} of the connectors cannot be used.", "error")
    else:
        flash("All connectors are read again.", "success")
    return redirect("/connectors")


@blueprint.get("/connectors/<key>")
def show(key: str) -> Response:
    connector = parts().registry.get(key)
    shelf = parts().registry.shelf_of(key)
    return page(
        "connectors/show.html",
        looks=LEVEL_LOOKS,
        connector=connector,
        shelf=shelf,
        report=_report(shelf) if shelf is not None else None,
        warning=warning_of(connector, _today()),
        category=_CATEGORIES.get(connector.category, connector.category.capitalize()),
        span=span,
        readme=_readme(parts().registry.readme_of(key)),
        connections=store.list_connections(pages_db.session, connector=key),
    )


@blueprint.get("/connectors/<key>/icon.svg")
def icon(key: str) -> Response:
    """Its own picture, else its initials."""
    path = parts().registry.icon_of(key)
    body = path.read_bytes() if path is not None else monogram(key).encode()
    answer = Response(body, mimetype="image/svg+xml")
    answer.headers["Cache-Control"] = "private, max-age=3600"
    answer.headers["Content-Security-Policy"] = _PICTURE_POLICY
    answer.set_etag(hashlib.sha256(body).hexdigest()[:16])
    answer.make_conditional(request)
    return answer


def monogram(key: str) -> str:
    """Letters in a colour that belongs to the key, so that it is the same on every page."""
    words = [word for word in key.split("_") if word]
    letters = (words[0][0] + words[1][0] if len(words) > 1 else key[:2]).upper()
    hue = int(hashlib.sha256(key.encode()).hexdigest()[:4], 16) % 360
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">'
        '<rect width="24" height="24" rx="5" fill="#eceef3"/>'
        f'<text x="12" y="15.6" text-anchor="middle" font-family="Inter, Arial, sans-serif" font-size="10" '
        f'font-weight="700" fill="hsl({hue} 55% 36%)">{escape(letters)}</text></svg>'
    )


_reports: dict[str, tuple[str, ConnectorReport]] = {}


def _report(shelf: Shelf) -> ConnectorReport:
    """How good it is; read again only when its files or the day have changed."""
    state, kept = f"{shelf.folder} {shelf.hash} {_today()}", _reports.get(shelf.key)
    if kept is None or kept[0] != state:
        kept = _reports[shelf.key] = (state, check_one(shelf.folder, _today()))
    return kept[1]


def warning_of(connector: Connector, today: date) -> str:
    """The most urgent thing to know about its age."""
    until = connector.api.supported_until
    if until is not None and until < today:
        return f"{connector.name} no longer supports this version of its interface since {until:%d %b %Y}."
    if until is not None and (until - today).days <= _WARN_DAYS:
        return f"{connector.name} supports this version of its interface until {until:%d %b %Y}."
    if (today - connector.api.checked).days > _OLD_CHECK_DAYS:
        checked = f"{connector.api.checked:%d %b %Y}"
        return f"Nobody has compared it with {connector.name}’s documentation since {checked}."
    return ""


def span(seconds: float) -> str:
    """`5 minutes`, `a day`: how long a window of a limit is, how often a poll looks."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length and seconds % length == 0:
            number = int(seconds // length)
            return f"{'an' if unit == 'hour' else 'a'} {unit}" if number == 1 else f"{number} {unit}s"
    return "a second" if seconds == 1 else f"{seconds:g} seconds"


def _today() -> date:
    return parts().clock.now().date()


def _readme(path: Path | None) -> Rendered:
    if path is None:
        return render("", only_elsewhere)
    try:
        return render(path.read_text(encoding="utf-8", errors="replace"), only_elsewhere)
    except OSError as reason:
        raise NotFound("The README of this connector cannot be read.") from reason
