"""How a service hands out a list that does not fit into one answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from app.catalog.format.values import JsonPath, Model, Place


class Paginate(Model):
    """How one gets to the next page.  `cursor`: the value at `next` becomes `${page}`, which on the
    first page is `start` or nothing; with `more` only while that is true.  `page`, `offset`: `${page}`
    counts up from `start`; a page with fewer than `size` records is the last.  `link`: the address at
    `next` (`$.path`, or `header:Link` for its rel="next") is the next request."""

    type: Literal["cursor", "page", "offset", "link"]
    next: Place | Literal[""] = ""
    more: JsonPath | Literal[""] = ""
    start: int | str | None = None
    size: int = Field(default=0, ge=0, le=10_000)
    max_pages: int = Field(default=50, ge=1, le=1000)

    @model_validator(mode="after")
    def _says_what_it_needs(self) -> Paginate:
        counts = self.type in ("page", "offset")
        if counts and not self.size:
            raise ValueError(f"type {self.type} needs size: how many records a full page has")
        if not counts and not self.next:
            raise ValueError(f"type {self.type} needs next: where the next page is named")
        if counts and isinstance(self.start, str):
            raise ValueError(f"type {self.type} counts from a number, not from '{self.start}'")
        if counts and (self.next or self.more):
            raise ValueError(f"type {self.type} counts by itself: next and more cannot stand here")
        return self
