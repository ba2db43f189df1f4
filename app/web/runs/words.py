"""A run in words: how long it took, what it was about, and the one button that moves it on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote, urlsplit

from pydantic import ValidationError

from app.errors import NotFound
from app.flows.model import walk
from app.flows.order import label, numbering
from app.flows.renamed import is_gone
from app.storage.database.executor import Executor
from app.storage.flows.flows import get_version
from app.storage.history.detail import CallRow
from app.storage.history.rows import RunRow
from app.web.runs.bodies import header_pairs

SOURCES = {
    "webhook": "by a webhook",
    "poll": "by a poll",
    "schedule": "by the schedule",
    "manual": "by hand",
    "test": "as a test",
}
_STATE_SENTENCES = {
    "queued": "Accepted and on record; it starts as soon as it is its turn.",
    "running": "Under way.",
    "succeeded": "Every step did what it should.",
    "filtered": "A filter did not let it through; nothing was sent after that.",
    "cancelled": "Cancelled by a person; nothing more was sent.",
    "waiting": "Waits; it goes on by itself.",
    "failed": "It ended without success.",
    "dead": "It stopped at a step that could not be done.",
}
_NOT_SENT = ("invalid_payload",)
_MOST_REMEMBERED = 256
_STATUS_WORDS = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No content",
    301: "Moved",
    302: "Found",
    304: "Not modified",
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    410: "Gone",
    413: "Too large",
    415: "Wrong type",
    422: "Not accepted",
    429: "Too many calls",
    500: "Server error",
    502: "Bad gateway",
    503: "Unavailable",
    504: "Gateway timeout",
}


@dataclass(frozen=True, slots=True)
class StepName:
    number: str
    title: str


@dataclass(frozen=True, slots=True)
class Action:
    """`method` get: a link.  post: a form with these hidden fields."""

    label: str
    address: str
    method: str = "get"
    fields: tuple[tuple[str, str], ...] = ()
    picture: str = "arrow-right"


def took(value: timedelta | None) -> str:
    if value is None:
        return ""
    ms = value.total_seconds() * 1000
    if ms < 1000:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} days {hours % 24} h" if hours % 24 else f"{hours // 24} days"


def milliseconds(value: int | None) -> str:
    return "" if value is None else took(timedelta(milliseconds=value))


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def status_words(status: int) -> str:
    return f"{status} {_STATUS_WORDS[status]}" if status in _STATUS_WORDS else str(status)


def sentence(run: RunRow) -> str:
    """One sentence for every state."""
    return run.sentence or _STATE_SENTENCES.get(run.state, "")


def name(run: RunRow) -> str:
    """What a person recognises it by, or else how it came about."""
    nameless = {"test": "Test run", "schedule": "Scheduled run", "manual": "Run started by hand"}
    return run.label or nameless.get(run.source, "Run without a name")


def row_sentence(run: RunRow) -> str:
    """In a list a success needs no sentence."""
    return "" if run.state == "succeeded" else sentence(run)


def step_id(step_key: str | None) -> str:
    """`s5[2].s6` is the step `s6`."""
    return re.sub(r"\[\d+\]", "", (step_key or "").rsplit(".", 1)[-1])


_names: dict[str, dict[str, StepName]] = {}  # versions never change


def step_names(db: Executor, version_id: str) -> dict[str, StepName]:
    """Step id -> its number and name; empty when the version is gone."""
    if version_id not in _names:
        try:
            definition = get_version(db, version_id).definition
        except (NotFound, ValidationError):
            return {}
        if len(_names) >= _MOST_REMEMBERED:
            _names.clear()
        numbers = numbering(definition)
        _names[version_id] = {
            step.id: StepName(numbers.get(step.id, ""), label(step)) for step in walk(definition.steps)
        }
    return _names[version_id]


def step_address(run: RunRow) -> str:
    """The step in the builder."""
    return f"/flows/{run.flow_id}?step={quote(step_id(run.position))}"


def main_action(run: RunRow, at: StepName | None) -> Action | None:
    """The one thing to do about a run that needs a person."""
    if not run.needs_person:
        return None
    if run.waits_for and run.reason == "held_connection":
        label = "Reconnect" if run.error_kind == "auth_expired" else "Open the connection"
        return Action(label, f"/connections/{run.waits_for}", picture="plug-zap")
    if run.reason == "unknown":
        return Action("Decide", f"/runs/{run.id}#decide", picture="circle-help")
    if run.reason == "held_flow":
        return Action("Open the flow", f"/flows/{run.flow_id}", picture="play")
    if is_gone(run.sentence):
        return Action("Use the new name", f"/flows/{run.flow_id}/renamed", picture="repeat")
    if run.error_kind in _NOT_SENT and run.position:
        return Action("Fix the field", step_address(run), picture="square-pen")
    where = f" from step {at.number}" if at and at.number else ""
    fields = (("mode", "failed" if run.position else "whole"), ("version", "same"))
    return Action(f"Send again{where}", f"/runs/{run.id}/replay", "post", fields, "rotate-cw")


def host(call: CallRow) -> str:
    return urlsplit(call.url).hostname or call.url.split(":", 1)[0]


def called(calls: list[CallRow]) -> str:
    """To whom, in how many calls: `api.hubapi.com (2), hooks.slack.com`."""
    numbers: dict[str, int] = {}
    for call in calls:
        numbers[host(call)] = numbers.get(host(call), 0) + 1
    names = [f"{name} ({number})" if number > 1 else name for name, number in numbers.items()]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def retry_after(call: CallRow) -> str:
    """What the service said about when to come back."""
    return next(
        (value for name, value in header_pairs(call.answer_headers) if name.lower() == "retry-after"), ""
    )
