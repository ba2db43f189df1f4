"""Values for the fields of a connector that was brought in, as somebody would map them."""

from __future__ import annotations

import re
import re._constants as words
import re._parser as parser
from dataclasses import replace
from typing import Any

from app.calls.connections.book import ConnectionFacts, hosts_of
from app.catalog.format.definition import Action, Connector, InputField
from app.flows.mapping.values import as_number, as_text
from app.imports.apis.draft import DraftOperation
from tests.connectors.samples import connection_for, sample_of


def values_of(draft: DraftOperation, action: Action, *, full: bool) -> dict[str, Any]:
    """The document's own examples where it has any; `full`: every field, else those that are required."""
    wanted = [field for field in action.input if full or field.required or field.key in action.one_of[:1]]
    return {field.key: _value(field, draft.samples.get(field.key)) for field in wanted}


def _value(field: InputField, sample: Any) -> Any:
    if field.pattern and (sample is None or not _fits(field.pattern, as_text(sample))):
        return fitting(field.pattern)
    if field.type in ("integer", "number") and as_number(sample) is None:
        sample = None  # a document whose example contradicts its own type
    if sample is None or (field.choices and as_text(sample) not in field.choices):
        made = sample_of(field)
        return made[: field.longest] if field.longest and isinstance(made, str) else made
    return sample if isinstance(sample, dict | list) else as_text(sample)


def connection_to(connector: Connector, auth: int) -> ConnectionFacts:
    """With fields that fit their patterns."""
    made = connection_for(connector, auth)
    public = dict(made.public)
    for field in connector.connection_fields:
        if not field.secret:
            public[field.key] = field.default or _place(field.pattern or "")
    return replace(made, public=public, hosts=hosts_of(connector, public))


def _place(pattern: str) -> str:
    return "https://api.example.com" if "https?" in pattern else fitting(pattern)


def _fits(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text) is not None


def fitting(pattern: str) -> str:
    """A short text that fits a simple pattern."""
    return "".join(_one(part) for part in parser.parse(pattern))


def _one(part: Any) -> str:
    kind, told = part
    if kind is words.LITERAL:
        return chr(told)
    if kind is words.IN:
        return _of_class(told)
    if kind in (words.MAX_REPEAT, words.MIN_REPEAT):
        least, most, inner = told
        number = least if least or most is words.MAXREPEAT else min(1, most)
        return "".join(_one(one) for one in inner) * max(number, 0)
    if kind is words.SUBPATTERN:
        return "".join(_one(one) for one in told[-1])
    if kind is words.BRANCH:
        return "".join(_one(one) for one in told[1][0])
    return "a" if kind is words.ANY else ""


def _of_class(told: Any) -> str:
    for kind, one in told:
        if kind is words.RANGE:
            return chr(one[0])
        if kind is words.LITERAL:
            return chr(one)
        if kind is words.CATEGORY:
            return "1" if one is words.CATEGORY_DIGIT else "a"
    return "a"
