"""Plays a cassette through the product: its calls, its classification, its polls and its door."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast
from urllib.parse import parse_qs, parse_qsl

import httpx

from app.calls.connections.book import ConnectionFacts, hosts_of
from app.calls.http.client import Caller
from app.calls.http.paginate import pages
from app.calls.limits.limits import Limits
from app.calls.message.call import CallRequest
from app.catalog.fields import check_input
from app.catalog.format.definition import Action, Connector
from app.catalog.format.later import Wanted
from app.catalog.lookups import FoundField, Option, lookup_items, read_fields, read_options
from app.catalog.registry import Registry
from app.catalog.render import plan
from app.catalog.workbench.cassettes import Cassette, Exchange
from app.engine.runtime import Runtime
from app.engine.steps.action import request_of, requests_of
from app.engine.steps.later import is_accepted
from app.errors import CallFailed
from app.flows.mapping.template import first
from app.flows.mapping.values import as_text
from app.flows.model import ActionStep, ConnectorTrigger
from app.intake.deliveries import verification
from app.intake.deliveries.bodies import read_body
from app.intake.deliveries.inbound import Accepted, Inbound
from app.intake.deliveries.repetition import Reading, arrivals_of
from app.intake.polls.connector import ConnectorSource
from app.intake.polls.source import Look
from app.settings import Settings
from app.storage.history.events import Arrival
from tests.connectors.samples import connection_for
from tests.fakes.clock import FakeClock

T = TypeVar("T")
FOLDER = Path(__file__).parents[2] / "connectors"
DEMO = Path(__file__).parents[2] / "seed_data" / "connectors"
REGISTRY = Registry([("bundled", FOLDER), ("demo", DEMO)])
PUBLIC_URL = "https://flows.example.com"


class Tape:
    """Answers in order, and says where a request differs from the recorded one."""

    def __init__(self, exchange: tuple[Exchange, ...]) -> None:
        self._left = list(exchange)
        self.differences: list[str] = []

    @property
    def is_over(self) -> bool:
        return not self._left

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if not self._left:
            self.differences.append(f"one request too many: {request.method} {request.url}")
            return httpx.Response(500)
        taped = self._left.pop(0)
        self.differences += differences(taped, request)
        answer = taped.response
        if answer.json_body is None:
            return httpx.Response(answer.status, headers=answer.headers, text=answer.text or "")
        return httpx.Response(answer.status, headers=answer.headers, json=answer.json_body)


def differences(taped: Exchange, request: httpx.Request) -> list[str]:
    wanted, found = taped.request, []
    path = request.url.raw_path.decode().partition("?")[0]
    if (request.method, path) != (wanted.method, wanted.path):
        found.append(f"{request.method} {path} in place of {wanted.method} {wanted.path}")
    if wanted.query is not None:
        query = {
            name: values if len(values) > 1 else values[0]
            for name, values in parse_qs(request.url.query.decode(), keep_blank_values=True).items()
        }
        found += [f"query {query} in place of {wanted.query}"] if query != wanted.query else []
    for name, value in wanted.headers.items():
        if request.headers.get(name) != value:
            found.append(f"header {name} is {request.headers.get(name)!r}")
    if wanted.json_body is not None and json.loads(request.content) != wanted.json_body:
        found.append(f"body {request.content.decode()}")
    if wanted.form is not None and dict(parse_qsl(request.content.decode())) != wanted.form:
        found.append(f"form {request.content.decode()}")
    return found


@dataclass
class Book:
    """The one connection there is."""

    facts: ConnectionFacts

    def get(self, connection_id: str) -> ConnectionFacts:
        return self.facts


def facts_of(connector: Connector, cassette: Cassette) -> ConnectionFacts:
    sample = connection_for(connector)
    public = {**sample.public, **cassette.connection}
    given = cassette.delivery.secrets if cassette.delivery is not None else {}
    return replace(
        sample, public=public, secrets={**sample.secrets, **given}, hosts=hosts_of(connector, public)
    )


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def needs_for(facts: ConnectionFacts, caller: Caller | None = None) -> Runtime:
    settings = Settings(public_url=PUBLIC_URL)
    return cast(
        Runtime,
        SimpleNamespace(
            settings=settings, clock=FakeClock(), registry=REGISTRY, connections=Book(facts), caller=caller
        ),
    )


# ------------------------------------------------------------------------------------------ calls


async def play_action(connector: Connector, cassette: Cassette, tape: Tape) -> Any:
    """The output.  Raises CallFailed."""
    action = connector.actions[cassette.operation.partition("/")[2]]
    assert check_input(action, cassette.input) == []
    async with OpenCaller(tape) as caller:
        for outgoing, request in _requests(connector, action, cassette):
            outcome = await caller.send(request, rules=outgoing.rules, success=outgoing.success)
            if outcome.answer is not None and outcome.answer.status in outgoing.moves_on:
                continue
            if outcome.failure is not None or outcome.answer is None:
                raise outcome.failure or CallFailed("unavailable", "no answer")
            document = outcome.answer.document()
            if action.later is not None and is_accepted(action.later, outcome.answer):
                document = await _end_of(caller, connector, action, cassette, document)
            return first(action.output.select, document)
    raise AssertionError("the last request cannot move on")


async def _end_of(
    caller: Caller, connector: Connector, action: Action, cassette: Cassette, accepted: Any
) -> Any:
    """What the service says when it is asked how the call that it accepted ended; once."""
    check = action.later.check if action.later is not None else None
    assert check is not None
    assert check.request is not None
    facts = facts_of(connector, cassette)
    scope = {"accepted": accepted, "input": cassette.input, "connection": facts.as_scope()}
    planned = plan(connector, check.request, scope=scope)
    outcome = await caller.send(request_of(planned, facts), rules=connector.errors)
    if outcome.failure is not None or outcome.answer is None:
        raise outcome.failure or CallFailed("unavailable", "no answer")
    document = outcome.answer.document()
    if check.failed and holds(check.failed, document):
        raise CallFailed(check.kind, as_text(first(check.message, document)))
    assert holds(check.done, document)
    return document


def holds(wanted: Wanted, document: Any) -> bool:
    return all(as_text(first(path, document)) in values for path, values in wanted.items())


def _requests(connector: Connector, action: Action, cassette: Cassette) -> Any:
    step = ActionStep(id="s1", connector=connector.key, action=action.key)
    ctx: Any = SimpleNamespace(run_id="run_1", call_key=lambda key, part: f"run_1:{key}{part}")
    given = (cassette.input, cassette.extra)
    return requests_of(ctx, step, "s1", connector, action, facts_of(connector, cassette), given, [])


async def play_poll(connector: Connector, cassette: Cassette, tape: Tape) -> Look:
    """What one look reads.  Raises CallFailed."""
    trigger = ConnectorTrigger(
        connector=connector.key,
        trigger=cassette.operation.partition("/")[2],
        connection_id="con_1",
        input=cassette.input,
    )
    look = Look(cursor=cassette.cursor)
    async with OpenCaller(tape) as caller:
        source = ConnectorSource(needs_for(facts_of(connector, cassette), caller), trigger)
        async for records in source.batches(look, cassette.cursor):
            look.add(records, source.dedupe, source.cursor)
    return look


@dataclass
class LookedUp:
    options: list[Option] = field(default_factory=list)
    fields: list[FoundField] = field(default_factory=list)


async def play_lookup(connector: Connector, cassette: Cassette, tape: Tape) -> LookedUp:
    lookup = connector.lookups[cassette.operation.partition("/")[2]]
    facts = facts_of(connector, cassette)
    found = LookedUp()

    def build(page: Any) -> CallRequest:
        scope = {"input": cassette.input, "connection": facts.as_scope(), "page": page}
        return request_of(plan(connector, lookup.request, scope=scope), facts)

    async with OpenCaller(tape) as caller:
        async for read in pages(
            caller,
            build,
            lookup.paginate,
            count=lambda document: len(lookup_items(lookup, document)),
            rules=lookup.request.errors + connector.errors,
            success=lookup.success or connector.success,
        ):
            if read.failure is not None:
                raise read.failure
            found.options += read_options(lookup, read.document, cassette.input)
            found.fields += read_fields(lookup, read.document, cassette.input)
    return found


async def play_check(connector: Connector, cassette: Cassette, tape: Tape) -> Any:
    """The name of the account."""
    check = connector.check
    assert check is not None
    facts = facts_of(connector, cassette)
    planned = plan(connector, check.request, scope={"connection": facts.as_scope()})
    async with OpenCaller(tape) as caller:
        outcome = await caller.send(request_of(planned, facts), rules=planned.errors, success=check.success)
    if outcome.failure is not None or outcome.answer is None:
        raise outcome.failure or CallFailed("unavailable", "no answer")
    return first(check.account, outcome.answer.document()) if check.account else None


class Unhurried(Limits):
    """The clock of the tests stands still, so nobody may wait for a turn."""

    def take(self, request: CallRequest, **facts: Any) -> None:
        """Go now."""


class OpenCaller:
    """A caller that answers from a tape, for as long as the block lasts."""

    def __init__(self, tape: Tape) -> None:
        self._caller = Caller(Settings(), FakeClock(), transport=tape.transport)

    async def __aenter__(self) -> Caller:
        await self._caller.start()
        self._caller.limits = Unhurried(FakeClock())
        return self._caller

    async def __aexit__(self, *reason: object) -> None:
        await self._caller.close()


# ------------------------------------------------------------------------------------- deliveries


def play_delivery(connector: Connector, cassette: Cassette) -> Accepted | list[Arrival]:
    """The answer to a handshake, or the events.  Raises DeliveryRefused."""
    given = cassette.delivery
    assert given is not None
    inbound = Inbound(
        "dlv_1",
        datetime.fromisoformat(given.at),
        given.method,
        given.path,
        given.query,
        list(given.headers.items()),
        given.body.encode(),
        "203.0.113.7",
    )
    inbound.by_name = {name.lower(): value for name, value in given.headers.items()}
    trigger = ConnectorTrigger(
        connector=connector.key, trigger=cassette.operation.partition("/")[2], connection_id="con_1"
    )
    needs = needs_for(facts_of(connector, cassette))
    answer = verification.check(needs, trigger, inbound)
    if answer is not None:
        return answer
    service = verification.service_trigger(needs, trigger)
    document = read_body(inbound.body, inbound.content_type, query=inbound.query)
    return arrivals_of(Reading(service.items, service.dedupe, service.where), inbound, document)
