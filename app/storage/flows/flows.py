"""Flows and their versions: the draft that is edited, the immutable versions that runs are pinned to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Select, Text, delete, func, insert, select, type_coerce, update

from app.errors import FlowInvalid, NotFound, Stale
from app.flows.model import ActionStep, ConnectorTrigger, FlowDefinition, walk
from app.ids import new_id
from app.storage.database.executor import Executor
from app.storage.tables.models import OPEN_STATES, Event, Flow, FlowVersion, Hook, Run, Trigger


@dataclass(frozen=True, slots=True)
class FlowRow:
    id: str
    name: str
    draft: FlowDefinition
    draft_revision: int
    is_on: bool
    is_held: bool
    live_version_id: str | None
    live_number: int | None
    owner_id: str | None
    created_at: datetime
    updated_at: datetime
    hold_reason: str | None = None  # what the person who holds it wrote

    @property
    def trigger_kind(self) -> str:
        return self.draft.trigger.kind


@dataclass(frozen=True, slots=True)
class FlowChoice:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class VersionRow:
    id: str
    flow_id: str
    number: int
    definition: FlowDefinition
    created_at: datetime
    created_by: str | None


@dataclass(frozen=True)
class ConnectorUses:
    """What a flow names of a connector, in its draft and in its live version."""

    flow: FlowRow
    actions: set[str] = field(default_factory=set)
    triggers: set[str] = field(default_factory=set)

    def add(self, key: str, definition: FlowDefinition) -> None:
        trigger = definition.trigger
        if isinstance(trigger, ConnectorTrigger) and trigger.connector == key:
            self.triggers.add(trigger.trigger)
        for step in walk(definition.steps):
            if isinstance(step, ActionStep) and step.connector == key:
                self.actions.add(step.action)


# ------------------------------------------------------------------------------------- reading


def get_flow(db: Executor, flow_id: str) -> FlowRow:
    row = db.execute(_flows().where(Flow.id == flow_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such flow.", flow=flow_id)
    return _flow(row)


def find_flow(db: Executor, flow_id: str | None) -> FlowRow | None:
    """Returns None also for a flow that is deleted: its runs are still in the history."""
    row = db.execute(_flows().where(Flow.id == flow_id)).one_or_none() if flow_id else None
    return _flow(row) if row is not None else None


def list_flows(db: Executor) -> list[FlowRow]:
    """To be looked at: those who edit a draft take it from `get_flow`, for these are kept and shared."""
    query = _flows(type_coerce(Flow.draft, Text)).order_by(func.lower(Flow.name), Flow.id)
    return [_flow(row, read_draft=_draft_of) for row in db.execute(query)]


def flow_choices(db: Executor) -> list[FlowChoice]:
    """In the order of their names; without the drafts, which cost much where there are many flows."""
    query = select(Flow.id, Flow.name).where(Flow.deleted_at.is_(None))
    return [FlowChoice(*row) for row in db.execute(query.order_by(func.lower(Flow.name), Flow.id))]


def flow_names(db: Executor, flow_ids: Sequence[str]) -> dict[str, str]:
    """Also of deleted flows, whose history is still there."""
    rows = db.execute(select(Flow.id, Flow.name).where(Flow.id.in_(set(flow_ids))))
    return {row.id: row.name for row in rows}


def get_version(db: Executor, version_id: str) -> VersionRow:
    row = db.execute(_versions().where(FlowVersion.id == version_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such version.", version=version_id)
    return _version(row)


def list_versions(db: Executor, flow_id: str) -> list[VersionRow]:
    """The newest first."""
    query = _versions().where(FlowVersion.flow_id == flow_id).order_by(FlowVersion.number.desc())
    return [_version(row) for row in db.execute(query)]


def live_version(db: Executor, flow_id: str) -> VersionRow | None:
    query = _versions().join(Flow, Flow.live_version_id == FlowVersion.id).where(Flow.id == flow_id)
    row = db.execute(query).one_or_none()
    return None if row is None else _version(row)


def live_definition(db: Executor, flow_id: str) -> FlowDefinition | None:
    version = live_version(db, flow_id)
    return None if version is None else version.definition


def connector_uses(db: Executor, key: str) -> Iterator[ConnectorUses]:
    """Returns the flows that name anything of the connector."""
    for flow in list_flows(db):
        uses = ConnectorUses(flow)
        for definition in (flow.draft, live_definition(db, flow.id)):
            if definition is not None:
                uses.add(key, definition)
        if uses.actions or uses.triggers:
            yield uses


def changed_drafts(db: Executor) -> set[str]:
    """The flows whose draft is not what is live; one that was never published is not among them."""
    query = select(Flow.id, Flow.draft, FlowVersion.definition).join(
        FlowVersion, FlowVersion.id == Flow.live_version_id
    )
    rows = db.execute(query.where(Flow.deleted_at.is_(None)))
    return {row.id for row in rows if row.draft != row.definition}


def get_samples(db: Executor, flow_id: str) -> dict[str, Any]:
    """What mappings are tried on: the trigger's document under `trigger`, and under the id of a step
    what its last test answered.  Without a test delivery the trigger's is that of the last event."""
    samples = db.execute(select(Flow.sample).where(Flow.id == flow_id)).scalar_one_or_none() or {}
    if "trigger" in samples:
        return dict(samples)
    last = select(Run.event_id).where(Run.flow_id == flow_id).order_by(Run.id.desc()).limit(1)
    payload = db.execute(select(Event.payload).where(Event.id == last.scalar_subquery())).scalar_one_or_none()
    return dict(samples) if payload is None else {**samples, "trigger": orjson.loads(payload)}


