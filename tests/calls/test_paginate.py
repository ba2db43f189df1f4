"""Lists that come in pages are read to their end, and no page leads off the service's host."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.calls.http.client import Caller
from app.calls.http.paginate import PageRead, pages
from app.calls.message.call import CallRequest
from app.catalog.format.definition import Paginate
from app.settings import Settings
from tests.calls.calling import API, call, connection
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService, Received


def read(service: FakeService, paginate: Paginate | None, name: str = "page", **facts: Any) -> list[PageRead]:
    def build(page: Any) -> CallRequest:
        return call(
            path="/list", query=[(name, str(page))] if page is not None else [], connection=connection()
        )

    async def work() -> list[PageRead]:
        caller = Caller(Settings(), FakeClock(), transport=service.transport)
        found = pages(caller, build, paginate, count=lambda document: len(document["items"]), **facts)
        return [page async for page in found]

    return asyncio.run(work())


def items_of(found: list[PageRead]) -> list[int]:
    return [item for page in found for item in page.document["items"]]


def test_without_pages_there_is_one_call() -> None:
    service = FakeService().answers("GET", "/list", {"items": [1, 2]})
    assert items_of(read(service, None)) == [1, 2]
    assert len(service.requests) == 1


def test_a_cursor_is_followed_until_it_ends() -> None:
    def answer(got: Received) -> dict[str, Any]:
        at = int(got.query.get("after", "0"))
        return {"items": [at, at + 1], "next": str(at + 2) if at < 6 else None}

    service = FakeService().answers("GET", "/list", answer)
    assert items_of(read(service, Paginate(type="cursor", next="$.next"), "after")) == list(range(8))


@pytest.mark.parametrize(("kind", "asked"), [("page", ["1", "2", "3"]), ("offset", ["0", "3", "6"])])
def test_numbered_pages_end_with_one_that_is_not_full(kind: Any, asked: list[str]) -> None:
    service = FakeService().answers(
        "GET", "/list", {"items": [1, 2, 3]}, {"items": [4, 5, 6]}, {"items": [7]}
    )
    found = read(service, Paginate(type=kind, size=3), "at")
    assert items_of(found) == [1, 2, 3, 4, 5, 6, 7]
    assert [one.query["at"] for one in service.requests] == asked
    assert [page.number for page in found] == [1, 2, 3]


@pytest.mark.parametrize("link", [f"{API}/list2?c=x%2Fy", "/list2?c=x%2Fy", "list2?c=x%2Fy"])
def test_a_link_to_the_next_page_is_followed_on_the_same_host(link: str) -> None:
    service = FakeService().answers("GET", "/list", {"items": [1], "next": link})
    service.answers("GET", "/list2", {"items": [2], "next": None})
    assert items_of(read(service, Paginate(type="link", next="$.next"))) == [1, 2]
    assert service.requests[1].query == {"c": "x/y"}
    assert "authorization" in service.requests[1].headers


def test_a_link_header_is_followed_too() -> None:
    header = {"Link": f'<{API}/list?p=0>; rel="previous", <{API}/list2?p=2>; rel="next"'}
    service = FakeService().answers("GET", "/list", (200, {"items": [1]}, header))
    service.answers("GET", "/list2", {"items": [2]})
    assert items_of(read(service, Paginate(type="link", next="header:Link"))) == [1, 2]


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/list",
        "http://api.example.com/list",
        f"{API}:8443/x",
        "//evil.example/x",
        "ftp://x/y",
    ],
)
def test_a_link_to_another_address_is_not_followed(link: str) -> None:
    service = FakeService().answers("GET", "/list", {"items": [1], "next": link})
    first, second = read(service, Paginate(type="link", next="$.next"))
    assert len(service.requests) == 1
    assert first.failure is None
    assert second.failure is not None
    assert second.failure.permanent
    assert second.outcome.row["sentence"] == second.failure.sentence
    assert second.outcome.row["status"] is None


def test_pages_in_a_circle_end() -> None:
    service = FakeService().answers("GET", "/list", {"items": [1], "next": "same"})
    assert len(read(service, Paginate(type="cursor", next="$.next"))) == 2


def test_a_service_that_never_ends_is_left_after_the_last_page_allowed() -> None:
    service = FakeService().answers("GET", "/list", lambda got: {"items": [1], "next": len(service.requests)})
    assert len(read(service, Paginate(type="cursor", next="$.next", max_pages=7))) == 7


def test_a_page_that_fails_is_the_last() -> None:
    service = FakeService().answers("GET", "/list", {"items": [1], "next": "2"}, (500, {"message": "boom"}))
    first, second = read(service, Paginate(type="cursor", next="$.next"))
    assert first.failure is None
    assert second.failure is not None
    assert second.failure.kind == "unavailable"


def test_a_page_that_is_no_json_is_a_failure_in_words() -> None:
    service = FakeService().answers("GET", "/list", "<html>Sign in</html>")
    (page,) = read(service, None)
    assert page.failure is not None
    assert "instead of JSON" in page.outcome.row["sentence"]
    assert page.outcome.row["error_kind"] == "unavailable"
