"""Whether this installation is well: what `plumbline doctor` says, on a page."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Flask, Response, current_app

from app.changes import Changes, DoorEnded
from app.watch.checkup import Checked, Subject, check_up
from app.web.frame.context import only_admins, parts
from app.web.frame.hx import page

blueprint = Blueprint("health", __name__)

_READ_THROUGH_BYTES = 200 * 1024 * 1024
_DOOR_ENDED_AT = "DOOR_ENDED_AT"
_RANKS = {"bad": 0, "note": 1, "good": 2}


def init_health(app: Flask, changes: Changes) -> None:
    """Notes for the page when the process for deliveries ends."""
    changes.on(DoorEnded, lambda change: app.config.update({_DOOR_ENDED_AT: change.at}))


@blueprint.get("/health")
def show_health() -> Response:
    only_admins("see how the server is", "Ask one to look.")
    all_parts = parts()
    subject = Subject(all_parts.settings, all_parts.clock, all_parts.database)
    file = subject.file
    small = file is not None and file.stat().st_size <= _READ_THROUGH_BYTES
    found = check_up(Subject(subject.settings, subject.clock, subject.database, thorough=small))
    found += _door()
    found.sort(key=lambda one: _RANKS[one.look])
    bad = sum(one.look == "bad" for one in found)
    return page("home/health/index.html", found=found, bad=bad)


def _door() -> Iterator[Checked]:
    if (ended_at := current_app.config.get(_DOOR_ENDED_AT)) is not None:
        yield Checked(
            "Deliveries",
            "note",
            f"The process that takes deliveries ended at {ended_at:%Y-%m-%d %H:%M} UTC. Nothing was lost: "
            "the server takes them beside the pages since then, more slowly.",
            "Start Plumbline again when it suits you. Its log says more.",
        )
