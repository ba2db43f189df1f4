"""How a list that comes in pages goes on, and where it ends."""

from __future__ import annotations

from typing import Any

import pytest

from app.catalog.format.definition import Paginate
from app.catalog.pages import Page, first_page, next_link, next_page


def paginate(**facts: Any) -> Paginate:
    return Paginate.model_validate(facts)


def test_a_cursor_is_followed_until_there_is_none() -> None:
    way = paginate(type="cursor", next="$.next", start="0")
    page = first_page(way)
    assert page == Page(1, "0")
    page = next_page(way, page, {"next": "abc"}, [], 100) or Page(0)
    assert page == Page(2, "abc")
    ends: list[Any] = [{}, {"next": None}, {"next": ""}, {"next": {"a": 1}}, {"next": []}, []]
    for end in ends:
        assert next_page(way, page, end, [], 100) is None


def test_the_last_record_leads_on_while_the_service_says_that_there_is_more() -> None:
    way = paginate(type="cursor", next="$.data[-1].id", more="$.has_more")
    answer = {"data": [{"id": "a"}, {"id": "b"}], "has_more": True}
    assert next_page(way, Page(1), answer, [], 2) == Page(2, "b")
    for more in (False, None, "true"):
        assert next_page(way, Page(1), {**answer, "has_more": more}, [], 2) is None


def test_a_service_that_names_the_same_page_again_is_not_followed_in_circles() -> None:
    way = paginate(type="cursor", next="$.next")
    assert next_page(way, Page(2, "abc"), {"next": "abc"}, [], 100) is None


def test_pages_and_offsets_count_until_one_is_not_full() -> None:
    by_page, by_offset = paginate(type="page", size=50), paginate(type="offset", size=50, start=10)
    assert (first_page(by_page), first_page(by_offset)) == (Page(1, 1), Page(1, 10))
    assert next_page(by_page, Page(1, 1), {}, [], 50) == Page(2, 2)
    assert next_page(by_offset, Page(1, 10), {}, [], 50) == Page(2, 60)
    assert next_page(by_page, Page(1, 1), {}, [], 49) is None
    assert next_page(by_offset, Page(1, 10), {}, [], 0) is None


def test_the_most_pages_are_the_end() -> None:
    way = paginate(type="page", size=1, max_pages=2)
    assert next_page(way, Page(2, 2), {}, [], 1) is None


def test_without_paging_there_is_one_page() -> None:
    assert first_page(None) == Page(1)
    assert next_page(None, Page(1), {"next": "x"}, [("Link", '<https://a/b>; rel="next"')], 100) is None


def test_a_link_in_a_header_or_in_the_body_leads_on() -> None:
    headers = [("link", '<https://a.example/2>; rel="next", <https://a.example/9>; rel="last"')]
    way = paginate(type="link", next="header:Link")
    assert next_page(way, Page(1), None, headers, 1) == Page(2, link="https://a.example/2")
    way = paginate(type="link", next="$.links.next")
    assert next_page(way, Page(1), {"links": {"next": "/2"}}, [], 1) == Page(2, link="/2")


@pytest.mark.parametrize(
    ("header", "link"),
    [
        ('<https://a/?x=1,2>; rel="next"', "https://a/?x=1,2"),
        ("<https://a>; rel=next", "https://a"),
        ('<https://a>; title="x"; rel="prev next"', "https://a"),
        ('<https://p>; rel="previous", <https://n>; rel="next"', "https://n"),
        ('<https://a>; rel="nextish"', None),
        ("rel=next", None),
        ("<" * 20_000, None),
        ("", None),
    ],
)
def test_the_link_marked_next_is_found(header: str, link: str | None) -> None:
    assert next_link([header]) == link
