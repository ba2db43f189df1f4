"""The records in a poll's answer: where they are, which were seen, in which order, how far they reach."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from app.errors import CallFailed, MappingFailed
from app.flows.mapping.template import find, first
from app.intake.deliveries.repetition import bounded_key, key_text

_USUAL_LISTS = ("data", "items", "results", "records", "entries", "value")
_USUAL_KEYS = ("id", "guid", "@id", "_id", "ID", "uuid", "key", "link", "url")
_USUAL_DATES = (
    "pubDate",
    "published",
    "updated",
    "created_at",
    "createdAt",
    "created",
    "date_created",
    "dateCreated",
    "createdate",
    "date",
    "timestamp",
    "dc:date",
)
_EPOCH_FROM = 1_000_000_000  # smaller numbers are ids or counts, not seconds since 1970


# -------------------------------------------------------------------------------------- records


def records_in(document: Any, items: str, *, is_xml: bool = False) -> list[Any]:
    """`items` is a JSONPath; a path to a list means its entries.  Raises CallFailed when the answer
    has nothing at that place, which is not the same as an empty list there; in XML, an empty list is
    simply not there."""
    feed = _feed(document)
    if items in ("", "$[*]", "$"):
        if feed is not None:
            return feed
        return _at_top(document)
    base = items.removesuffix("[*]") or "$"
    try:
        found = find(base, document)
    except MappingFailed as reason:
        raise _unreadable(f"The records cannot be found: {reason.sentence}") from reason
    if not found and feed is None and not is_xml:
        raise _unreadable(f"The answer has nothing at {items}: its form may have changed.")
    records: list[Any] = []
    for value in found:
        records += value if isinstance(value, list) else [] if value is None else [value]
    return records


def _at_top(document: Any) -> list[Any]:
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        lists = [document[name] for name in _USUAL_LISTS if isinstance(document.get(name), list)]
        if len(lists) == 1:
            return list(lists[0])
    raise _unreadable("The answer is not a list. Say where in it the records are, such as $.data[*].")


def _feed(document: Any) -> list[Any] | None:
    """The entries of RSS 2.0, RSS 1.0 or Atom; a feed with one entry has it without a list."""
    if not isinstance(document, dict):
        return None
    for root, path in (("rss", ("channel", "item")), ("feed", ("entry",)), ("rdf:RDF", ("item",))):
        if isinstance(document.get(root), dict):
            value: Any = document[root]
            for name in path:
                value = value.get(name) if isinstance(value, dict) else None
            return value if isinstance(value, list) else [] if value is None else [value]
    return None


def _unreadable(sentence: str) -> CallFailed:
    return CallFailed("invalid_payload", sentence, remedy="Look at the answer and set where the records are.")


# ----------------------------------------------------------------------------------------- keys


def record_key(record: Any, dedupe: str) -> str:
    """The same for the same record whenever it is read again."""
    if dedupe:
        value = first(dedupe, record)
        if value is not None and value != "":
            return bounded_key(key_text(value))
    elif isinstance(record, dict):
        for name in _USUAL_KEYS:
            if key := _plain(record.get(name)):
                return bounded_key(key)
    exact = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    return "sha256:" + hashlib.sha256(exact).hexdigest()


def _plain(value: Any) -> str:
    """A guid with attributes is an object in XML, a link of Atom has nothing but attributes."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("#text") or value.get("@href")
    return key_text(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


# ---------------------------------------------------------------------------------------- order


def oldest_first(records: list[tuple[str, Any]], cursor: str) -> list[tuple[str, Any]]:
    """Pairs of key and record; where the records say when they came to be, else as the answer had
    them.  Equal moments keep the direction of the answer."""
    moments = [moment_of(record, cursor) for _, record in records]
    known = [moment for moment in moments if moment is not None]
    if not known or len(known) < len(records):
        return records
    newest_first = known[0] > known[-1]
    order = sorted(range(len(records)), key=lambda at: (known[at], -at if newest_first else at))
    return [records[at] for at in order]


def moment_of(record: Any, cursor: str) -> float | None:
    if cursor:
        return as_number(first(cursor, record))
    if not isinstance(record, dict):
        return None
    for name in _USUAL_DATES:
        if (number := as_number(record.get(name))) is not None:
            return number
    return None


def as_number(value: Any) -> float | None:
    """Numbers as they are, dates as seconds since 1970."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str) or not value.strip():
        return None
    text = value.strip()
    try:
        number = float(text)
        return number if math.isfinite(number) else None
    except ValueError:
        moment = as_moment(text)
        return None if moment is None else moment.timestamp()


def as_moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError):
            return None
    try:
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


# --------------------------------------------------------------------------------------- cursor


def furthest(records: list[Any], path: str, known: Any) -> Any:
    """The largest value at `path`, as the service wrote it; never behind what is known."""
    best, best_rank = known, _rank(known)
    for record in records if path else ():
        value = first(path, record)
        rank = _rank(value)
        if rank is not None and (best_rank is None or rank > best_rank):
            best, best_rank = value, rank
    return best


def _rank(value: Any) -> tuple[int, float, str] | None:
    number = as_number(value)
    if number is not None:
        return (1, number, "")
    return (0, 0.0, value) if isinstance(value, str) and value else None


def overlapping(cursor: Any, seconds: float) -> Any:
    """A moment set back, so that records that came late or at the very same moment are read again;
    what is no moment stays as it is.  Keeps the form the service uses."""
    if isinstance(cursor, bool) or cursor is None:
        return cursor
    if isinstance(cursor, int | float):
        return _set_back(cursor, seconds)
    if not isinstance(cursor, str):
        return cursor
    if cursor.isascii() and cursor.isdigit():
        return str(_set_back(int(cursor), seconds))
    try:
        moment = datetime.fromisoformat(cursor) - timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return cursor
    if len(cursor) == 10:
        return moment.date().isoformat()
    text = moment.isoformat(timespec="milliseconds" if "." in cursor else "seconds")
    text = text.replace("+00:00", "Z") if cursor.endswith("Z") else text
    return text if "T" in cursor else text.replace("T", " ")


def _set_back(number: int | float, seconds: float) -> int | float:
    if number < _EPOCH_FROM:
        return number
    step = seconds * 1000 if number > _EPOCH_FROM * 1000 else seconds
    return number - int(step) if isinstance(number, int) else number - step
