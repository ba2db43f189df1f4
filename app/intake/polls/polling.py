"""One look of a poll trigger: read, find what is new, keep everything in one transaction.

The first look only remembers what is there.  A look that fails half-way moves nothing: cursor and
keys change together with the events, or not at all.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from sqlalchemy import Connection

from app.engine.dispatch.tickets import RunTicket
from app.engine.runtime import Runtime
from app.errors import AppError, CallFailed
from app.flows.model import ConnectorTrigger, PollTrigger
from app.ids import new_id
from app.intake.labels import label_of
from app.intake.polls.connector import ConnectorSource
from app.intake.polls.records import oldest_first
from app.intake.polls.source import Look, RequestSource, Source, look_back
from app.intake.turns import give_places
from app.log import fields
from app.states import PollState
from app.storage.flows import flows, polls, triggers
from app.storage.flows.flows import VersionRow
from app.storage.flows.triggers import TriggerRow
from app.storage.history import events

log = logging.getLogger("plumbline.polls")

LEASE = timedelta(minutes=15)
_LONGEST_LOOK_S = 14 * 60
_ROUNDS = 20
_MOST_RECORDS = 20_000
_SLOWEST = 10  # times the interval
_PAYLOADS_HANDED_OVER = 200


@dataclass(frozen=True, slots=True)
class Looked:
    poll_id: str
    state: PollState
    found: int = 0
    new: int = 0
    seeded: int = 0
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class _Before:
    """What was on record when the look began."""

    trigger: TriggerRow
    version: VersionRow
    started_at: datetime


async def poll_once(runtime: Runtime, flow_id: str) -> Looked | None:
    """Call it in the engine's loop, with the lease taken.  None = the flow does not poll any more.
    Never raises: what goes wrong is on record."""
    before = await asyncio.to_thread(_read_before, runtime, flow_id)
    if before is None:
        return None
    look = Look(cursor=before.trigger.cursor)
    try:
        async with asyncio.timeout(_LONGEST_LOOK_S):
            await _read_all(runtime, look, before)
        return await _keep(runtime, look, before)
    except AppError as reason:
        return await _fail(runtime, look, before, reason)
    except TimeoutError:
        slow = CallFailed("unavailable", "Reading all pages took longer than 14 minutes.")
        return await _fail(runtime, look, before, slow)
    except Exception:
        log.exception("%s", fields(event="poll_broke", flow=flow_id))
        broke = CallFailed("invalid_payload", "Plumbline could not work with the answer of the service.")
        return await _fail(runtime, look, before, broke)


def _read_before(runtime: Runtime, flow_id: str) -> _Before | None:
    with runtime.database.read() as db:
        trigger = triggers.get_trigger(db, flow_id)
        version = flows.live_version(db, flow_id)
    if trigger is None or version is None or trigger.kind != "poll":
        return None
    return _Before(trigger, version, runtime.clock.now())


def _source(runtime: Runtime, before: _Before) -> Source:
    definition = before.version.definition
    trigger = definition.trigger
    if isinstance(trigger, PollTrigger):
        facts = {
            "id": "",
            "flow": definition.name,
            "started_at": before.started_at.isoformat(),
            "time_zone": definition.time_zone,
        }
        return RequestSource(runtime, trigger, facts)
    if isinstance(trigger, ConnectorTrigger):
        return ConnectorSource(runtime, trigger)
    raise CallFailed("not_found", "This flow does not poll any more.")


async def _read_all(runtime: Runtime, look: Look, before: _Before) -> None:
    """Once for most sources.  One that is asked by its cursor is asked on while there is more, so that
    a burst larger than a page, or the first seeding, does not stop at the first page."""
    source = _source(runtime, before)
    if look.cursor is None:
        look.cursor = source.start(before.started_at)
    since = look_back(look.cursor, source, before.trigger.interval_s)
    for _ in range(_ROUNDS):
        reached, fresh = look.cursor, 0
        async for records in source.batches(look, since):
            fresh += look.add(records, source.dedupe, source.cursor)
            if len(look.records) > _MOST_RECORDS:
                raise _too_many(len(look.records))
        if not source.uses_cursor() or not fresh or (look.cursor == reached and since == reached):
            return
        since = look.cursor
    look.complete = False


def _too_many(number: int) -> CallFailed:
    return CallFailed(
        "invalid_payload",
        f"One look found {number:,} records; at most {_MOST_RECORDS:,} are taken.",
        remedy="Narrow the request, for example with the cursor or a smaller page.",
    )


# ------------------------------------------------------------------------------------- keeping


async def _keep(runtime: Runtime, look: Look, before: _Before) -> Looked:
    source = _source(runtime, before)
    records = oldest_first(list(look.records.items()), source.cursor)
    arrivals = [
        events.arrival(record, orjson.dumps(record), label_of(record), f"{events.POLLED}{key}")
        for key, record in records
    ]
    poll_id, now = new_id("poll"), runtime.clock.now()

    def work(db: Connection) -> tuple[Looked, list[RunTicket]]:
        if (why := _outdated(db, before)) is not None:
            return _set_aside(db, look, before, poll_id, why, now), []
        looked, tickets = _write(db, arrivals, before, poll_id, now)
        triggers.poll_succeeded(
            db,
            before.trigger.flow_id,
            cursor=look.cursor,
            seeded_at=before.trigger.seeded_at or (now if look.complete else None),
            now=now,
        )
        _record(db, looked, look, before, now)
        return looked, tickets

    looked, tickets = await runtime.database.writer.awrite(work, patient=True)
    runtime.dispatcher.enqueue(tickets)
    return looked


def _write(
    db: Connection, arrivals: list[events.Arrival], before: _Before, poll_id: str, now: datetime
) -> tuple[Looked, list[RunTicket]]:
    flow_id, found = before.trigger.flow_id, len(arrivals)
    keys = [new.dedupe_key or "" for new in arrivals]
    if before.trigger.seeded_at is None:
        seeded = events.seed_keys(db, flow_id, keys, now=now)
        sentence = f"First look: {seeded} records were there already; they are remembered and start nothing."
        return Looked(poll_id, "succeeded", found, 0, seeded, sentence), []
    fresh = events.take_new(db, flow_id, arrivals, now=now)
    events.tidy_keys(db, flow_id, keys, now=now)
    give_places(before.version.definition, fresh)
    held = events.is_held(db, flow_id)
    rows = events.arrival_rows(
        fresh,
        flow_id=flow_id,
        version_id=before.version.id,
        delivery_id=None,
        source="poll",
        now=now,
        held=held,
    )
    events.write_all(db, rows)
    return Looked(poll_id, "succeeded", found, len(fresh)), [] if held else _tickets(fresh, before)


def _tickets(fresh: list[events.Arrival], before: _Before) -> list[RunTicket]:
    few = len(fresh) <= _PAYLOADS_HANDED_OVER
    return [
        RunTicket(
            new.run_id,
            before.trigger.flow_id,
            before.version.id,
            new.event_id,
            new.payload if few else None,
        )
        for new in fresh
    ]


def _outdated(db: Connection, before: _Before) -> str | None:
    """Why what was read must not count: the flow changed while the service was asked."""
    flow = flows.get_flow(db, before.trigger.flow_id)
    trigger = triggers.get_trigger(db, before.trigger.flow_id)
    if not flow.is_on or trigger is None:
        return "The flow was switched off meanwhile; the next look finds the same records."
    if flow.live_version_id != before.version.id or trigger.seeded_at != before.trigger.seeded_at:
        return "The flow was published anew meanwhile; the next look finds the same records."
    return None


def _set_aside(db: Connection, look: Look, before: _Before, poll_id: str, why: str, now: datetime) -> Looked:
    looked = Looked(poll_id, "skipped", len(look.records), sentence=why)
    triggers.end_lease(db, before.trigger.flow_id)
    _record(db, looked, look, before, now)
    return looked


def _record(db: Connection, looked: Looked, look: Look, before: _Before, now: datetime) -> None:
    polls.add_poll(
        db,
        poll_id=looked.poll_id,
        flow_id=before.trigger.flow_id,
        state=looked.state,
        started_at=before.started_at,
        finished_at=now,
        found=looked.found,
        new=looked.new,
        seeded=looked.seeded,
        sentence=looked.sentence,
    )
    polls.add_calls(db, looked.poll_id, look.calls)


# ------------------------------------------------------------------------------------- failing


async def _fail(runtime: Runtime, look: Look, before: _Before, reason: AppError) -> Looked:
    """Looks less often while it fails, at most ten times the interval apart."""
    now = runtime.clock.now()
    flow_id, row = before.trigger.flow_id, before.trigger
    wait_s: float = max(row.interval_s, 10) * min(2**row.fail_count, _SLOWEST)
    if isinstance(reason, CallFailed) and reason.wait_s is not None:
        wait_s = max(wait_s, reason.wait_s)
    sentence = f"{reason.sentence} {reason.remedy}".strip()
    looked = Looked(new_id("poll"), "failed", len(look.records), sentence=sentence)

    def work(db: Connection) -> None:
        later = now + timedelta(seconds=wait_s)
        triggers.poll_failed(db, flow_id, sentence=sentence, next_due_at=later, now=now)
        _record(db, looked, look, before, now)

    log.warning("%s", fields(event="poll_failed", flow=flow_id, poll=looked.poll_id, kind=reason.kind))
    try:
        await runtime.database.writer.awrite(work, patient=True)
    except AppError:
        log.error("%s", fields(event="poll_not_recorded", flow=flow_id))
    return looked
