"""What comes out: a flow as a file would hold it, and samples to map from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.flows.portable import FlowFile


@dataclass
class Draft:
    """`samples`: by the id of the trigger (`trigger`) or step."""

    file: FlowFile
    samples: dict[str, Any] = field(default_factory=dict)

    def rename(self, name: str, description: str) -> None:
        facts = {"name": " ".join(name.split()) or "Brought along", "description": description}
        self.file = FlowFile(self.file.definition.model_copy(update=facts), self.file.connections)
