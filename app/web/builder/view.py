"""A flow in the builder, as templates see it: its cards, their problems, its changes."""

from __future__ import annotations

import functools
from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from app.catalog.registry import Registry
from app.flows.edit import numbering
from app.flows.model import FlowDefinition, Path, Step, Trigger, walk
from app.flows.order import label
from app.flows.portable.files import diff
from app.flows.review.flow import Problem, review
from app.storage.connections.connections import list_connections
from app.storage.database.db import pages_db
from app.storage.flows.flows import FlowRow, get_flow, get_samples, live_definition
from app.web.builder.inputs import all_samples
from app.web.builder.scope import Scope
from app.web.builder.words import CardWords, path_words, step_words, trigger_words
from app.web.connections.rights import rights_problems
from app.web.frame.context import parts

Status = Literal["ready", "check", "todo"]
STATUS_WORDS = {"ready": "Ready", "check": "Check", "todo": "To do"}
_APP_KINDS = ("action", "connector")
STATUS_LOOKS = {"ready": "ok", "check": "warn", "todo": "quiet"}


@dataclass(frozen=True)
class Card:
    """A step on the canvas: its number, what it is, and the first thing wrong with it."""

    id: str
    number: str
    words: CardWords
    status: Status
    sentence: str

    @property
    def status_word(self) -> str:
        return STATUS_WORDS[self.status]

    @property
    def look(self) -> str:
        return STATUS_LOOKS[self.status]


@dataclass
class Editor:
    """A flow that is being edited, and what its page shows beside the canvas."""

    flow: FlowRow
    registry: Registry
    live: FlowDefinition | None
    connections: list[Any]
    samples: Scope

    @property
    def definition(self) -> FlowDefinition:
        return self.flow.draft

    @functools.cached_property
    def problems(self) -> list[Problem]:
        known = {connection.id: connection.connector for connection in self.connections}
        more = rights_problems(pages_db.session, self.registry, self.definition, self.connections)
        return [*review(self.definition, self.registry, known), *more]

    @functools.cached_property
    def all_samples(self) -> Scope:
        return all_samples(self.definition, self.registry, self.samples)

    @functools.cached_property
    def numbers(self) -> Map[str, str]:
        return numbering(self.definition)

    @property
    def is_by_hand(self) -> bool:
        return self.definition.trigger.kind == "manual"

    @property
    def has_changes(self) -> bool:
        return self.live is not None and self.live != self.definition

    @property
    def state_words(self) -> str:
        """“Live v3 · Draft has changes”."""
        if self.live is None:
            return "Draft, not published yet"
        words = [f"Live v{self.flow.live_number}"]
        words += ["Draft has changes"] if self.has_changes else []
        words += ["Held"] if self.flow.is_held else []
        return " · ".join(words)

    @functools.cached_property
    def changes(self) -> list[str]:
        return [] if self.live is None else diff(self.live, self.definition)

    @property
    def next_number(self) -> int:
        """The newest version may not be the live one any more, but it nearly always is."""
        return (self.flow.live_number or 0) + 1

    @property
    def blocking(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.blocking]

    def card(self, part: Step | Trigger) -> Card:
        is_trigger = part is self.definition.trigger
        words = (
            trigger_words(self.definition.trigger, self.registry)
            if is_trigger
            else step_words(part, self.registry)  # type: ignore[arg-type]
        )
        status, sentence = self._status(part.id)
        return Card(part.id, self.number(part.id), words, status, sentence)

    def _status(self, part_id: str) -> tuple[Status, str]:
        own = sorted((p for p in self.problems if p.step_id == part_id), key=lambda p: not p.blocking)
        if not own:
            return "ready", ""
        return ("todo" if own[0].blocking else "check"), self.short_sentence(own[0])

    def short_sentence(self, problem: Problem) -> str:
        """Without the name of the step, where that stands right above."""
        part = self.parts.get(problem.step_id)
        if part is None:
            return problem.sentence
        name = (
            "The trigger"
            if part is self.definition.trigger
            else f"Step {self.number(part.id)} '{label(part)}'"
        )
        rest = problem.sentence.removeprefix(name).lstrip(": ")
        return rest[:1].upper() + rest[1:]

    @functools.cached_property
    def parts(self) -> dict[str, Step | Trigger]:
        trigger = self.definition.trigger
        return {trigger.id: trigger, **{step.id: step for step in walk(self.definition.steps)}}

    def number(self, part_id: str) -> str:
        """The trigger is 1; the first step after it is 2."""
        return self.numbers.get(part_id, "1")

    def part_name(self, part_id: str) -> str:
        part = self.parts.get(part_id)
        return "The flow" if part is None else f"{self.number(part_id)} · {self.card(part).words.title}"

    def rule(self, path: Path) -> str:
        return path_words(path)

    def url(self, **query: str) -> str:
        address = f"/flows/{self.flow.id}"
        return f"{address}?{urlencode(query)}" if query else address

    def problem_url(self, problem: Problem) -> str:
        """To the step, the tab and the field."""
        on_connection = problem.field == "connection_id" and self.parts[problem.step_id].kind in _APP_KINDS
        tab = {"tab": "connection"} if on_connection else {}
        return self.url(step=problem.step_id or self.definition.trigger.id, **tab)

    def connections_for(self, connector: str) -> list[Any]:
        return [found for found in self.connections if found.connector == connector]


def open_editor(flow_id: str) -> Editor:
    """Reads after a write need the newest state: the session's snapshot is let go first."""
    pages_db.session.rollback()
    return Editor(
        flow=get_flow(pages_db.session, flow_id),
        registry=parts().registry,
        live=live_definition(pages_db.session, flow_id),
        connections=list_connections(pages_db.session),
        samples=get_samples(pages_db.session, flow_id),
    )
