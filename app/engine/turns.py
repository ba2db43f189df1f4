"""One at a time: runs of a flow whose key has the same value are performed in the order they came."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import Connection

from app.errors import MappingFailed
from app.flows.mapping.template import MISSING, fill
from app.flows.mapping.values import as_text
from app.flows.model import Mapping
from app.storage.history import turns

_LONGEST = 120


def key_of(one_by_one: Mapping, trigger_id: str, document: Any) -> str | None:
    """What tells the lines of a flow apart, capitals aside; None = this event stands in no line."""
    if not one_by_one.value:
        return None
    try:
        value = fill("One at a time", one_by_one, {"trigger": document, trigger_id: document}, [])
    except MappingFailed:
        return None
    text = "" if value is MISSING else as_text(value).strip().casefold()
    if not text:
        return None
    printable = len(text) <= _LONGEST and text.isprintable()
    return text if printable else "sha256:" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def lie_down(db: Connection, run_id: str) -> bool:
    """False = its turn has come."""
    place = turns.place_kept(db, run_id)
    if place is None or place.first == run_id:
        return False
    sentence = (
        f"Waits for an earlier run for “{place.key}”: this flow takes them one at a time, "
        "in the order they came. It goes on by itself when that run has ended."
    )
    turns.wait_behind(db, run_id, place, sentence)
    return True
