"""What comes out: a flow as a file would hold it, and samples to map from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.flows.model import Gap, walk
from app.flows.portable.files import FlowFile, dump
from app.imports.flows.report import LeftOut, Report, shortened

MOST_GAPS = 60


@dataclass
class Draft:
    """`samples`: by the id of the trigger (`trigger`) or step."""

    file: FlowFile
    samples: dict[str, Any] = field(default_factory=dict)

    def rename(self, name: str, description: str) -> None:
        facts = {"name": " ".join(name.split()) or "Brought along", "description": description}
        self.file = FlowFile(self.file.definition.model_copy(update=facts), self.file.connections)

    def mark(self, gaps: list[Gap]) -> None:
        """What belongs to no step stands on the trigger."""
        definition = self.file.definition
        trigger = definition.trigger
        trigger = trigger.model_copy(update={"gaps": [*trigger.gaps, *gaps]})
        self.file = FlowFile(definition.model_copy(update={"trigger": trigger}), self.file.connections)


def mark_the_rest(drafts: list[Draft], report: Report) -> None:
    """A line of the report that no step shows yet is shown by the trigger of the first flow."""
    if not drafts:
        return
    parts: list[Any] = []
    for draft in drafts:
        parts += [draft.file.definition.trigger, *walk(draft.file.definition.steps)]
    shown = {gap.reason for part in parts for gap in part.gaps}
    with_gaps = {part.name for part in parts if part.gaps}
    text = "\n".join(_texts([dump(draft.file.definition) for draft in drafts]))
    open_ = [line for line in report.lines if not _is_shown(line, shown, with_gaps, text)]
    gaps = [Gap(what=shortened(f"{line.where}: {line.what}", 160), reason=line.reason) for line in open_]
    if len(gaps) > MOST_GAPS:
        more = Gap(what=f"{len(gaps) - MOST_GAPS} more", reason="The report of the import names them.")
        gaps = [*gaps[:MOST_GAPS], more]
    drafts[0].mark(list(dict.fromkeys(gaps)))


def _is_shown(line: LeftOut, shown: set[str], with_gaps: set[str], text: str) -> bool:
    if line.reason in shown or any(name and line.where.startswith(name) for name in with_gaps):
        return True
    return bool(line.what.strip()) and _plain(shortened(line.what, 100)) in text


def _plain(text: str) -> str:
    """As a gap in a field is written."""
    return text.replace("\\", "").replace("|", "¦").replace("{{", "{ {").replace("}}", "} }").rstrip("…")


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return [text for one in inner for text in _texts(one)]
    return [value.replace("\\", "")] if isinstance(value, str) and "{{gap" in value else []
