"""What a converter is given for one part of the other tool, and what it gives back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.flows.model import Gap, Step, Trigger
from app.flows.portable.files import FileConnection
from app.imports.flows.document import Node, number_of
from app.imports.flows.places import Place, Seen
from app.imports.flows.report import Report
from app.imports.flows.settings import Settings
from app.imports.flows.values import Ref


class Connectors(Protocol):
    """What is asked of the registry: a connector that is missing today may be there tomorrow."""

    def find(self, key: str) -> Any: ...
    def find_action(self, connector: str, action: str) -> Any: ...
    def find_trigger(self, connector: str, trigger: str) -> Any: ...


@dataclass
class Shared:
    """What all parts of one draft have in common.  `notes`: words of the other tool for colleagues."""

    report: Report
    connectors: Connectors
    connections: dict[str, FileConnection] = field(default_factory=dict)
    samples: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, list[str]] = field(default_factory=dict)  # name -> fields that later parts read
    pinned: dict[str, list[Any]] = field(default_factory=dict)
    lost: list[Gap] = field(default_factory=list)  # gaps of parts that have no step here
    last_id: int = 0
    last_path: int = 0

    def step_id(self) -> str:
        self.last_id += 1
        return f"s{self.last_id}"

    def path_id(self) -> str:
        self.last_path += 1
        return f"p{self.last_path}"

    def connection(self, connector: str, name: str) -> str:
        """The name that a connection has in the draft; it is found again when the draft is stored."""
        key = f"{connector}: {name or connector}"
        self.connections[key] = FileConnection(connector, name or connector)
        return key


@dataclass
class Done:
    """`place` None = the data go on as they came.  `many`: the list whose items go on one by one."""

    steps: list[Step] = field(default_factory=list)
    place: Place | None = None
    many: Ref | None = None


@dataclass
class Started:
    trigger: Trigger
    place: Place
    sample: Any = None
    many: Ref | None = None


@dataclass
class Work:
    node: Node
    settings: Settings
    seen: Seen
    shared: Shared
    id: str = ""

    def new_id(self) -> str:
        self.id = self.id or self.shared.step_id()
        return self.id

    def facts(self) -> dict[str, Any]:
        """Name, note, and what happens when it fails."""
        node = self.node
        found: dict[str, Any] = {"id": self.new_id(), "name": node.name, "note": self.note()}
        if node.goes_on or node.error_output:
            found["on_error"] = "continue"
        if node.error_output:
            found["default_output"] = {"failed": True}
        if node.facts.get("retryOnFail") is True:
            found["retry"] = self.retry()
        return found

    def retry(self) -> dict[str, Any]:
        attempts = number_of(self.node.facts.get("maxTries"), 3)
        wait_s = number_of(self.node.facts.get("waitBetweenTries"), 1000) / 1000
        return {
            "preset": "custom",
            "attempts": int(min(max(attempts, 1), 10)),
            "first_wait_s": int(min(max(wait_s, 1), 86400)),
        }

    def note(self) -> str:
        notes = [self.node.note, self.shared.notes.get(self.node.name, "")]
        return "\n\n".join(note.strip() for note in notes if note.strip())[:5_000]

    def wanted_fields(self) -> Iterator[str]:
        yield from self.shared.wanted.get(self.node.name, [])
