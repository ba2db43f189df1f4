"""Where data lie: what `$json.a.b` of the other tool is, as a reference of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.imports.flows.report import NotCarried
from app.imports.flows.values import Key, Ref


class Place(Protocol):
    def find(self, keys: tuple[Key, ...]) -> Ref:
        """Raises NotCarried where nothing here corresponds."""


@dataclass(frozen=True)
class Plain:
    ref: Ref

    def find(self, keys: tuple[Key, ...]) -> Ref:
        return self.ref.down(*keys)


@dataclass(frozen=True)
class Nowhere:
    reason: str

    def find(self, keys: tuple[Key, ...]) -> Ref:
        raise NotCarried(self.reason)


@dataclass(frozen=True)
class Delivery:
    """A webhook's `body`, `headers` and `query`, which lie in three places here."""

    def find(self, keys: tuple[Key, ...]) -> Ref:
        if not keys:
            return Ref("trigger")
        first, rest = keys[0], keys[1:]
        if first == "body":
            return Ref("trigger", rest)
        if first == "query":
            return Ref("delivery", ("query", *rest))
        if first == "headers":
            small = tuple(key.lower() if isinstance(key, str) else key for key in rest)
            return Ref("delivery", ("headers", *small))
        if first == "method":
            return Ref("delivery", ("method",))
        raise NotCarried(f"A delivery has no '{first}' here, only its body, headers and query.")


@dataclass(frozen=True)
class Over:
    """Some fields of a step's own, everything else from where it was before.  A name `a.b` means
    `b` inside `a`."""

    own: Mapping[tuple[str, ...], Ref]
    base: Place

    def find(self, keys: tuple[Key, ...]) -> Ref:
        for length in range(len(keys), 0, -1):
            if (ref := self.own.get(keys[:length])) is not None:  # type: ignore[arg-type]
                return ref.down(*keys[length:])
        if not keys:
            raise NotCarried("It takes everything at once, and that comes from several steps here.")
        return self.base.find(keys)


@dataclass(frozen=True)
class Known:
    """The answer of a connector, of which the description says what it holds."""

    ref: Ref
    fields: frozenset[str]
    service: str

    def find(self, keys: tuple[Key, ...]) -> Ref:
        if len(keys) > 1 and keys[0] == "result" and "result" not in self.fields:
            keys = keys[1:]  # what the service wraps its answer in
        if keys and self.fields and str(keys[0]) not in self.fields:
            offered = ", ".join(sorted(self.fields)[:6])
            raise NotCarried(f"{self.service} gives no '{str(keys[0])[:40]}' here, but {offered}.")
        return self.ref.down(*keys)


@dataclass(frozen=True)
class Answer:
    """A web answer of which the other tool also gave status and headers."""

    ref: Ref

    def find(self, keys: tuple[Key, ...]) -> Ref:
        if keys and keys[0] == "body":
            return self.ref.down(*keys[1:])
        raise NotCarried("A web request gives the body of the answer here, not its status or headers.")


@dataclass(frozen=True)
class Text:
    """A text answer, which the other tool put under one name."""

    ref: Ref
    name: str

    def find(self, keys: tuple[Key, ...]) -> Ref:
        if keys and keys[0] == self.name:
            return self.ref.down(*keys[1:])
        raise NotCarried(f"The answer is a text here; there is only '{self.name}'.")


@dataclass(frozen=True)
class Either:
    """Two branches that come together: found where only one of them is known to have the field."""

    places: tuple[Place, ...]

    def find(self, keys: tuple[Key, ...]) -> Ref:
        own = [one.own[keys[:1]] for one in self.places if isinstance(one, Over) and keys[:1] in one.own]  # type: ignore[index]
        if len(own) == 1:
            return own[0].down(*keys[1:])
        raise NotCarried("Several branches come together there; pick the value from the one it belongs to.")


@dataclass(frozen=True)
class Seen:
    """What an expression can see: the data that come in, those of earlier parts by their name, and
    what was set in those parts."""

    current: Place
    named: Mapping[str, Place] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    index: Ref | None = None
    list_of: Ref | None = None  # where a list of items is waiting to be gone through

    def of(self, name: str) -> Place:
        try:
            return self.named[name]
        except KeyError:
            raise NotCarried(f"It looks at '{name[:60]}', which does not come before this step.") from None