def get_sample(db: Executor, flow_id: str) -> Any:
    """The trigger's document; None = there was no event yet."""
    return get_samples(db, flow_id).get("trigger")


def open_runs(db: Executor, flow_id: str) -> int:
    query = select(func.count()).where(Run.flow_id == flow_id, Run.state.in_(OPEN_STATES))
    return db.execute(query).scalar_one()


# ------------------------------------------------------------------------------------- writing


def create_flow(
    db: Connection, *, name: str, definition: FlowDefinition, owner_id: str | None, now: datetime
) -> str:
    flow_id = new_id("flow")
    values = {
        "id": flow_id,
        "name": name,
        "draft": stored(definition.model_copy(update={"name": name})),
        "owner_id": owner_id,
        "created_at": now,
        "updated_at": now,
    }
    db.execute(insert(Flow), values)
    return flow_id


def save_draft(
    db: Connection, flow_id: str, definition: FlowDefinition, *, revision: int, now: datetime
) -> int:
    """`revision`: the one the change is based on.  Returns the new one."""
    query = (
        update(Flow)
        .where(Flow.id == flow_id, Flow.draft_revision == revision, Flow.deleted_at.is_(None))
        .values(draft=stored(definition), name=definition.name, draft_revision=revision + 1, updated_at=now)
    )
    if db.execute(query).rowcount == 0:
        get_flow(db, flow_id)
        raise Stale(
            "Somebody else changed this flow while you were editing it.",
            remedy="Load the page again to see their change, then make yours.",
            flow=flow_id,
        )
    return revision + 1


def rename(db: Connection, flow_id: str, name: str, *, now: datetime) -> None:
    """Renaming the draft is an edit too: an editor that has it open learns of it."""
    flow = get_flow(db, flow_id)
    draft = FlowDefinition.model_validate(stored(flow.draft) | {"name": name})
    save_draft(db, flow_id, draft, revision=flow.draft_revision, now=now)


def set_sample(db: Connection, flow_id: str, document: Any, *, root: str = "trigger") -> None:
    """`root`: whose document it is, the trigger's or that of the step with this id."""
    samples = db.execute(select(Flow.sample).where(Flow.id == flow_id)).scalar_one_or_none() or {}
    _set(db, flow_id, sample={**samples, root: document})


