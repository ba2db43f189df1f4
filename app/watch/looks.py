"""What is looked for: each look finds all there is of its kind, as sentences with a way to fix it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from sqlalchemy import Connection, func, select, text

from app.catalog.registry import Registry
from app.ids import id_floor, made_at_ms
from app.storage.connections.limits import open_breakers
from app.storage.database.executor import Executor
from app.storage.database.space import Space
from app.storage.flows.subscriptions import SubscriptionRow, in_doubt
from app.storage.letters import dead_letters
from app.storage.tables.models import HELD, Flow, FlowVersion, Run, Trigger
from app.storage.tables.models import Connection as ConnectionTable
from app.storage.tables.types import from_ms, to_ms
from app.storage.upkeep.alerts import Noticed
from app.storage.upkeep.ledger_days import differing
from app.watch.ledger import SHOWN_DAYS, days_until
from app.watch.renamed import renamed, still_missing

MOST_CAUSES = 200
_FAILED_LOOKS = 3
_GOES_ON = "It goes on trying."
# How quiet is told: since the last record at least an hour has gone by, and in the same hours of each of
# the last three weeks at least five records came in.  Nights, weekends and quiet seasons are part of it.
WEEK = timedelta(days=7)
_WEEKS = 3
_AT_LEAST = 5
_NOT_BEFORE = timedelta(hours=1)
_MOST_COUNTED = 1000
_HELD_FOR = timedelta(hours=24)
_LEFT_ALONE_FOR = timedelta(minutes=10)
_ENDS_WITHIN = timedelta(days=60)
_HELD = text(HELD)
_MB = 1024 * 1024


@dataclass(frozen=True)
class View:
    """What a look sees."""

    db: Connection
    now: datetime
    registry: Registry
    space: Space
    names: dict[str, str]  # of flows

    def name(self, flow_id: str) -> str:
        return self.names.get(flow_id) or "A deleted flow"


Look = Callable[[View], Iterator[Noticed]]


def stopped_runs(view: View) -> Iterator[Noticed]:
    """The first that stops for a reason is told at once, not the last.  Those that stopped for want of a
    field that has another name now are told of with it."""
    missing = still_missing(view.db)
    for group in dead_letters.groups(view.db, limit=MOST_CAUSES):
        if any(one.stopped(group) for one in missing):
            continue
        runs = "A run" if group.count == 1 else f"{group.count:,} runs"
        yield Noticed(
            "dead_letters",
            "flow",
            group.flow_id,
            f"dead:{group.cause}",
            f"{runs} of “{view.name(group.flow_id)}” stopped: {group.sentence}",
            "See and send again",
            f"/dead-letters/group?{urlencode({'cause': group.cause})}",
            group.count,
        )


def broken_connections(view: View) -> Iterator[Noticed]:
    columns = (ConnectionTable.id, ConnectionTable.name, ConnectionTable.state_sentence)
    for row in view.db.execute(select(*columns).where(ConnectionTable.state == "broken")):
        why = row.state_sentence or "The service no longer accepts its key."
        yield Noticed(
            "connection",
            "connection",
            row.id,
            f"connection:{row.id}",
            f"The connection “{row.name}” needs you: {why} What uses it waits, and nothing is lost.",
            "Fix the connection",
            f"/connections/{row.id}",
        )


def failing_polls(view: View) -> Iterator[Noticed]:
    query = select(Trigger.flow_id, Trigger.fail_count, Trigger.last_error)
    query = query.where(Trigger.is_on, Trigger.kind == "poll", Trigger.fail_count >= _FAILED_LOOKS)
    for row in view.db.execute(query):
        yield Noticed(
            "poll",
            "flow",
            row.flow_id,
            f"poll:{row.flow_id}",
            f"“{view.name(row.flow_id)}” has failed to look for new records at least {_FAILED_LOOKS} times "
            f"in a row: {row.last_error} It goes on trying.",
            "See its looks",
            f"/flows/{row.flow_id}/polls",
        )


def silent_flows(view: View) -> Iterator[Noticed]:
    for quiet in quiet_flows(view.db, view.now):
        yield Noticed(
            "quiet",
            "flow",
            quiet.flow_id,
            f"quiet:{quiet.flow_id}",
            _quiet_words(view.name(quiet.flow_id), quiet),
            "See what came in",
            f"/flows/{quiet.flow_id}/ledger",
        )


def _quiet_words(name: str, quiet: Quiet) -> str:
    numbers = [f"{number:,}" for number in quiet.before]
    came = f"{', '.join(numbers[:-1])} and {numbers[-1]}"
    return (
        f"“{name}” has received nothing since {quiet.since:%d %b, %H:%M} UTC. In the same hours of the last "
        f"{len(numbers)} weeks {came} records came in. Is the sender still connected to it?"
    )


@dataclass(frozen=True, slots=True)
class Quiet:
    """`before`: how many came in the same hours, one to three weeks ago."""

    flow_id: str
    since: datetime
    before: list[int]


def quiet_flows(db: Executor, now: datetime) -> Iterator[Quiet]:
    """Held ones too: what they receive is kept.  Not those that go live less than three weeks ago."""
    first = select(func.min(FlowVersion.created_at)).where(FlowVersion.flow_id == Flow.id).scalar_subquery()
    newest = select(func.max(Run.id)).where(Run.flow_id == Flow.id).scalar_subquery()
    on = select(Flow.id, newest.label("newest")).where(Flow.is_on, Flow.deleted_at.is_(None))
    for row in db.execute(on.where(first < now - _WEEKS * WEEK)):
        if row.newest is not None:
            since = max(from_ms(made_at_ms(row.newest)), now - WEEK)
            if now - since >= _NOT_BEFORE and (before := _before(db, row.id, since, now)):
                yield Quiet(row.id, since, before)


def _before(db: Executor, flow_id: str, since: datetime, now: datetime) -> list[int]:
    """Empty as soon as one of the weeks was quiet as well."""
    found = []
    for week in range(1, _WEEKS + 1):
        low, high = (id_floor("run", to_ms(moment - week * WEEK)) for moment in (since, now))
        ids = select(Run.id).where(Run.flow_id == flow_id, Run.id >= low, Run.id < high)
        number = db.execute(
            select(func.count()).select_from(ids.limit(_MOST_COUNTED).subquery())
        ).scalar_one()
        if number < _AT_LEAST:
            return []
        found.append(number)
    return found


def held_flows(view: View) -> Iterator[Noticed]:
    before = id_floor("run", to_ms(view.now - _HELD_FOR))
    query = select(Run.flow_id, func.count()).where(_HELD, Run.reason == "held_flow", Run.id < before)
    held = select(Flow.id).where(Flow.is_held, Flow.deleted_at.is_(None))
    for flow_id, number in view.db.execute(query.where(Run.flow_id.in_(held)).group_by(Run.flow_id)):
        runs = "1 run waits" if number == 1 else f"{number:,} runs wait"
        yield Noticed(
            "held",
            "flow",
            flow_id,
            f"held:{flow_id}",
            f"“{view.name(flow_id)}” is held, and {runs} for more than a day.",
            "Release it",
            f"/flows/{flow_id}",
        )


def hosts_left_alone(view: View) -> Iterator[Noticed]:
    since = view.now - _LEFT_ALONE_FOR
    names = {row.id: row.name for row in view.db.execute(select(ConnectionTable.id, ConnectionTable.name))}
    for row in open_breakers(view.db):
        if row.since > since:
            continue
        through = f" (connection “{names[row.connection_id]}”)" if row.connection_id in names else ""
        yield Noticed(
            "away",
            "connection" if row.connection_id else "host",
            row.connection_id or row.host,
            f"away:{row.place}",
            f"{row.host}{through} has not answered as it should since {row.since:%d %b, %H:%M} UTC. "
            f"{row.sentence} Runs wait and are sent by themselves once it does.".replace("  ", " "),
            "See the connection" if row.connection_id else "See the runs that wait",
            f"/connections/{row.connection_id}" if row.connection_id else "/runs?state=open",
        )


def ending_connectors(view: View) -> Iterator[Noticed]:
    """Those that somebody uses, so that there is time to move."""
    for key in sorted(view.db.scalars(select(ConnectionTable.connector).distinct())):
        connector = view.registry.find(key)
        until = connector.api.supported_until if connector else None
        if connector and until is not None and until <= (view.now + _ENDS_WITHIN).date():
            ends = "ended" if until < view.now.date() else "ends"
            yield Noticed(
                "version",
                "connector",
                connector.key,
                f"version:{connector.key}:{until}",
                f"The version of {connector.name} that this server speaks {ends} on {until:%d %B %Y}. "
                "A newer connector is needed before flows stop.",
                "See the connector",
                f"/connectors/{connector.key}",
            )


def full_disk(view: View) -> Iterator[Noticed]:
    if view.space.is_low:
        yield Noticed(
            "disk",
            "server",
            "disk",
            "disk",
            f"The disk is almost full: less than {view.space.wanted // _MB:,} MB are free. Webhooks are "
            "answered “try again later”, and runs pause until there is room.",
            "Keep history shorter",
            "/settings/history",
        )


def ledger_differences(view: View) -> Iterator[Noticed]:
    for slot, kept in differing(view.db, days_until(view.now, SHOWN_DAYS)[-1]).items():
        yield Noticed(
            "ledger",
            "flow",
            slot.flow_id,
            f"ledger:{slot.flow_id}:{slot.day}",
            f"The ledger of “{view.name(slot.flow_id)}” does not add up on {slot.day}: {kept.sentence}",
            "See the ledger",
            f"/ledger/{slot.day}",
            abs(kept.difference),
        )


def untold_services(view: View) -> Iterator[Noticed]:
    for row in in_doubt(view.db):
        flow, service = f"“{view.name(row.flow_id)}”", _service(view, row)
        if row.state == "live" and not row.error_kind:
            yield _dropped(row, flow)
        else:
            parts = (row.sentence, row.remedy, "" if row.next_at is None else _GOES_ON)
            yield Noticed(
                "subscription",
                "flow",
                row.flow_id,
                f"subscription:{row.id}",
                f"{_hears(view, row, flow, service)}: {' '.join(part for part in parts if part)}",
                "See why",
                f"/flows/{row.flow_id}/subscription",
            )


def _service(view: View, row: SubscriptionRow) -> str:
    found = view.registry.find(str(row.trigger.get("connector", "")))
    return found.name if found is not None else "its service"


def _hears(view: View, row: SubscriptionRow, flow: str, service: str) -> str:
    if row.state == "live":
        if row.expires_at is not None and row.expires_at <= view.now:
            ended = f"{row.expires_at:%d %b, %H:%M} UTC"
            return f"{flow} hears nothing from {service} any more, as what was agreed ended {ended}"
        return f"Whether {service} still sends to {flow} cannot be found out"
    if row.state == "unsure":
        return f"Nobody knows whether {service} sends to {flow}"
    return f"{flow} hears nothing from {service}{' any more' if row.since is not None else ''}"


def _dropped(row: SubscriptionRow, flow: str) -> Noticed:
    """Over with the next look at the service, when it is well again."""
    return Noticed(
        "subscription",
        "flow",
        row.flow_id,
        f"dropped:{row.id}:{row.vendor_id}",
        f"{flow} may lack something: {row.sentence}",
        "See what came in",
        f"/flows/{row.flow_id}/ledger",
    )


# By the kind of what it finds.
LOOKS: dict[str, Look] = {
    "dead_letters": stopped_runs,
    "renamed": renamed,
    "connection": broken_connections,
    "poll": failing_polls,
    "subscription": untold_services,
    "quiet": silent_flows,
    "held": held_flows,
    "away": hosts_left_alone,
    "version": ending_connectors,
    "disk": full_disk,
    "ledger": ledger_differences,
}
