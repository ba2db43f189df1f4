"""A run's records laid over its flow: each step in the flow's order, paths not taken and loops included."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.flows.model import FlowDefinition, ForEachStep, PathsStep, Step
from app.flows.order import label, numbering
from app.storage.history.detail import CallRow, StepMark, StepRow

ITEMS_SHOWN = 20
MOST_DETAILS = 300
_INDEX = re.compile(r"\[(\d+)\]")
_WORST_FIRST = ("unknown", "failed", "retry", "started", "succeeded", "skipped")


@dataclass(slots=True)
class Branch:
    """A path of a Paths step.  `taken` None: not decided yet."""

    number: str
    name: str
    taken: bool | None
    why: str
    cards: list[StepCard]


@dataclass(slots=True)
class Item:
    """One round of a loop; its cards are there when it is open."""

    key: str
    index: int
    state: str
    sentence: str
    label: str
    is_open: bool
    cards: list[StepCard] = field(default_factory=list)


@dataclass(slots=True)
class Loop:
    """`counts`: state -> items.  `items`: those of this page, the ones that need a look first."""

    key: str
    total: int
    counts: dict[str, int]
    items: list[Item]
    first: int

    @property
    def next_first(self) -> int | None:
        after = self.first + ITEMS_SHOWN
        return after if after < sum(self.counts.values()) else None


@dataclass(slots=True)
class StepCard:
    """`state` is that of the record, or `not_reached`.  `row` has the data where it is shown."""

    key: str
    step: Step
    number: str
    title: str
    state: str
    mark: StepMark | None = None
    row: StepRow | None = None
    calls: list[CallRow] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)
    loop: Loop | None = None

    @property
    def anchor(self) -> str:
        """As the id of an element."""
        return "step-" + re.sub(r"[^a-z0-9_]", "-", self.key)

    @property
    def why(self) -> str:
        """What a filter found."""
        output = self.row.output if self.row else None
        return str(output.get("why", "")) if isinstance(output, dict) and self.step.kind == "filter" else ""

    @property
    def is_let_go(self) -> bool:
        """A filter that did not let the record through."""
        output = self.row.output if self.row else None
        return self.step.kind == "filter" and isinstance(output, dict) and output.get("passed") is False


@dataclass(frozen=True)
class Opened:
    """What the reader opened: the key of an item (`s5[2]`), and per loop the first item of the page."""

    item: str = ""
    first: Mapping[str, int] = field(default_factory=dict)

    def has_open(self, key: str) -> bool:
        return self.item == key or self.item.startswith(f"{key}.")


Load = Callable[[Sequence[str]], tuple[dict[str, StepRow], dict[str, list[CallRow]]]]


class Timeline:
    """`load` reads the data of the steps that are shown, at most `MOST_DETAILS`."""

    def __init__(
        self, definition: FlowDefinition, marks: Sequence[StepMark], opened: Opened, load: Load
    ) -> None:
        self._definition = definition
        self._marks = {mark.step_key: mark for mark in marks}
        self._numbers = numbering(definition)
        self._opened = opened
        self._items = _items_by_loop(self._marks)
        self.cards = self._cards(definition.steps, "")
        self._fill(load)

    def _cards(self, steps: Sequence[Step], prefix: str) -> list[StepCard]:
        return [self._card(step, prefix) for step in steps]

    def _card(self, step: Step, prefix: str) -> StepCard:
        key = prefix + step.id
        mark = self._marks.get(key)
        state = mark.state if mark else "not_reached"
        card = StepCard(key, step, self._numbers.get(step.id, ""), label(step), state, mark)
        if isinstance(step, PathsStep):
            for path in step.paths:
                cards = self._cards(path.steps, prefix)
                card.branches.append(Branch(self._numbers.get(path.id, ""), path.name, None, "", cards))
        elif isinstance(step, ForEachStep):
            card.loop = self._loop(step, key)
        return card

    def _loop(self, step: ForEachStep, key: str) -> Loop:
        items = [_item(key, index, marks) for index, marks in self._items.get(key, {}).items()]
        items.sort(key=lambda item: (_rank(item.state), item.index))
        counts: dict[str, int] = {}
        for item in items:
            counts[item.state] = counts.get(item.state, 0) + 1
        first = min(max(self._opened.first.get(key, 0), 0), max(len(items) - 1, 0))
        shown = items[first : first + ITEMS_SHOWN]
        shown += [item for item in items if self._opened.has_open(item.key) and item not in shown]
        for item in shown:
            item.is_open = self._opened.has_open(item.key)
            if item.is_open:
                item.cards = self._cards(step.steps, f"{item.key}.")
        return Loop(key, len(items), counts, shown, first)

    # ------------------------------------------------------------------------ data of what is shown

    def _fill(self, load: Load) -> None:
        cards = list(every(self.cards))
        firsts = {item.key: self._first_step(item) for card in cards if card.loop for item in card.loop.items}
        wanted = [card.key for card in cards if card.mark] + [key for key in firsts.values() if key]
        rows, calls = load(list(dict.fromkeys(wanted))[:MOST_DETAILS])
        for card in cards:
            card.row = rows.get(card.key)
            card.calls = calls.get(card.key, [])
            _tell_paths(card)
            _tell_loop(card, rows, firsts)

    def _first_step(self, item: Item) -> str:
        """The key of the first step in the round that has a record: its data says whom it was about."""
        loop_key, _, _ = item.key.rpartition("[")
        marks = self._items[loop_key][item.index]
        return marks[0].step_key if marks else ""


def every(cards: Sequence[StepCard]) -> Iterator[StepCard]:
    """All cards, those inside paths and open rounds of loops included."""
    for card in cards:
        yield card
        for branch in card.branches:
            yield from every(branch.cards)
        for item in card.loop.items if card.loop else ():
            yield from every(item.cards)


def _items_by_loop(marks: Mapping[str, StepMark]) -> dict[str, dict[int, list[StepMark]]]:
    """Key of a loop -> index of the round -> the marks inside it."""
    loops: dict[str, dict[int, list[StepMark]]] = {}
    for key, mark in marks.items():
        for found in _INDEX.finditer(key):
            loops.setdefault(key[: found.start()], {}).setdefault(int(found[1]), []).append(mark)
    return loops


def _item(loop_key: str, index: int, marks: Sequence[StepMark]) -> Item:
    worst = min(marks, key=lambda mark: _rank(mark.state))
    return Item(f"{loop_key}[{index}]", index, worst.state, worst.sentence, "", False)


def _rank(state: str) -> int:
    return _WORST_FIRST.index(state) if state in _WORST_FIRST else len(_WORST_FIRST)


def _tell_paths(card: StepCard) -> None:
    decision = card.row.output if card.row and card.branches else None
    if not isinstance(decision, dict) or not isinstance(card.step, PathsStep):
        return
    taken, why = decision.get("taken") or [], decision.get("why") or {}
    for path, branch in zip(card.step.paths, card.branches, strict=True):
        branch.taken = path.id in taken
        branch.why = str(why.get(path.id, "")) if isinstance(why, dict) else ""


def _tell_loop(card: StepCard, rows: Mapping[str, StepRow], firsts: Mapping[str, str]) -> None:
    if card.loop is None:
        return
    output = card.row.output if card.row else None
    if isinstance(output, dict) and isinstance(output.get("count"), int):
        card.loop.total = max(output["count"], card.loop.total)
    for item in card.loop.items:
        row = rows.get(firsts.get(item.key, ""))
        item.label = _first_text(row.input) if row else ""


def _first_text(mapped: Any, depth: int = 0) -> str:
    """The first text in what a step was given: nearly always whom or what it was about."""
    if isinstance(mapped, str):
        return mapped
    inner = mapped.values() if isinstance(mapped, dict) else mapped if isinstance(mapped, list) else ()
    for value in inner if depth < 3 else ():
        if text := _first_text(value, depth + 1):
            return text
    return ""
