"""A value that records used to have and one lacks: what it is probably called now, and who uses it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from app.errors import MappingFailed
from app.flows.mapping.jsonpath import MISSING, JsonPath, Segment, in_words, parse_path, quoted_path
from app.flows.mapping.jsonpath_reader import EACH
from app.flows.mapping.template import TRIGGER, Reference, compile_template
from app.flows.model import FlowDefinition, walk
from app.flows.near import likeness

Keys = tuple[Segment, ...]

_MOST_VALUES = 1000
_DEEPEST = 5
_ALIKE: Final = 0.65  # of the names, where values of this kind are common
_A_LITTLE_ALIKE: Final = 0.35  # where the value itself says much, as an address does
_SAME_NAME: Final = 0.8  # where there is no value to compare
_GONE: Final = "” is no longer there. It looks like it is called “"
_TELLING: Final = ("email", "url", "date", "phone")
_SHAPES: Final = (
    ("email", re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")),
    ("url", re.compile(r"https?://\S{1,2000}")),
    ("date", re.compile(r"\d{4}-\d\d-\d\d([T ].{1,40})?")),
    ("digits", re.compile(r"\d{7,18}")),
    ("number", re.compile(r"-?\d{1,18}(\.\d{1,9})?")),
    ("phone", re.compile(r"\+?[0-9(][0-9 ().\-/]{5,24}")),
)


@dataclass(frozen=True, slots=True)
class Before:
    """What is known of a value from records that had it: its kind ('' = of several kinds), and the paths
    of all they held.
    `is_whole`: those of all values; else it cannot be told which are new.  `new_path`: what was found
    when there still were such records."""

    kind: str
    paths: frozenset[Keys]
    is_whole: bool = True
    new_path: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where mappings look: in the data of the trigger or of a step, at a plain path."""

    root: str
    path: str

    @property
    def text(self) -> str:
        return f"{self.root}:{self.path}"

    @property
    def words(self) -> str:
        """`customer → email`, for sentences."""
        return in_words(parse_path(self.path))


def read_place(text: str) -> Place:
    root, _, path = text.partition(":")
    return Place(root, path)


def gone_sentence(field: str, path: str, new_path: str) -> str:
    """Why a field stays empty; the same words for every record."""
    was, now = in_words(parse_path(path)), in_words(parse_path(new_path))
    return f"{field}: the field “{was}{_GONE}{now}” now."


def is_gone(sentence: str) -> bool:
    """It is one of those."""
    return _GONE in sentence


# ------------------------------------------------------------------------------ who looks where


def place_of(reference: Reference, trigger_id: str) -> Place | None:
    """None where no plain path is looked at."""
    if not reference.compiled.segments:
        return None
    root = TRIGGER if reference.root == trigger_id else reference.root
    return Place(root, quoted_path(reference.compiled.segments))


def uses(definition: FlowDefinition) -> dict[Place, list[str]]:
    """Each place that mappings of steps look at -> the ids of those steps, in the order of the page."""
    found: dict[Place, list[str]] = {}
    for step in walk(definition.steps):
        for text in _texts(step.model_dump()):
            for reference in _references(text):
                place = place_of(reference, definition.trigger.id)
                if place is not None and step.id not in found.setdefault(place, []):
                    found[place].append(step.id)
    return found


