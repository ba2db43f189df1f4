"""How a list that comes in pages goes on; nothing here sends anything."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.catalog.format.definition import Paginate
from app.flows.mapping.jsonpath import first

_LINK = re.compile(r"<([^<>]{1,8000})>((?:\s*;\s*[^,;<>]{1,300})*)")
_NEXT = re.compile(r";\s*rel\s*=\s*\"?[^\";]*\bnext\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Page:
    """`value`: what `${page}` stands for, None = nothing.  `link`: the whole address of the page,
    which replaces the request's own and may lead to its own host only."""

    number: int
    value: Any = None
    link: str = ""


def first_page(paginate: Paginate | None) -> Page:
    if paginate is None or paginate.type in ("cursor", "link"):
        return Page(1, paginate.start if paginate is not None else None)
    usual = 1 if paginate.type == "page" else 0
    return Page(1, usual if paginate.start is None else paginate.start)


def next_page(
    paginate: Paginate | None,
    page: Page,
    document: Any,
    headers: Iterable[tuple[str, str]],
    count: int,
) -> Page | None:
    """None after the last page.  `count`: the records on this page.  A service that names the same
    page again is not followed in circles."""
    if paginate is None or page.number >= paginate.max_pages:
        return None
    number = page.number + 1
    if paginate.type in ("page", "offset"):
        step = 1 if paginate.type == "page" else count
        return Page(number, page.value + step) if count and count >= paginate.size else None
    if paginate.more and first(paginate.more, document) is not True:
        return None
    found = _named(paginate.next, document, headers)
    if found in (None, "", False) or isinstance(found, dict | list):
        return None
    if paginate.type == "link":
        link = str(found)
        return Page(number, link=link) if link != page.link else None
    return Page(number, found) if found != page.value else None


def _named(place: str, document: Any, headers: Iterable[tuple[str, str]]) -> Any:
    kind, _, name = place.partition(":")
    if kind != "header":
        return first(place, document)
    values = [value for header, value in headers if header.lower() == name.lower()]
    return next_link(values) if name.lower() == "link" else next(iter(values), None)


def next_link(values: Iterable[str]) -> str | None:
    """The address marked rel="next" in Link headers."""
    for value in values:
        for found in _LINK.finditer(value[:16_000]):
            if _NEXT.search(found[2]):
                return found[1].strip()
    return None
