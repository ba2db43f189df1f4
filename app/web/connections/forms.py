"""What a connection needs to be filled in, and what somebody filled in: checked before it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import re2

from app.calls.connections.builtin import BUILT_IN
from app.catalog.registry import Registry
from app.errors import NotFound

_LONGEST = 10_000
_LONGEST_FILE = 50_000
_HINT_FROM = 12  # a secret shorter than this shows nothing of itself


class Field(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def secret(self) -> bool: ...
    @property
    def help(self) -> str: ...
    @property
    def pattern(self) -> str | None: ...


class Block(Protocol):
    """One way to prove who one is: a token, a key, a user name with password."""

    @property
    def key(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def fields(self) -> Sequence[Field]: ...


class Named(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...


class Service(Named, Protocol):
    @property
    def auth(self) -> Sequence[Block]: ...


@dataclass(frozen=True)
class Shown:
    """One field of the form.  `hint` stands for a secret that is kept and never shown."""

    key: str
    label: str
    secret: bool
    help: str
    required: bool
    choices: Sequence[tuple[str, str]] = ()
    value: str = ""
    hint: str = ""
    problem: str = ""
    multiline: bool = False


@dataclass
class Filled:
    public: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def services(registry: Registry) -> list[Named]:
    """Everything a connection can be made for, Plumbline's own kinds last."""
    return [*registry.headings(), *BUILT_IN.values()]


def find_service(registry: Registry, key: str) -> Service:
    found: Service | None = BUILT_IN.get(key) or registry.find(key)
    if found is None:
        raise NotFound(
            f"There is no connector called “{key}” here.", remedy="Choose one from the list of connectors."
        )
    return found


def block_of(service: Service, key: str) -> Block | None:
    """The chosen way, else the first; None where the service wants none."""
    chosen = [block for block in service.auth if block.key == key]
    return next(iter([*chosen, *service.auth]), None)


def fields_of(service: Service, block: Block | None) -> list[Field]:
    """The account's fields first: a shop's address is known before its token.  What the answer to a
    sign-in brings along is not asked for."""
    general = getattr(service, "connection_fields", ())
    own = block.fields if block is not None else ()
    brought = getattr(block, "keep", {})
    unique = {one.key: one for one in (*general, *own) if one.key not in brought}
    return list(unique.values())


def is_required(one: Field) -> bool:
    return bool(getattr(one, "required", True))


def is_multiline(one: Field) -> bool:
    return bool(getattr(one, "multiline", False))


def read(fields: Sequence[Field], form: Mapping[str, str], kept: Mapping[str, str]) -> Filled:
    """A secret left empty stays as it was (`kept`)."""
    filled = Filled()
    for one in fields:
        value = form.get(f"field.{one.key}", "").strip()
        if one.secret and not value:
            value = kept.get(one.key, "")
        if problem := _problem(one, value):
            filled.problems[one.key] = problem
        if value:
            (filled.secrets if one.secret else filled.public)[one.key] = value
    return filled


def _problem(one: Field, value: str) -> str:
    if not value:
        return f"{one.label} is needed." if is_required(one) else ""
    longest = _LONGEST_FILE if is_multiline(one) else _LONGEST
    if len(value) > longest:
        return f"{one.label} is longer than {longest:,} characters."
    if any(ord(letter) < 32 and not (is_multiline(one) and letter in "\r\n\t") for letter in value):
        what = "holds characters that no text has." if is_multiline(one) else "must be a single line."
        return f"{one.label} {what}"
    choices = getattr(one, "choices", ())
    if choices and value not in choices:
        return f"Choose one of {', '.join(choices)}."
    if one.pattern and not re2.fullmatch(one.pattern, value):
        shown = "This" if one.secret else f"“{value[:80]}”"
        return f"{shown} does not look right. {one.help}".strip()
    return ""


def shown(
    fields: Sequence[Field], filled: Filled, kept: Mapping[str, str], *, fresh: bool = False
) -> list[Shown]:
    """`fresh`: an untouched form, which begins with the usual values."""
    return [
        Shown(
            one.key,
            one.label,
            one.secret,
            one.help,
            required=is_required(one) and not (one.secret and one.key in kept),
            choices=[(choice, choice) for choice in getattr(one, "choices", ())],
            value="" if one.secret else filled.public.get(one.key, _default(one) if fresh else ""),
            hint=_hint(kept[one.key]) if one.secret and one.key in kept else "",
            problem=filled.problems.get(one.key, ""),
            multiline=is_multiline(one),
        )
        for one in fields
    ]


def _default(one: Any) -> str:
    return str(getattr(one, "default", ""))


def _hint(secret: str) -> str:
    return f"saved, ends in …{secret[-4:]}" if len(secret) >= _HINT_FROM else "saved"
