"""Choices that only the account knows: asked once, kept for a while, never guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from app.calls.client import Caller
from app.calls.lookups import LookedUp, LookupShelf
from app.catalog.definition import Connector
from app.errors import CallFailed
from app.settings import Settings
from tests.connectors.player import REGISTRY
from tests.connectors.samples import connection_for
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService

T = TypeVar("T")
MAILCHIMP = REGISTRY.get("mailchimp")
AUDIENCES, FIELDS = MAILCHIMP.lookups["audiences"], MAILCHIMP.lookups["merge_fields"]
ONE = {"lists": [{"id": "a1", "name": "News"}]}


def on_a_shelf(
    service: FakeService, work: Callable[[LookupShelf], Awaitable[T]], clock: FakeClock | None = None
) -> T:
    async def run() -> T:
        caller = Caller(Settings(), clock or FakeClock(), transport=service.transport)
        await caller.start()
        return await work(LookupShelf(caller))

    return asyncio.run(run())


def labels(found: LookedUp) -> list[str]:
    return [one.label for one in found.options]


def test_a_second_look_asks_nobody_until_the_answer_is_old() -> None:
    service, clock = FakeService().answers("GET", "/3.0/lists", ONE, {"lists": []}), FakeClock()
    facts = connection_for(MAILCHIMP)

    async def work(shelf: LookupShelf) -> list[list[str]]:
        seen = [labels(await shelf.read(MAILCHIMP, AUDIENCES, facts, {})) for _ in range(2)]
        clock.advance(AUDIENCES.cache + 1)
        return [*seen, labels(await shelf.read(MAILCHIMP, AUDIENCES, facts, {}))]

    assert on_a_shelf(service, work, clock) == [["News"], ["News"], []]
    assert len(service.requests) == 2


def test_asking_afresh_and_forgetting_ask_the_service_again() -> None:
    service, facts = FakeService().answers("GET", "/3.0/lists", ONE), connection_for(MAILCHIMP)

    async def work(shelf: LookupShelf) -> None:
        await shelf.read(MAILCHIMP, AUDIENCES, facts, {})
        await shelf.read(MAILCHIMP, AUDIENCES, facts, {}, fresh=True)
        shelf.forget(facts.id)
        await shelf.read(MAILCHIMP, AUDIENCES, facts, {})

    on_a_shelf(service, work)
    assert len(service.requests) == 3


def test_two_accounts_and_two_lists_never_share_an_answer() -> None:
    service = FakeService().answers("GET", "*", {"merge_fields": []})
    facts = connection_for(MAILCHIMP)

    async def work(shelf: LookupShelf) -> None:
        for connection, chosen in ((facts, "a"), (facts, "b"), (replace(facts, id="con_2"), "a")):
            await shelf.read(MAILCHIMP, FIELDS, connection, {"list_id": chosen})

    on_a_shelf(service, work)
    assert [one.path.split("/")[3] for one in service.requests] == ["a", "b", "a"]


@pytest.mark.parametrize("inputs", [{}, {"list_id": None}, {"list_id": " "}])
def test_choices_that_depend_on_another_field_say_so(inputs: dict[str, object]) -> None:
    service = FakeService()
    with pytest.raises(CallFailed, match="Choose “list id” first"):
        on_a_shelf(service, lambda shelf: shelf.read(MAILCHIMP, FIELDS, connection_for(MAILCHIMP), inputs))
    assert service.requests == []


def test_a_refusal_is_told_and_not_kept() -> None:
    service = FakeService().answers("GET", "/3.0/lists", (401, {"detail": "API key invalid"}), ONE)
    facts = connection_for(MAILCHIMP)

    async def work(shelf: LookupShelf) -> LookedUp:
        with pytest.raises(CallFailed) as caught:
            await shelf.read(MAILCHIMP, AUDIENCES, facts, {})
        assert (caught.value.kind, caught.value.sentence) == ("auth_expired", "Mailchimp: API key invalid")
        return await shelf.read(MAILCHIMP, AUDIENCES, facts, {})

    assert labels(on_a_shelf(service, work)) == ["News"]


def test_all_pages_are_read_although_some_items_are_left_out() -> None:
    pages = [[{"id": f"{page}-{n}", "name": "x" if n else ""} for n in range(100)] for page in range(2)]
    service = FakeService().answers("GET", "/3.0/lists", *({"lists": page} for page in pages), {"lists": []})
    found = on_a_shelf(
        service, lambda s: s.read(picky(), picky().lookups["audiences"], connection_for(MAILCHIMP), {})
    )
    assert len(found.options) == 198
    assert [one.query["offset"] for one in service.requests] == ["0", "100", "200"]


def picky() -> Connector:
    """Takes only lists with a certain name."""
    lookup = AUDIENCES.model_copy(update={"where": {"$.name": "x"}})
    return MAILCHIMP.model_copy(update={"lookups": {"audiences": lookup}})
