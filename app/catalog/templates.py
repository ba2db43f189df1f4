"""`${root.path | pipe}`: the only expression a connector file may hold."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final
from urllib.parse import quote

from pydantic import AfterValidator

from app.catalog.mime import mime
from app.catalog.personal import digits, e164, google_email, plain, plain_email, sha256
from app.catalog.sheets import cells
from app.errors import MappingFailed
from app.flows.mapping.jsonpath import MISSING
from app.flows.mapping.values import as_flag, as_json, as_moment, as_number, as_text, is_empty, json_number
from app.flows.near import nearest_hint

_DATA = ("api", "input", "fields", "connection", "cursor", "page", "item", "response")
ROOTS: Final = frozenset((*_DATA, "callback", "accepted", "records", "subscription", "asked"))
_OWN = ("connection", "subscription")  # they hold placeholders for secrets, and nothing from outside
WHEN: Final = "$when"
EACH: Final = "$each"
_ONE = re.compile(r"\$\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z0-9_\-]{1,64}")
_LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class Reference:
    root: str
    path: tuple[str, ...]
    pipes: tuple[str, ...]

    @property
    def text(self) -> str:
        """As it is written in the file."""
        return "${" + " | ".join((".".join((self.root, *self.path)), *self.pipes)) + "}"


@dataclass(frozen=True, slots=True)
class Template:
    """Texts and references in turn."""

    parts: tuple[str | Reference, ...]

    @property
    def references(self) -> Iterator[Reference]:
        return (part for part in self.parts if isinstance(part, Reference))

    @property
    def single(self) -> Reference | None:
        """The reference, if the text is nothing else: its value keeps its type."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return only if isinstance(only, Reference) else None


@lru_cache(maxsize=8192)
def parse(text: str) -> Template:
    """Raises ValueError that names what is wrong."""
    if len(text) > _LONGEST:
        raise ValueError(f"this text is {len(text)} characters long; at most {_LONGEST} are read")
    parts: list[str | Reference] = []
    end = 0
    for found in _ONE.finditer(text):
        parts.extend([text[end : found.start()]] if found.start() > end else [])
        parts.append(_reference(found[1]))
        end = found.end()
    parts.extend([text[end:]] if end < len(text) else [])
    if any(isinstance(part, str) and "${" in part for part in parts):
        raise ValueError(f"'{text[:60]}' opens a ${{ that is not closed")
    return Template(tuple(parts))


def _reference(inner: str) -> Reference:
    name, *pipes = (piece.strip() for piece in inner.split("|"))
    root, *path = name.split(".")
    if root not in ROOTS:
        raise ValueError(
            f"${{{inner.strip()}}}: nothing is called '{root}' here. "
            f"{nearest_hint(root, sorted(ROOTS), 'There is')}".rstrip()
        )
    for piece in path:
        if not _NAME.fullmatch(piece):
            raise ValueError(f"${{{inner.strip()}}}: '{piece}' is no name")
    for pipe in pipes:
        if pipe not in PIPES:
            raise ValueError(
                f"${{{inner.strip()}}}: there is no pipe '{pipe}'. "
                f"{nearest_hint(pipe, sorted(PIPES), 'There is')}".rstrip()
            )
    return Reference(root, tuple(path), tuple(pipes))


def _checked(text: str) -> str:
    parse(text)
    return text


def _checked_tree(node: Any) -> Any:
    for text in texts_in(node):
        parse(text)
    return node


TemplateText = Annotated[str, AfterValidator(_checked)]
TemplateTree = Annotated[Any, AfterValidator(_checked_tree)]
"""Texts, lists and tables in which every text is a template."""


def texts_in(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for name, item in node.items():
            yield str(name)
            yield from texts_in(item)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from texts_in(item)


def references_in(node: Any) -> Iterator[Reference]:
    for text in texts_in(node):
        yield from parse(text).references


# --------------------------------------------------------------------------------------- pipes


def _moment(value: Any) -> datetime:
    moment = as_moment(value)
    if moment is None:
        raise MappingFailed(
            f"“{as_text(value)[:60]}” is not a date.", remedy="Map a date, such as 2027-01-31 09:00."
        )
    return moment.astimezone(UTC)


def _iso8601(value: Any) -> str:
    moment = _moment(value)
    kept = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=kept).replace("+00:00", "Z")