def set_on(db: Connection, flow_id: str, is_on: bool, *, now: datetime) -> None:
    _set(db, flow_id, is_on=is_on, updated_at=now)


def set_held(db: Connection, flow_id: str, is_held: bool, *, now: datetime, reason: str = "") -> None:
    """`reason`: what the person who holds it wrote."""
    _set(db, flow_id, is_held=is_held, hold_reason=reason or None, updated_at=now)


def add_version(
    db: Connection, flow_id: str, definition: FlowDefinition, *, by: str | None, now: datetime
) -> VersionRow:
    """A new live version; runs that are under way stay on theirs."""
    last = db.execute(select(func.max(FlowVersion.number)).where(FlowVersion.flow_id == flow_id)).scalar_one()
    version = VersionRow(new_id("ver"), flow_id, (last or 0) + 1, definition, now, by)
    values = {
        "id": version.id,
        "flow_id": flow_id,
        "number": version.number,
        "definition": stored(definition),
        "created_at": now,
        "created_by": by,
    }
    db.execute(insert(FlowVersion), values)
    _set(db, flow_id, live_version_id=version.id, updated_at=now)
    return version


def delete_flow(db: Connection, flow_id: str, *, now: datetime) -> None:
    """Its addresses and its trigger end; versions, events and runs stay as history."""
    flow = get_flow(db, flow_id)
    if flow.is_on:
        raise FlowInvalid(f"“{flow.name}” is switched on.", remedy="Switch it off, then delete it.")
    if waiting := open_runs(db, flow_id):
        raise FlowInvalid(
            f"{waiting} {'run' if waiting == 1 else 'runs'} of “{flow.name}” have not ended yet.",
            remedy="Let them end or cancel them, then delete the flow.",
        )
    db.execute(delete(Hook).where(Hook.flow_id == flow_id))
    db.execute(delete(Trigger).where(Trigger.flow_id == flow_id))
    _set(db, flow_id, deleted_at=now, updated_at=now)


# -------------------------------------------------------------------------------------- shapes


def stored(definition: FlowDefinition) -> dict[str, Any]:
    return definition.model_dump(mode="json")


def _set(db: Connection, flow_id: str, **values: Any) -> None:
    db.execute(update(Flow).where(Flow.id == flow_id).values(**values))


def _flows(draft: Any = Flow.draft) -> Select[Any]:
    return (
        select(
            Flow.id,
            Flow.name,
            draft.label("draft"),
            Flow.draft_revision,
            Flow.is_on,
            Flow.is_held,
            Flow.live_version_id,
            FlowVersion.number.label("live_number"),
            Flow.owner_id,
            Flow.created_at,
            Flow.updated_at,
            Flow.hold_reason,
        )
        .outerjoin(FlowVersion, FlowVersion.id == Flow.live_version_id)
        .where(Flow.deleted_at.is_(None))
    )


def _flow(
    row: Row[Any], read_draft: Callable[[Any], FlowDefinition] = FlowDefinition.model_validate
) -> FlowRow:
    values = dict(row._mapping)
    return FlowRow(**values | {"draft": read_draft(values["draft"])})


@lru_cache(2048)
def _draft_of(text: str) -> FlowDefinition:
    """Reading it costs a tenth of a millisecond and more, and a list shows hundreds."""
    return FlowDefinition.model_validate(orjson.loads(text))


def _versions() -> Select[Any]:
    return select(
        FlowVersion.id,
        FlowVersion.flow_id,
        FlowVersion.number,
        FlowVersion.definition,
        FlowVersion.created_at,
        FlowVersion.created_by,
    )


def _version(row: Row[Any]) -> VersionRow:
    values = dict(row._mapping)
    return VersionRow(**values | {"definition": FlowDefinition.model_validate(values["definition"])})
