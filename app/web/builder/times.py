"""When a schedule fires next, in words, for the one who is writing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

from app.errors import AppError
from app.flows.schedules.schedule import describe, parse_when
from app.intake.schedule import next_fire
from app.web.frame.context import parts


@dataclass
class Times:
    """`wrong`: the sentence about words that say no time."""

    words: str = ""
    zone: str = ""
    moments: list[datetime] = field(default_factory=list)
    wrong: str = ""
    remedy: str = ""


def upcoming(when: str, zone_name: str) -> Times:
    zone = zone_name if zone_name in available_timezones() else "UTC"
    try:
        return Times(describe(parse_when(when)), zone, _next_three(when, zone))
    except AppError as reason:
        return Times(wrong=getattr(reason, "reason", reason.sentence), remedy=reason.remedy)


def _next_three(when: str, zone: str) -> list[datetime]:
    moments: list[datetime] = []
    after = parts().clock.now()
    for _ in range(3):
        found = next_fire(when, zone, after)
        if found is None:
            break
        moments.append(found.astimezone(ZoneInfo(zone)))
        after = found
    return moments
