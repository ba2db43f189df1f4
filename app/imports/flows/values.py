"""Values on their way into our templates: references with functions, texts, and what they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.flows.mapping.jsonpath import quoted_path
from app.flows.mapping.jsonpath_reader import EACH, LIMIT_LENGTH, Each
from app.flows.mapping.template import GAP, literal
from app.imports.flows.report import NotCarried, shortened


@dataclass(frozen=True, slots=True)
class Part:
    """`[0:5]`: some of a list, from `start` up to before `stop`; None = to the end."""

    start: int
    stop: int | None

    def __str__(self) -> str:
        return f"[{self.start or ''}:{'' if self.stop is None else self.stop}]"


Key = str | int | Each | Part
Use = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Ref:
    """`{{root:path | functions}}`."""

    root: str
    keys: tuple[Key, ...] = ()
    uses: tuple[Use, ...] = ()

    def down(self, *keys: Key) -> Ref:
        if self.uses and keys:
            return self.inside(keys)
        return replace(self, keys=(*self.keys, *keys))

    def inside(self, keys: tuple[Key, ...]) -> Ref:
        """Into a value that was worked out on the spot."""
        plain = [str(key) for key in keys if isinstance(key, str | int)]
        if len(plain) < len(keys) or any("." in key or key.startswith("-") for key in plain):
            raise NotCarried("It looks into a value that was worked out on the spot.")
        return self.through("inside", ".".join(plain))

    def through(self, function: str, *args: str) -> Ref:
        return replace(self, uses=(*self.uses, (function, args)))

    @property
    def template(self) -> str:
        path = path_text(self.keys)
        if len(path) > LIMIT_LENGTH:
            raise NotCarried("The path to the value is too long.")
        shown = "" if path == "$" and self.root not in ("trigger",) else f":{path}"
        return "{{" + (self.root or "trigger") + shown + "".join(map(_use, self.uses)) + "}}"


@dataclass(frozen=True, slots=True)
class Joined:
    """Texts and references one after another."""

    parts: tuple[str | Ref, ...]


Value = str | int | float | bool | None | Ref | Joined

# A path that never finds anything: what stands after it takes its place.
NOTHING: Final = Ref("run", ("nothing",))


def path_text(keys: Sequence[Key]) -> str:
    out = "$"
    plain: list[str | int | Each] = []
    for key in keys:
        if isinstance(key, Part):
            out += quoted_path(plain)[1:] + str(key)
            plain = []
        else:
            plain.append(key)
    return out + quoted_path(plain)[1:]


def _use(use: Use) -> str:
    name, args = use
    return f" | {name}" + (":" + ",".join(map(_quoted, args)) if args else "")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def written(value: Value) -> str:
    """The template for a field."""
    if isinstance(value, Ref):
        return value.template
    if isinstance(value, Joined):
        return "".join(literal(part) if isinstance(part, str) else part.template for part in value.parts)
    return literal(as_text(value))


def as_text(value: str | float | bool | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def joined(parts: Sequence[Value]) -> Value:
    """Neighbouring texts become one; what is only text is a text."""
    found: list[str | Ref] = []
    for part in parts:
        for piece in part.parts if isinstance(part, Joined) else (part,):
            text = piece if isinstance(piece, Ref) else as_text(piece)
            if isinstance(text, str) and found and isinstance(found[-1], str):
                found[-1] += text
            elif text != "":
                found.append(text)
    if not found:
        return ""
    return found[0] if len(found) == 1 else Joined(tuple(found))


def gap(text: str) -> Ref:
    """Where an expression stood: the review keeps the flow from going live while it is there."""
    shown = shortened(text, 120).replace("|", "¦").replace("{{", "{ {").replace("}}", "} }")
    return Ref(GAP, (shown or "empty",))


__all__ = ["EACH", "NOTHING", "Joined", "Part", "Ref", "Value", "gap", "joined", "path_text", "written"]
