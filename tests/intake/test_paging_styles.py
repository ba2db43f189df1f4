"""The seven ways services hand out long lists, each through a whole look: two pages, an empty one, one
that comes again, and one that never ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.intake.polls.polling import Looked
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService, Received
from tests.intake.conftest import Server
from tests.intake.test_verification import connect, trigger

CONNECTOR = """
key: lists
name: Lists
category: other
description: Long lists.
owner: tests
docs: https://lists.example
api: {base_url: "https://api.lists.example", checked: 2026-11-21}
auth:
  - {key: token, type: bearer, label: Token, fields: [{key: token, label: Token, secret: true}]}
"""
TRIGGER = """
key: KEY
label: New record
description: Starts the flow for each record.
docs: https://lists.example
kind: poll
every: 5m
request: {method: GET, path: /list, query: {at: "${page}"}}
paginate: PAGINATE
items: ITEMS
dedupe: $.id
"""
STYLES = {
    "cursor_in_body": "{type: cursor, next: $.next, max_pages: 3}",
    "cursor_with_flag": "{type: cursor, next: $.next, more: $.more, max_pages: 3}",
    "last_id": '{type: cursor, next: "$.data[-1].id", more: $.more, max_pages: 3}',
    "page_number": "{type: page, size: 2, max_pages: 3}",
    "offset": "{type: offset, size: 2, max_pages: 3}",
    "link_header": '{type: link, next: "header:Link", max_pages: 3}',
    "link_in_body": "{type: link, next: $.links.next, max_pages: 3}",
}
BASE = "https://api.lists.example/list"
Pages = Callable[[int], list[int] | None]


@pytest.fixture
def server(tmp_path: Path, clock: FakeClock, service: FakeService) -> Iterator[Server]:
    home = tmp_path / "connectors" / "lists"
    (home / "triggers").mkdir(parents=True)
    (home / "connector.yaml").write_text(CONNECTOR)
    for key, paginate in STYLES.items():
        text = TRIGGER.replace("KEY", key).replace("PAGINATE", paginate).replace("ITEMS", "$.data[*]")
        if paginate.startswith("{type: link"):
            text = text.replace(', query: {at: "${page}"}', "")
        (home / "triggers" / f"{key}.yaml").write_text(text)
    server = Server(tmp_path, clock, service)
    connect(server, "lists", token="t0ken-of-lists")
    yield server
    server.close()


class Listing:
    """Answers in every style at once: `pages(n)` are the ids of the n-th page, None = there is none."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.asked: list[str] = []
        self.forwards: Callable[[int], int] = lambda number: number + 1

    def number(self, style: str, at: str) -> int:
        if style == "page_number":
            return int(at or 1)
        if style == "offset":
            return int(at or 0) // 2 + 1
        return int(at.removeprefix("p") or 1)

    def answer(self, style: str, received: Received) -> Any:
        at = received.query.get("at", "")
        self.asked.append(at)
        number = self.asked_page(style, at)
        ids = self.pages(number) or []
        following = self.forwards(number)
        is_last = self.pages(following) is None
        link = "" if is_last else f"{BASE}?at=p{following}"
        body = {
            "data": [{"id": one} for one in ids],
            "next": None if is_last else f"p{following}",
            "more": not is_last,
            "links": {"next": link or None},
        }
        return (200, body, {"Link": f'<{link}>; rel="next"'} if link else {})

    def asked_page(self, style: str, at: str) -> int:
        """A service that goes by the last id knows which page that one was on."""
        if style != "last_id" or not at:
            return self.number(style, at)
        return next(n for n in range(1, 2000) if int(at) in (self.pages(n) or [])) + 1


def look(server: Server, service: FakeService, style: str, listing: Listing) -> Looked:
    flow_id = server.live(trigger("lists", style, "con_lists"))
    service.answers("GET", "/list", lambda received: listing.answer(style, received))
    return server.poll_now(flow_id)


def of(*pages: list[int]) -> Listing:
    return Listing(lambda number: pages[number - 1] if 0 < number <= len(pages) else None)


@pytest.mark.parametrize("style", STYLES)
def test_two_pages_are_read_to_their_end(server: Server, service: FakeService, style: str) -> None:
    listing = of([1, 2], [3])
    looked = look(server, service, style, listing)
    assert (looked.state, looked.seeded, len(listing.asked)) == ("succeeded", 3, 2)


@pytest.mark.parametrize("style", STYLES)
def test_an_empty_list_is_no_failure(server: Server, service: FakeService, style: str) -> None:
    listing = of([])
    looked = look(server, service, style, listing)
    assert (looked.state, looked.seeded, len(listing.asked)) == ("succeeded", 0, 1)


@pytest.mark.parametrize("style", [one for one in STYLES if one != "last_id"])
def test_an_empty_page_after_a_full_one_is_the_end(server: Server, service: FakeService, style: str) -> None:
    listing = of([1, 2], [])
    looked = look(server, service, style, listing)
    assert (looked.state, looked.seeded, len(listing.asked)) == ("succeeded", 2, 2)


@pytest.mark.parametrize("style", ["cursor_in_body", "cursor_with_flag", "link_header", "link_in_body"])
def test_a_page_that_names_itself_as_the_next_is_not_followed_in_circles(
    server: Server, service: FakeService, style: str
) -> None:
    listing = of([1, 2], [3, 4])
    listing.forwards = lambda number: 2
    looked = look(server, service, style, listing)
    assert (looked.state, looked.seeded) == ("succeeded", 4)
    assert len(listing.asked) == 2


@pytest.mark.parametrize("style", STYLES)
def test_the_same_records_on_every_page_are_taken_once_and_then_left(
    server: Server, service: FakeService, style: str
) -> None:
    """The numbers go on, but what is there does not: after the usual number of pages it is enough."""
    listing = Listing(lambda number: [1, 2] if number > 0 else None)
    looked = look(server, service, style, listing)
    assert (looked.state, looked.seeded) == ("succeeded", 2)
    assert len(listing.asked) <= 3


@pytest.mark.parametrize("style", STYLES)
def test_a_list_that_never_ends_is_given_up_with_what_to_do(
    server: Server, service: FakeService, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.intake.polls.connector._MOST_PAGES", 12)
    listing = Listing(lambda number: [2 * number, 2 * number + 1] if number > 0 else None)
    looked = look(server, service, style, listing)
    assert looked.state == "failed"
    assert "More than 12 pages" in looked.sentence or "more than 12 pages" in looked.sentence
    assert "Narrow the trigger's input" in looked.sentence
    assert len(listing.asked) <= 13
    assert server.events() == []
