"""A flow in the builder, as templates see it: its cards, their problems, its changes."""

from __future__ import annotations

import functools
from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from app.catalog.registry import Registry
from app.flows.edit import numbering
from app.flows.model import FlowDefinition, Path, Step, Trigger
from app.flows.portable import diff
from app.flows.review import Problem, review
from app.storage.connections import list_connections
from app.storage.db import db
from app.storage.flows import FlowRow, get_flow, get_samples, live_definition
from app.web.builder_scope import Scope
from app.web.builder_words import CardWords, path_words, step_words, trigger_words
from app.web.context import parts

Status = Literal["ready", "check", "todo"]
STATUS_WORDS = {"ready": "Ready", "check": "Check", "todo": "To do"}
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
        return review(self.definition, self.registry, known)

    @functools.cached_property
    def numbers(self) -> Map[str, str]:
        return numbering(self.definition)

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
        return ("todo" if own[0].blocking else "check"), own[0].sentence

    def number(self, part_id: str) -> str:
        """The trigger is 1; the first step after it is 2."""
        return self.numbers.get(part_id, "1")

    def rule(self, path: Path) -> str:
        return path_words(path)

    def url(self, **query: str) -> str:
        address = f"/flows/{self.flow.id}"
        return f"{address}?{urlencode(query)}" if query else address

    def problem_url(self, problem: Problem) -> str:
        return self.url(step=problem.step_id or "trigger")

    def connections_for(self, connector: str) -> list[Any]:
        return [found for found in self.connections if found.connector == connector]


def open_editor(flow_id: str) -> Editor:
    """Reads after a write need the newest state: the session's snapshot is let go first."""
    db.session.rollback()
    return Editor(
        flow=get_flow(db.session, flow_id),
        registry=parts().registry,
        live=live_definition(db.session, flow_id),
        connections=list_connections(db.session),
        samples=get_samples(db.session, flow_id),
    )
