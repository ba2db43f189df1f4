"""Notices, where a mapping found nothing, that a value which records used to have has another name now.

Nothing here is done for a record that has all that its mappings look at.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from app.engine.context import RunContext
from app.errors import AppError, MappingFailed
from app.flows.mapping.jsonpath import parse_path
from app.flows.mapping.template import Reference, compile_template, resolve
from app.flows.model import FlowDefinition, ForEachStep, walk
from app.flows.renamed import Before, Place, before, gone_sentence, is_there, new_path_of, place_of, uses
from app.ids import id_floor
from app.storage.database.db import Database
from app.storage.database.executor import Executor
from app.storage.flows.renamed_fields import last_documents, note_renamed, renamed_fields, sample_of
from app.storage.tables.types import to_ms

T = TypeVar("T")
Scope = dict[str, Any]
log = logging.getLogger("plumbline.engine")

REMEDY = "Take over the new name, then send again what stopped."
_MOST_KEPT = 1000
_LOOK_AGAIN_AFTER = timedelta(minutes=5)  # at what no record is known to have had
_NOTE_AGAIN_AFTER = timedelta(hours=1)  # it may have been fixed and forgotten meanwhile
_BACK = (timedelta(), timedelta(minutes=10), timedelta(days=1))  # many may have come since the change


class Read(Protocol):
    async def __call__(self, work: Callable[[], T]) -> T: ...


class RenamedFields:
    """`read`: does what waits for the database elsewhere than in the loop."""

    def __init__(self, database: Database, read: Read) -> None:
        self._database = database
        self._read = read
        self._known: OrderedDict[tuple[str, Place], tuple[Before | None, datetime]] = OrderedDict()
        self._noted: OrderedDict[tuple[str, Place], datetime] = OrderedDict()

    async def why(self, ctx: RunContext, failed: MappingFailed, scope: Scope) -> str:
        """The sentence for a step that stops because of it; '' = it has another reason."""
        missing = _missing(ctx.version.definition, failed.reference, scope)
        if missing is None:
            return ""
        try:
            new_path = await self._look(ctx, *missing, scope)
        except Exception:
            log.exception("a renamed field could not be looked for")
            return ""
        return gone_sentence(failed.field, missing[0].path, new_path) if new_path else ""

    async def note(self, ctx: RunContext) -> None:
        """What the run went on without is put on record, once."""
        missed, ctx.missed = ctx.missed, {}
        for reference, scope in missed.items():
            missing = _missing(ctx.version.definition, reference, scope)
            if missing is None or self._is_noted(ctx, missing[0]):
                continue
            try:
                await self._look(ctx, *missing, scope)
            except Exception:  # the run itself is as it is
                log.exception("a renamed field could not be looked for")

    async def _look(self, ctx: RunContext, place: Place, reference: Reference, scope: Scope) -> str | None:
        """The new path; all the flow's places in the same data are looked at with it."""
        flow_id, document = ctx.version.flow_id, scope[reference.root]
        if self._fresh(flow_id, place, ctx.now()) is None:
            await self._read(lambda: self._learn(ctx, [place]))
        new_path = self._new_path(flow_id, place, document)
        if new_path is None or self._is_noted(ctx, place):
            return new_path
        beside = [one for one in uses(ctx.version.definition) if one.root == place.root and one != place]
        await self._read(lambda: self._learn(ctx, beside))
        found = [(place, new_path), *self._also(flow_id, beside, document)]
        rows = [(one.text, new) for one, new in found]
        await self._database.writer.awrite(
            lambda db: note_renamed(db, flow_id, rows, run_id=ctx.run_id, now=ctx.now()), patient=True
        )
        for one, _ in found:
            _keep(self._noted, (flow_id, one), ctx.now())
        return new_path

    def _is_noted(self, ctx: RunContext, place: Place) -> bool:
        at = self._noted.get((ctx.version.flow_id, place))
        return at is not None and ctx.now() - at < _NOTE_AGAIN_AFTER

    def _also(self, flow_id: str, places: list[Place], document: Any) -> Iterator[tuple[Place, str]]:
        for place in places:
            is_missing = not is_there(parse_path(place.path), document)
            if is_missing and (new_path := self._new_path(flow_id, place, document)):
                yield place, new_path

    def _new_path(self, flow_id: str, place: Place, document: Any) -> str | None:
        known = self._known.get((flow_id, place), (None,))[0]
        return new_path_of(parse_path(place.path), document, known) if known is not None else None

    # ---------------------------------------------------------------------- what there was before

    def _fresh(self, flow_id: str, place: Place, now: datetime) -> tuple[Before | None, datetime] | None:
        kept = self._known.get((flow_id, place))
        return None if kept is None or (kept[0] is None and now - kept[1] > _LOOK_AGAIN_AFTER) else kept

    def _learn(self, ctx: RunContext, places: list[Place]) -> None:
        """Reads the database: to be called from a thread that may wait."""
        now, flow_id = ctx.now(), ctx.version.flow_id
        places = [place for place in places if self._fresh(flow_id, place, now) is None]
        if not places:
            return
        with self._database.read() as db:
            documents = _documents(db, ctx, places[0].root)
            rows = {row.place: row for row in renamed_fields(db, flow_id=flow_id)}
        for place in places:
            known = before(parse_path(place.path), documents)
            if known is None and place.text in rows:
                known = Before("", frozenset(), new_path=rows[place.text].new_path)
            _keep(self._known, (flow_id, place), (known, now))


def _missing(definition: FlowDefinition, text: str, scope: Scope) -> tuple[Place, Reference] | None:
    """Where the reference looks, if nothing at all is there; that there is no value (null) is no change."""
    try:
        references = compile_template("{{" + text + "}}").references if text else ()
    except MappingFailed:
        return None
    if len(references) != 1 or references[0].root not in scope:
        return None
    place = place_of(references[0], definition.trigger.id)
    if place is None or is_there(references[0].compiled, scope[references[0].root]):
        return None
    return place, references[0]


def _documents(db: Executor, ctx: RunContext, root: str) -> list[Any]:
    """Records as they were before this run: the sample, the last ones, and some of earlier."""
    definition = ctx.version.definition
    loop = next((step for step in walk(definition.steps) if step.id == root), None)
    of = "trigger" if isinstance(loop, ForEachStep) else root
    found = [*sample_of(db, ctx.version.flow_id, of)]
    for back in _BACK:
        until = id_floor("run", to_ms(ctx.now() - back)) if back else ctx.run_id
        found += last_documents(db, ctx.version.flow_id, of, before=until)
    return [*_items(definition, loop, found)] if isinstance(loop, ForEachStep) else found


def _items(definition: FlowDefinition, loop: ForEachStep, documents: list[Any]) -> Iterator[Scope]:
    """What the steps inside the loop saw of the first item."""
    for document in documents:
        try:
            items = resolve(loop.items, {"trigger": document, definition.trigger.id: document}, [])
        except AppError:
            continue
        if isinstance(items, list) and items:
            yield {"item": items[0], "index": 0}


def _keep(kept: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    kept[key] = value
    while len(kept) > _MOST_KEPT:
        kept.popitem(last=False)