def _texts(data: Any) -> Iterator[str]:
    """Without those of the steps inside, which speak for themselves."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, list):
        for item in data:
            yield from _texts(item)
    elif isinstance(data, dict):
        for name, value in data.items():
            if name != "steps" or not isinstance(value, list):
                yield from _texts(value)


def _references(text: str) -> tuple[Reference, ...]:
    if "{{" not in text:
        return ()
    try:
        return compile_template(text).references
    except MappingFailed:
        return ()


def taken_over(definition: FlowDefinition, place: Place, new_path: str) -> FlowDefinition:
    """Every mapping of a step that looked there looks at the new path, with its functions."""

    def changed(text: str) -> str:
        for reference in _references(text):
            if place_of(reference, definition.trigger.id) == place:
                now = "{{" + reference.text.replace(reference.path, new_path, 1) + "}}"
                written = r"(?<!\\)\{\{\s*" + re.escape(reference.text) + r"\s*\}\}"
                text = re.sub(written, now.replace("\\", r"\\"), text)
        return text

    data = definition.model_dump()
    return FlowDefinition.model_validate({**data, "steps": _rewritten(data["steps"], changed)})


def _rewritten(data: Any, changed: Callable[[str], str]) -> Any:
    if isinstance(data, dict):
        return {name: _rewritten(value, changed) for name, value in data.items()}
    if isinstance(data, list):
        return [_rewritten(item, changed) for item in data]
    return changed(data) if isinstance(data, str) else data


# ------------------------------------------------------------------------------- the likely name


def is_there(path: JsonPath, document: Any) -> bool:
    try:
        return path.value(document) is not MISSING
    except MappingFailed:  # more than can be looked at is there
        return True


def before(path: JsonPath, documents: Iterable[Any]) -> Before | None:
    """From the records that have a value there; None = none has."""
    with_it = [document for document in documents if is_there(path, document)]
    if not with_it:
        return None
    held = [[keys for keys, _ in values_in(document)] for document in with_it]
    is_whole = all(len(paths) < _MOST_VALUES for paths in held)
    kinds = {_kind(_first(path, document)) for document in with_it} - {""}
    kind = kinds.pop() if len(kinds) == 1 else ""
    return Before(kind, frozenset(keys for paths in held for keys in paths), is_whole)


def _first(path: JsonPath, document: Any) -> Any:
    try:
        value = path.value(document)
    except MappingFailed:
        return None
    return value[0] if path.many and isinstance(value, list) and value else value


def new_path_of(path: JsonPath, document: Any, known: Before) -> str | None:
    """The path of the value that came in the place of the one that is missing; None = nothing that is
    new in the record looks like it."""
    if known.new_path:
        return known.new_path if is_there(parse_path(known.new_path), document) else None
    if not known.is_whole:
        return None
    old = path.segments or ()
    new = [
        (keys, value)
        for found, value in values_in(document)
        if found not in known.paths and (keys := _as_written(found, old)) is not None
    ]
    scored = [(_score(old, keys, value, known.kind), keys) for keys, value in new]
    best = max(scored, key=lambda one: one[0], default=(0.0, old))
    if best[0] > 0:
        return quoted_path(best[1])
    alone = [keys for keys, value in new if _could_be(value, known.kind)]
    if len(alone) == 1 and (known.kind in _TELLING or _took_its_place(old, new, document, known)):
        return quoted_path(alone[0])
    return None


def values_in(document: Any) -> Iterator[tuple[Keys, Any]]:
    """The paths in a record with their values, of lists those of the first item; not endlessly many."""
    waiting: list[tuple[Keys, Any]] = [((), document)]
    given = 0
    while waiting and given < _MOST_VALUES:
        keys, value = waiting.pop()
        if keys:
            given += 1
            yield keys, value
        if len(keys) >= _DEEPEST:
            continue
        if isinstance(value, dict):
            few = list(islice(value.items(), _MOST_VALUES))
            waiting += [((*keys, name), inner) for name, inner in reversed(few)]
        elif isinstance(value, list) and value:
            waiting.append(((*keys, EACH), value[0]))


def _as_written(found: Keys, old: Keys) -> Keys | None:
    """With the numbers of items that the old path had; None where it would give a list for one value
    or one for a list."""
    keys = [
        old[index] if one is EACH and index < len(old) and isinstance(old[index], int) else one
        for index, one in enumerate(found)
    ]
    return tuple(keys) if keys.count(EACH) == old.count(EACH) else None


def _score(old: Keys, new: Keys, value: Any, kind: str) -> float:
    """0 = not the same thing under another name."""
    alike = likeness(_name(old), _name(new))
    own = _kind(value)
    if own in ("", "list", "record") or not kind:
        least = _SAME_NAME
    else:
        least = _A_LITTLE_ALIKE if own == kind and kind in _TELLING else _ALIKE
    if own and kind and not _alike(own, kind):
        return 0
    return alike + (0.1 if old[:-1] == new[:-1] else 0) if alike >= least else 0


def _could_be(value: Any, kind: str) -> bool:
    return bool(kind) and _kind(value) == kind


def _alike(one: str, other: str) -> bool:
    """Many digits may be a phone number or another number."""
    return one == other or {one, other} in ({"digits", "phone"}, {"digits", "number"})


def _took_its_place(old: Keys, new: Sequence[tuple[Keys, Any]], document: Any, known: Before) -> bool:
    """Beside it one name went and one came."""
    here = {keys for keys, _ in values_in(document)}
    beside = tuple(EACH if isinstance(one, int) else one for one in old[:-1])
    gone = [keys for keys in known.paths if keys[:-1] == beside and keys not in here]
    came = [keys for keys, _ in new if keys[:-1] == old[:-1]]
    return len(gone) == len(came) == 1


def _name(keys: Keys) -> str:
    return next((str(one) for one in reversed(keys) if isinstance(one, str)), "")


def _kind(value: Any) -> str:
    """'' = there is nothing to compare."""
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, dict):
        return "record"
    if isinstance(value, list):
        return "list"
    text = value.strip() if isinstance(value, str) else ""
    return next((name for name, shape in _SHAPES if shape.fullmatch(text)), "text") if text else ""
