"""What a function is: its name, its words in the menu, its arguments, and what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

from app.errors import MappingFailed
from app.flows.mapping.values import LIMIT_TEXT, as_number, as_text

ArgKind = Literal["text", "number", "zone", "choice"]
Group = Literal["Text", "Lists", "Numbers", "Dates", "Other"]
Apply = Callable[[Any, tuple[str, ...], str], Any]


class Unfit(Exception):
    """A value this function can do nothing with; the sentence says which and why."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy or "Pick another value or another function."


@dataclass(frozen=True, slots=True)
class Arg:
    """`default` None = it has to be given."""

    label: str
    default: str | None = None
    kind: ArgKind = "text"
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """`apply(value, args, zone)` gives the new value, or raises Unfit and nothing else.

    `zone`: the flow's time zone.  `takes_nothing`: it also works where nothing was found.
    """

    name: str
    label: str
    description: str
    apply: Apply
    args: tuple[Arg, ...] = field(default=())
    group: Group = "Text"
    takes_nothing: bool = False

    def checked(self, given: tuple[str, ...]) -> tuple[str, ...]:
        """The arguments with defaults filled in; MappingFailed if they cannot be right."""
        if len(given) > len(self.args):
            raise MappingFailed(f"'{self.name}' takes {_counted(len(self.args))}, not {len(given)}.")
        args = list(given)
        for arg in self.args[len(given) :]:
            if arg.default is None:
                raise MappingFailed(f"'{self.name}' needs a value for '{arg.label}': {self.name}:\"…\".")
            args.append(arg.default)
        for arg, text in zip(self.args, args, strict=True):
            _check(self.name, arg, text)
        return tuple(args)


def _counted(count: int) -> str:
    return "no values" if count == 0 else "one value" if count == 1 else f"at most {count} values"


def _check(name: str, arg: Arg, text: str) -> None:
    if text == arg.default:
        return
    if arg.kind == "number" and as_number(text) is None:
        raise MappingFailed(f"'{name}': '{arg.label}' has to be a number, not '{text}'.")
    if arg.kind == "zone" and text and not zone_named(text):
        raise MappingFailed(f"'{name}': there is no time zone '{text}'; write it like Europe/Berlin.")
    if arg.kind == "choice" and text not in arg.choices:
        raise MappingFailed(f"'{name}': '{arg.label}' is one of {', '.join(arg.choices)}, not '{text}'.")


@lru_cache(maxsize=1024)
def zone_named(name: str) -> ZoneInfo | None:
    """None if there is no such time zone."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def each_text(value: Any, change: Callable[[str], Any]) -> Any:
    """Texts are changed, and so is each text in a list."""
    if isinstance(value, list):
        return [change(as_text(item)) for item in value]
    return bounded(change(as_text(value)))


def bounded(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LIMIT_TEXT:
        raise Unfit(f"the text would have {len(value):,} characters, which is too long.")
    return value


def shown(value: Any) -> str:
    """The offending value, short enough for a sentence."""
    try:
        text = as_text(value)
    except MappingFailed:
        text = "the value"
    return f"'{text[:40]}…'" if len(text) > 40 else f"'{text}'"
