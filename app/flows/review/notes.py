"""What a review has found so far, and what it can ask about names, connectors and whose data is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from app.errors import MappingFailed
from app.flows.mapping.jsonpath import parse_path
from app.flows.mapping.template import GAP, Reference, Template, compile_template
from app.flows.model import FlowDefinition, Mapping, Model, Step, walk
from app.flows.order import before, label, numbering


class FieldView(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def required(self) -> bool: ...
    @property
    def type(self) -> str: ...


class PartView(Protocol):
    """An action or a trigger of a connector."""

    @property
    def input(self) -> Sequence[FieldView]: ...


class ConnectorView(Protocol):
    """What the catalog offers to a review."""

    def find(self, key: str) -> Any: ...
    def find_action(self, connector: str, action: str) -> PartView | None: ...
    def find_trigger(self, connector: str, trigger: str) -> PartView | None: ...


@dataclass(frozen=True, slots=True)
class Problem:
    """`step_id` '' = the flow itself.  `field`: its place in the step, such as `input.email`."""

    step_id: str
    field: str
    sentence: str
    blocking: bool


@dataclass
class Notes:
    definition: FlowDefinition
    connectors: ConnectorView
    connections: MappingOf[str, str]
    problems: list[Problem] = field(default_factory=list)
    _visible: dict[str, set[str]] = field(default_factory=dict)

    def add(self, step_id: str, place: str, sentence: str, *, blocking: bool = True) -> None:
        """`sentence` stands after the name of the step, if there is one."""
        named = (
            f"{self.name(step_id)}{'' if _continues(sentence) else ':'} {sentence}" if step_id else sentence
        )
        self.problems.append(Problem(step_id, place, named, blocking))

    def hint(self, step_id: str, place: str, sentence: str) -> None:
        self.add(step_id, place, sentence, blocking=False)

    # ------------------------------------------------------------------------------- asking

    @cached_property
    def steps(self) -> dict[str, Step]:
        return {step.id: step for step in walk(self.definition.steps)}

    @cached_property
    def numbers(self) -> dict[str, str]:
        return numbering(self.definition)

    def name(self, part_id: str) -> str:
        """`Step 3 'Create contact'`"""
        if part_id == self.definition.trigger.id:
            return "The trigger"
        step = self.steps.get(part_id)
        number = self.numbers.get(part_id, "")
        return f"Step {number} '{label(step)}'" if step else f"Step {number}".strip()

    def inside(self, part_id: str) -> str:
        """The name as it stands inside a sentence."""
        name = self.name(part_id)
        return name[:1].lower() + name[1:]

    def visible(self, step_id: str) -> set[str]:
        """The roots whose data this step can use."""
        if step_id not in self._visible:
            self._visible[step_id] = self._reachable(step_id)
        return self._visible[step_id]

    def _reachable(self, step_id: str) -> set[str]:
        if step_id == self.definition.trigger.id:
            return {"run"}
        seen = {step.id for step in before(self.definition, step_id)}
        return seen | {self.definition.trigger.id, "trigger", "run", "delivery"}

    # ----------------------------------------------------------------------------- checking

    def mapping(self, step_id: str, place: str, name: str, mapping: Mapping, extra: frozenset[str]) -> None:
        """Templates that cannot be read, and references to data that is not there."""
        for text in (mapping.value, mapping.default):
            template = self._template(step_id, place, name, text)
            for reference in template.references if template else ():
                self._reference(step_id, place, name, reference, extra)

    def _template(self, step_id: str, place: str, name: str, text: str) -> Template | None:
        try:
            return compile_template(text)
        except MappingFailed as error:
            self.add(step_id, place, f"{name}: {error.sentence} {error.remedy}".rstrip())
            return None

    def _reference(
        self, step_id: str, place: str, name: str, reference: Reference, extra: frozenset[str]
    ) -> None:
        root = reference.root
        if root in extra or root in self.visible(step_id):
            return
        if root == GAP:
            self.add(step_id, place, f"{name}: {gap_words(reference)}")
            return
        if root == step_id:
            self.add(step_id, place, f"{name} uses the step's own data, which is not there yet.")
        elif root in self.steps:
            self.add(step_id, place, f"{name} uses {self.inside(root)}, {self._why_hidden(step_id, root)}.")
        elif root == self.definition.trigger.id:
            self.add(step_id, place, f"{name} uses the trigger's data, which is not there yet.")
        elif parse_path(reference.path).segments == () and root not in ("trigger", "cursor", "answer"):
            self.add(
                step_id, place, f"{name} points at '{root}', which is no step. Did you mean {{{{$.{root}}}}}?"
            )
        else:
            self.add(
                step_id,
                place,
                f"{name} points at the step '{root}', which is not in the flow. Pick its value anew.",
            )

    def _why_hidden(self, step_id: str, root: str) -> str:
        order = list(self.steps)
        if step_id in order and order.index(root) > order.index(step_id):
            return "which comes later"
        return "which lies in another path or loop"

    def path(self, step_id: str, place: str, name: str, text: str) -> None:
        try:
            parse_path(text)
        except MappingFailed as error:
            self.add(step_id, place, f"{name}: {error.sentence} {error.remedy}".rstrip())

    def gaps(self, part: Any) -> None:
        for gap in part.gaps:
            self.add(part.id, "gaps", f"Not brought along: {gap.what}. {gap.reason}")

    def connection(self, step_id: str, place: str, connection_id: str, wanted: str = "") -> None:
        """A picked connection has to exist, and be one for `wanted`."""
        if not connection_id:
            return
        connector = self.connections.get(connection_id)
        if connector is None:
            self.add(
                step_id, place, "The connection that was picked is not there any more. Pick another one."
            )
        elif wanted and connector != wanted:
            self.add(
                step_id,
                place,
                f"The connection that was picked is one for {self.service(connector)}; "
                f"this step needs one for {self.service(wanted)}.",
            )

    def service(self, connector: str) -> str:
        name = getattr(self.connectors.find(connector), "name", "")
        return str(name or _BUILT_IN.get(connector, connector))


def gap_words(reference: Reference) -> str:
    """A value that an import left open: what stood there instead of data."""
    stood = next((key for key in parse_path(reference.path).segments or () if isinstance(key, str)), "")
    return f"'{stood}' could not be brought along. Put another value in its place."


_BUILT_IN = {"smtp": "a mail server", "http": "web requests"}


def _continues(sentence: str) -> bool:
    """`is never reached …` goes on where the step's name ends."""
    return sentence[:1].islower()


