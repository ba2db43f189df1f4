"""A run as a JSON document for programs: event, delivery, steps and calls, secrets as placeholders."""

from __future__ import annotations

import base64
from dataclasses import fields
from datetime import datetime
from typing import Any

import orjson

from app.storage.history.detail import CallRow, EventRow, RunDetail
from app.storage.history.rows import RunRow

_BODIES = ("request_body", "answer_body", "body")


def row_as_json(row: RunRow) -> dict[str, Any]:
    """A run as a line of a list."""
    return _plain(row) | {"needs_person": row.needs_person}


def run_as_json(detail: RunDetail) -> dict[str, Any]:
    """`other_calls`: of steps that have no record (any more)."""
    recorded = {step.step_key for step in detail.steps}
    took = detail.trigger_to_first_call
    return row_as_json(detail.run) | {
        "trigger_to_first_call_ms": None if took is None else round(took.total_seconds() * 1000),
        "replays": detail.replays,
        "event": _event(detail.event) if detail.event else None,
        "delivery": _plain(detail.delivery) if detail.delivery else None,
        "steps": [
            _plain(step) | {"calls": [_call(call) for call in detail.calls.get(step.step_key, [])]}
            for step in detail.steps
        ],
        "other_calls": [
            _call(call) for key, calls in detail.calls.items() if key not in recorded for call in calls
        ],
    }


def _event(event: EventRow) -> dict[str, Any]:
    return _plain(event) | {"payload": _body(event.payload)}


def _call(call: CallRow) -> dict[str, Any]:
    shown = _plain(call)
    del shown["step_key"]
    return shown


def _plain(row: Any) -> dict[str, Any]:
    """The fields of a record; with slots there is no `vars`."""
    return {field.name: _value(field.name, getattr(row, field.name)) for field in fields(row)}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if name in _BODIES and isinstance(value, bytes):
        return _body(value)
    return value


def _body(body: bytes) -> Any:
    """The document where it is JSON, the text where it is text, else base64 under a name that says so."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