def _number(value: Any) -> int | float:
    number = as_number(value)
    if number is None:
        raise MappingFailed(
            f"“{as_text(value)[:60]}” is not a number.", remedy="Map a number, such as 12.50."
        )
    return json_number(number)


def _flag(value: Any) -> bool:
    flag = as_flag(value)
    if flag is None:
        raise MappingFailed(f"“{as_text(value)[:60]}” is neither yes nor no.", remedy="Map true or false.")
    return flag


def _list(value: Any) -> list[Any]:
    """A list as it is; of a text its parts between commas or line breaks."""
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return [part.strip() for part in re.split(r"[,\n]", value) if part.strip()]
    return [value]


def _join(value: Any) -> str:
    return ",".join(as_text(item) for item in _list(value))


def _numbers(value: Any) -> list[int | float]:
    return [_number(item) for item in _list(value)]


def _document(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as reason:
        raise MappingFailed(
            f"“{value[:60]}” is not JSON: {reason}.", remedy='Write it like {"a": 1} or [1, 2].'
        ) from reason


def _texts(value: Any) -> Any:
    """Every value of a table as a text, for services whose fields hold nothing else; lists as `a;b`,
    null as the empty text that clears a field."""
    if not isinstance(value, dict):
        return as_text(value)
    return {
        name: ";".join(as_text(one) for one in item) if isinstance(item, list) else as_text(item)
        for name, item in value.items()
    }


def _rows(value: Any) -> Any:
    """A table as a list of its pairs, for services that want `[{id: …, value: …}]`."""
    return [{"key": name, "value": one} for name, one in value.items()] if isinstance(value, dict) else []


def _md5_lower(value: Any) -> str:
    """How Mailchimp names a subscriber; nothing is kept secret by it."""
    text = as_text(value).strip().lower()
    return hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def _quoted(value: Any) -> str:
    """What may stand between '…' in the query languages of Salesforce and Google, and ends nothing there."""
    text = as_text(value).replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')
    return re.sub(r"[\x00-\x1f]+", " ", text)


PIPES: Final[dict[str, Callable[[Any], Any]]] = {
    "path": lambda value: quote(as_text(value), safe="", errors="replace"),
    "trim": lambda value: as_text(value).strip(),
    "lower": lambda value: as_text(value).lower(),
    "text": as_text,
    "texts": _texts,
    "number": _number,
    "numbers": _numbers,
    "flag": _flag,
    "rows": _rows,
    "list": _list,
    "join": _join,
    "json": as_json,
    "document": _document,
    "date": lambda value: _moment(value).date().isoformat(),
    "iso8601": _iso8601,
    "sql_time": lambda value: _moment(value).isoformat(" ", "seconds"),
    "epoch_s": lambda value: int(_moment(value).timestamp()),
    "epoch_ms": lambda value: round(_moment(value).timestamp() * 1000),
    "epoch_us": lambda value: round(_moment(value).timestamp() * 1000) * 1000,
    "tail": lambda value: as_text(value).rstrip("/").rpartition("/")[2],
    "md5lower": _md5_lower,
    "plain": plain,
    "plain_email": plain_email,
    "google_email": google_email,
    "e164": e164,
    "digits": digits,
    "sha256": sha256,
    "cells": cells,
    "mime": mime,
    "quoted": _quoted,
    "doubled": lambda value: as_text(value).replace("'", "''"),
}


# ------------------------------------------------------------------------------------- filling

Scope = dict[str, Any]
Fill = Callable[[Scope], Any]
_PLACEHOLDER = re.compile(r"(\{\{|%7B%7B)(secret)(?=:|%3A)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Filler:
    """A tree of templates, read once.  `fixed`: it holds no reference and gives the same each time."""

    fill: Fill
    fixed: bool

    def __call__(self, scope: Scope) -> Any:
        return self.fill(scope)


def filler(node: Any) -> Filler:
    """A name whose value is missing is left out of its table, an item out of its list, and what has
    lost all its parts in this way is missing itself.  A table with `$when` is left out as a whole
    when that finds nothing; the list it was in then stays, empty if need be.  One with `$each` is
    made once for each item of the list it names, which is `${item}`."""
    if isinstance(node, str):
        return _text_filler(parse(node), node)
    if isinstance(node, dict):
        return _table_filler(node)
    if isinstance(node, list | tuple):
        return _list_filler(node)
    return _fixed(node)


def fill(node: Any, scope: Scope) -> Any:
    return filler(node)(scope)


def _fixed(value: Any) -> Filler:
    return Filler(lambda scope: value, True)


def _text_filler(template: Template, text: str) -> Filler:
    single = template.single
    if single is not None:
        is_own = single.root in _OWN
        return Filler(lambda s: evaluate(single, s) if is_own else harmless(evaluate(single, s)), False)
    if any(template.references):
        return Filler(lambda scope: _joined(template, scope), False)
    return _fixed(text)


def _table_filler(node: dict[str, Any]) -> Filler:
    pairs = [
        (_text_filler(parse(name), name), filler(item))
        for name, item in node.items()
        if name not in (WHEN, EACH)
    ]
    if WHEN not in node and EACH not in node and all(name.fixed and item.fixed for name, item in pairs):
        return _fixed(node)
    asked = filler(node[WHEN]) if WHEN in node else None

    def table(scope: Scope) -> Any:
        if asked is not None and is_empty(asked(scope)):
            return MISSING
        found = [(name, item(scope)) for name, item in pairs]
        kept = {as_text(name(scope)): value for name, value in found if value is not MISSING}
        return kept if kept or not pairs else MISSING

    return Filler(table, False)


def _list_filler(node: Sequence[Any]) -> Filler:
    items = [_repeated(item) if _is_repeated(item) else _once(item) for item in node]
    if all(filler(item).fixed for item in node):
        return _fixed(list(node))
    stays = any(isinstance(item, dict) and WHEN in item for item in node)

    def each(scope: Scope) -> Any:
        found = [value for item in items for value in item(scope) if value is not MISSING]
        return found if found or stays else MISSING

    return Filler(each, False)


def _is_repeated(node: Any) -> bool:
    return isinstance(node, dict) and EACH in node


def _once(node: Any) -> Fill:
    inner = filler(node)
    return lambda scope: [inner(scope)]


def _repeated(node: dict[str, Any]) -> Fill:
    asked, inner = filler(node[EACH]), filler(node)

    def each(scope: Scope) -> Any:
        listed = asked(scope)
        if listed is MISSING:
            return []
        return [inner({**scope, "item": item}) for item in (listed if isinstance(listed, list) else [listed])]

    return each


def _joined(template: Template, scope: Scope) -> Any:
    """A text, or MISSING when all its references find nothing.  What was mapped is made harmless as
    it stands beside its neighbours, so that no placeholder for a secret can be put together from
    several values."""
    written, foreign, found = "", "", False
    for part in template.parts:
        if isinstance(part, str):
            foreign += part
            continue
        value = evaluate(part, scope)
        found = found or value is not MISSING
        piece = "" if value is MISSING else as_text(value)
        if part.root in _OWN:
            written, foreign = written + harmless(foreign) + piece, ""
        else:
            foreign += piece
    return written + harmless(foreign) if found else MISSING


def evaluate(reference: Reference, scope: Scope) -> Any:
    value = scope.get(reference.root, MISSING)
    for name in reference.path:
        value = _inner(value, name)
    if value is None and reference.root in ("input", "fields") and not reference.pipes:
        return None  # somebody asked for this field to be emptied
    if value is None or value is MISSING:
        return MISSING
    for pipe in reference.pipes:
        value = PIPES[pipe](value)
    return value


def _inner(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value.get(name, MISSING)
    if isinstance(value, list) and name.isdigit() and len(name) < 6 and int(name) < len(value):
        return value[int(name)]
    return MISSING


def harmless(value: Any) -> Any:
    """Data that looks like the placeholder of a secret is spelled apart: `{{secret:token}}` in a
    form somebody filled in must not be sent as the token."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(r"\1 \2", value) if "secret" in value.lower() else value
    if isinstance(value, dict):
        return {harmless(name): harmless(item) for name, item in value.items()}
    if isinstance(value, list):
        return [harmless(item) for item in value]
    return value
