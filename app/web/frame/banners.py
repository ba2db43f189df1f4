"""What everybody has to know on each page: the disk is full, nothing can be written, all is held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import current_app, g, request
from sqlalchemy.exc import DBAPIError

from app.storage.cluster.processes import has_role
from app.storage.database.db import pages_db
from app.storage.flows.standstill import get_standstill
from app.storage.upkeep.alerts import worst_unseen

if TYPE_CHECKING:
    from app.parts import Parts

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
    parts = cast("Parts", current_app.extensions["plumbline"])
    return [*_disk(parts), *_clock(parts), *_standstill(), *_worst_alert()]


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
    if "standstill" not in g:
        try:
            g.standstill = get_standstill(pages_db.session)
        except DBAPIError:
            g.standstill = None  # a page that says so is better than none
    held = g.standstill
    if held is None:
        return []
    flows = "1 flow is held" if len(held.flows) == 1 else f"{len(held.flows):,} flows are held"
    waiting = "1 run waits" if held.waiting == 1 else f"{held.waiting:,} runs wait" if held.waiting else ""
    what = "A backup was restored" if held.backup_of else "Everything was held"
    sentence = f"{what}: {', '.join(part for part in (flows, waiting) if part)}."
    remedy = "No service is called for them, and nothing is polled, until somebody releases them."
    return [Banner("warn", "Everything is held", sentence, remedy, "/standstill", "Look and release")]