def mappings_in(part: Any, place: str = "", name: str = "") -> Iterator[tuple[str, str, Mapping]]:
    """(place, name for people, mapping) of a step or trigger, without the steps inside it."""
    if isinstance(part, Mapping):
        yield place, name, part
    elif isinstance(part, Model):
        for key in type(part).model_fields:
            if key == "steps":
                continue
            own = _name(part, key, name)
            yield from mappings_in(getattr(part, key), f"{place}.{key}" if place else key, own)
    elif isinstance(part, list):
        for index, item in enumerate(part):
            yield from mappings_in(item, f"{place}.{index}", name)
    elif isinstance(part, dict) and place == "input":
        for key, item in part.items():
            yield from mappings_in(item, f"{place}.{key}", _words(key))


_NAMES = {
    "url": "Address",
    "body_text": "Body",
    "left": "The value to check",
    "right": "The value to compare with",
    "right_to": "The upper value",
    "items": "The list",
    "amount": "How long",
    "until": "Until when",
    "to": "To",
    "cc": "Cc",
    "sender": "From",
    "reply_to": "Reply to",
}
_SILENT = ("mapping", "request", "groups", "conditions", "paths", "success")


def _name(part: Any, key: str, inherited: str) -> str:
    if key == "mapping":
        return f"'{part.name}'" if part.name else inherited or "A row without a name"
    if key in _SILENT:
        return inherited
    return _NAMES.get(key, _words(key))


def _words(key: str) -> str:
    words = key.replace("_", " ").strip()
    return words[:1].upper() + words[1:]
