"""What the list of runs is narrowed to, as it stands in the address."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from werkzeug.datastructures import MultiDict

from app.storage.history.rows import LONGEST_TEXT
from app.storage.history.runs import STATES
from app.storage.upkeep.ledger_runs import Became, Slot

STATE_CHOICES = (
    ("", "All"),
    ("needs", "Needs you"),
    ("open", "Under way"),
    ("succeeded", "Success"),
    ("filtered", "Filtered"),
    ("stopped", "Stopped"),
    ("cancelled", "Cancelled"),
)
TIME_CHOICES = (
    ("", "Any time"),
    ("1h", "Last hour"),
    ("24h", "Last 24 hours"),
    ("7d", "Last 7 days"),
    ("30d", "Last 30 days"),
    ("days", "Between two days"),
)
FIGURES = tuple(Became.__dataclass_fields__)
_GROUPS: dict[str, tuple[str, ...]] = {
    "open": ("queued", "running", "waiting"),
    "stopped": ("failed", "dead"),
} | {state: (state,) for state in STATES}
_SPANS = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}


@dataclass(frozen=True, slots=True)
class RunFilter:
    """`first` and `last`: days in the reader's zone, both included.  `became` and `day`: a figure of the
    flow's ledger, whose days are in UTC; they stand for the state and the time."""

    flow: str = ""
    state: str = ""
    span: str = ""
    first: str = ""
    last: str = ""
    text: str = ""
    before: str = ""
    became: str = ""
    day: str = ""

    @classmethod
    def of(cls, args: MultiDict[str, str]) -> RunFilter:
        """What makes no sense counts as not asked for."""
        state = "needs" if args.get("needs") else args.get("state", "")
        span = args.get("time", "")
        return cls(
            flow=args.get("flow", "")[:64],
            state=state if state == "needs" or state in _GROUPS else "",
            span=span if span in dict(TIME_CHOICES) else "",
            first=known_day(args.get("from", "")),
            last=known_day(args.get("to", "")),
            text=args.get("q", "").strip()[:LONGEST_TEXT],
            before=args.get("before", "")[:64],
            **_figure(args),
        )

    @property
    def is_narrow(self) -> bool:
        return any((self.flow, self.state, self.span, self.text, self.day))

    @property
    def slot(self) -> Slot | None:
        """The flow and day of the ledger whose figure this is."""
        return Slot(self.flow, self.day) if self.flow and self.day else None

    def query(self, now: datetime, zone: str) -> dict[str, Any]:
        """As `runs_page` takes it."""
        since, until = self._range(now, zone)
        return {
            "flow_id": self.flow or None,
            "states": _GROUPS.get(self.state, ()),
            "needs_person": self.state == "needs",
            "since": since,
            "until": until,
            "text": self.text,
            "before": self.before or None,
        }

    def _range(self, now: datetime, zone: str) -> tuple[datetime | None, datetime | None]:
        if self.span in _SPANS:
            return now - _SPANS[self.span], None
        if self.span != "days":
            return None, None
        until = _midnight(date.fromisoformat(self.last) + timedelta(days=1), zone) if self.last else None
        return (_midnight(date.fromisoformat(self.first), zone) if self.first else None), until

    def address(self, **changes: str) -> str:
        """The list with some of it changed; without paging unless `before` is given."""
        values = {
            "flow": self.flow,
            "state": self.state,
            "time": self.span,
            "from": self.first if self.span == "days" else "",
            "to": self.last if self.span == "days" else "",
            "q": self.text,
            "became": self.became,
            "day": self.day,
        } | changes
        query = urlencode({name: value for name, value in values.items() if value})
        return f"/runs?{query}" if query else "/runs"


def _figure(args: MultiDict[str, str]) -> dict[str, str]:
    became = args.get("became", "")
    return {"became": became if became in FIGURES else "", "day": known_day(args.get("day", ""))}


def known_day(text: str) -> str:
    """A date as it stands in an address; '' = none."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return ""
    return day.isoformat() if 2000 <= day.year <= 2200 else ""


def _midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
