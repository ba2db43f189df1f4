"""A schedule whose moment has come: one event, whatever was missed before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from sqlalchemy import Connection

from app.engine.dispatch.tickets import RunTicket
from app.flows.model import ScheduleTrigger
from app.intake import schedule
from app.intake.turns import give_places_by
from app.storage.flows import polls, triggers
from app.storage.flows.triggers import DueTrigger
from app.storage.history import events

_ON_TIME = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Fire:
    """`moment`: the planned one that is fired for; None = passed over, as the flow wants it."""

    moment: datetime | None
    following: datetime | None
    missed: int
    key: str


def plan_fire(due: DueTrigger, now: datetime) -> Fire:
    trigger = ScheduleTrigger.model_validate(due.trigger)
    fires = schedule.fires_until(trigger.when, due.time_zone, due.due_at, now)
    late = now - fires.latest > _ON_TIME
    skip = late and trigger.catch_up == "skip"
    key = schedule.fire_key(trigger.when, due.time_zone, fires.latest)
    missed = fires.missed + (1 if skip else 0)
    return Fire(None if skip else fires.latest, fires.following, missed, key)


def write_fire(db: Connection, due: DueTrigger, fire: Fire, now: datetime) -> RunTicket | None:
    """The event, its run and the next moment in one transaction; None = nothing to run now, because
    it fired already, is passed over, or the flow is held."""
    if not triggers.advance(db, due.flow_id, due_at=due.due_at, next_due_at=fire.following):
        return None
    if fire.missed:
        _record_missed(db, due, fire, now)
    if fire.moment is None:
        return None
    document = schedule.payload(fire.moment, due.time_zone)
    label = f"{document['weekday'][:3]} {document['local_date']} {document['local_time']}"
    new = events.arrival(document, orjson.dumps(document), label, fire.key)
    if due.one_by_one.value:
        give_places_by(due.one_by_one, due.trigger.get("id", "trigger"), [new])
    fresh, _ = events.take_keys(db, due.flow_id, [new], now=now)
    held = events.is_held(db, due.flow_id)
    rows = events.arrival_rows(
        fresh,
        flow_id=due.flow_id,
        version_id=due.version_id,
        delivery_id=None,
        source="schedule",
        now=now,
        held=held,
    )
    events.write_all(db, rows)
    if held or not fresh:
        return None
    return RunTicket(new.run_id, due.flow_id, due.version_id, new.event_id, new.payload)


def _record_missed(db: Connection, due: DueTrigger, fire: Fire, now: datetime) -> None:
    first = schedule.payload(due.due_at, due.time_zone)
    since = f"{first['local_date']} {first['local_time']}"
    times = "One planned start was" if fire.missed == 1 else f"{fire.missed} planned starts were"
    what = "passed over" if fire.moment is None else "made up for by one run"
    sentence = f"{times} missed since {since} because the server was not running, and {what}."
    polls.add_poll(
        db, flow_id=due.flow_id, state="skipped", started_at=now, finished_at=now, sentence=sentence
    )
