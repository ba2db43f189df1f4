"""A document with what it refers to: whatever lies at other addresses is fetched, within limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from app.errors import AppError
from app.imports.apis.draft import Draft
from app.imports.apis.fenced import draft_fenced
from app.imports.apis.given import Given
from app.imports.apis.references import MOST_DOCUMENTS

Fetch = Callable[[str], bytes]
_MOST_ROUNDS = 6
_MOST_TOGETHER = 24 * 1024 * 1024


def draft_with_references(given: Given, fetch: Fetch) -> Draft:
    """`fetch` raises AppError for what cannot be had; the draft then does without it."""
    found = dict(given.others)
    failed: dict[str, str] = {}
    draft = draft_fenced(given)
    for _ in range(_MOST_ROUNDS):
        wanted = [one for one in draft.wanted if one not in found and one not in failed]
        room = MOST_DOCUMENTS - len(found) - len(failed)
        if not wanted or room <= 0:
            break
        for address in wanted[:room]:
            try:
                content = fetch(address)
            except AppError as reason:
                failed[address] = reason.sentence
                continue
            if sum(map(len, found.values())) + len(content) > _MOST_TOGETHER:
                failed[address] = "All documents together are too large."
                continue
            found[address] = content
        draft = _without_broken(given, found, failed)
    draft.notes = [*(f"{address[:120]}: {reason}" for address, reason in failed.items()), *draft.notes][:20]
    return draft


def _without_broken(given: Given, found: dict[str, bytes], failed: dict[str, str]) -> Draft:
    """One document that is no document does not keep the others from being read."""
    while True:
        try:
            return draft_fenced(replace(given, others=found))
        except AppError as reason:
            broken = getattr(reason, "file", "")
            if broken not in found:
                raise
            failed[broken] = reason.sentence
            del found[broken]
