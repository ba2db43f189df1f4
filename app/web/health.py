"""Whether this installation is well: what `plumbline doctor` says, on a page."""

from __future__ import annotations

from flask import Blueprint, Response

from app.watch.checkup import Subject, check_up
from app.web.context import only_admins, parts
from app.web.hx import page

blueprint = Blueprint("health", __name__)

_READ_THROUGH_BYTES = 200 * 1024 * 1024
_RANKS = {"bad": 0, "note": 1, "good": 2}


@blueprint.get("/health")
def show_health() -> Response:
    only_admins("see how the server is", "Ask one to look.")
    all_parts = parts()
    subject = Subject(all_parts.settings, all_parts.clock, all_parts.database)
    file = subject.file
    small = file is not None and file.stat().st_size <= _READ_THROUGH_BYTES
    found = check_up(Subject(subject.settings, subject.clock, subject.database, thorough=small))
    found.sort(key=lambda one: _RANKS[one.look])
    bad = sum(one.look == "bad" for one in found)
    return page("health/index.html", found=found, bad=bad)
