"""The look for fields that a form or service has given another name: which flows miss them still."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from app.flows.edit import find_step
from app.flows.mapping.jsonpath import parse_path, quoted_path
from app.flows.mapping.jsonpath_reader import EACH
from app.flows.model import FlowDefinition
from app.flows.order import label, numbering
from app.flows.renamed import Place, is_there, read_place, uses, values_in
from app.storage.database.executor import Executor
from app.storage.flows.flows import live_definition
from app.storage.flows.renamed_fields import (
    RenamedRow,
    document_of_run,
    forget_renamed,
    last_documents,
    renamed_fields,
)
from app.storage.letters.dead_letters import DeadLetterGroup, groups
from app.storage.upkeep.alerts import Noticed

if TYPE_CHECKING:
    from app.watch.looks import View

_SEEN_AGAIN = 3  # records in a row that have it: then it was another form, or has been put right there
_MOST_CAUSES = 200
_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Renamed:
    """`step_ids`: the steps of the live version whose mappings look there; none when it was fixed."""

    row: RenamedRow
    place: Place
    live: FlowDefinition
    step_ids: tuple[str, ...]

    @property
    def was(self) -> str:
        return self.place.words

    @property
    def now(self) -> str:
        return Place(self.place.root, self.row.new_path).words

    @property
    def steps(self) -> str:
        """`step 2 “Create contact”`: the first, and how many more."""
        step = find_step(self.live, self.step_ids[0])
        more = len(self.step_ids) - 1
        others = f" and {more} more" if more else ""
        return f"step {numbering(self.live).get(step.id, '')} “{label(step)}”{others}"

    @property
    def address(self) -> str:
        return f"/flows/{self.row.flow_id}/renamed"

    def stopped(self, group: DeadLetterGroup) -> bool:
        """It stopped because this field is missing."""
        at = group.what
        return (
            group.flow_id == self.row.flow_id
            and at.about.startswith("field ")
            and f"“{self.was}” is no longer there" in group.sentence
        )


def noticed(db: Executor, flow_id: str | None = None) -> list[Renamed]:
    """All that was noticed of flows that are live, fixed or not."""
    found = []
    definitions: dict[str, FlowDefinition | None] = {}
    for row in renamed_fields(db, flow_id=flow_id):
        if row.flow_id not in definitions:
            definitions[row.flow_id] = live_definition(db, row.flow_id)
        if (live := definitions[row.flow_id]) is not None:
            place = read_place(row.place)
            found.append(Renamed(row, place, live, tuple(uses(live).get(place, ()))))
    return found


def still_missing(db: Executor, flow_id: str | None = None) -> list[Renamed]:
    """Those that the live version of their flow looks for, and that its last records do not have."""
    return [one for one in noticed(db, flow_id) if one.step_ids and not is_back(db, one)]


def forget_mended(db: Connection, now: datetime) -> None:
    """What nobody looks for any more, or what came again, long ago."""
    old = [one for one in renamed_fields(db) if one.noticed_at < now - _KEPT]
    if old:
        missing = {one.row for one in still_missing(db)}
        forget_renamed(db, [row for row in old if row not in missing])


def values_instead(db: Executor, one: Renamed) -> list[tuple[str, Any]]:
    """Returns what the first record without the field has, as path and value, the likely new place first."""
    document = document_of_run(db, one.row.run_id, one.place.root)
    likely = (one.row.new_path, parse_path(one.row.new_path).value(document))
    found = [
        (path, value)
        for keys, value in values_in(document)
        if EACH not in keys and not isinstance(value, dict | list)
        if (path := quoted_path(keys)) != one.row.new_path
    ]
    return [likely, *found]


def is_back(db: Executor, one: Renamed) -> bool:
    documents = last_documents(db, one.row.flow_id, one.place.root, limit=_SEEN_AGAIN)
    path = parse_path(one.place.path)
    return len(documents) == _SEEN_AGAIN and all(is_there(path, document) for document in documents)


def renamed(view: View) -> Iterator[Noticed]:
    """Told at the first record that comes without the field."""
    missing = still_missing(view.db)
    letters = groups(view.db, limit=_MOST_CAUSES) if missing else []
    for one in missing:
        stopped = sum(group.count for group in letters if one.stopped(group))
        yield Noticed(
            "renamed",
            "flow",
            one.row.flow_id,
            f"renamed:{one.row.flow_id}:{one.place.text}",
            f"“{view.name(one.row.flow_id)}” no longer gets the field “{one.was}”, which {one.steps} uses. "
            f"It looks like it is called “{one.now}” now. {_what_became(stopped)}",
            f"Use “{one.now}” instead"[:80],
            one.address,
            max(stopped, 1),
        )


def _what_became(stopped: int) -> str:
    if not stopped:
        return "Runs go on without it: it is left out, and nothing is written over."
    return f"{'1 run has' if stopped == 1 else f'{stopped:,} runs have'} stopped and can be sent again."
