"""What is said to a service about a subscription, and what its answers mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pydantic import ValidationError

from app.calls.connections.book import ConnectionFacts
from app.calls.connections.secrets import Scrubber
from app.calls.http.client import CallOutcome
from app.calls.http.paginate import pages
from app.calls.message.call import Answer, CallRequest
from app.catalog.format.definition import Connector, Request, Subscribe
from app.catalog.format.definition import WebhookTrigger as ServiceTrigger
from app.catalog.render import plan
from app.catalog.templates import references_in
from app.engine.runtime import Runtime
from app.engine.steps.action import request_of
from app.errors import CallFailed
from app.flows.mapping.template import first
from app.flows.mapping.values import as_moment, as_text
from app.flows.model import ConnectorTrigger
from app.intake.polls.connector import trigger_input
from app.intake.polls.records import records_in
from app.intake.polls.source import ready_connection, wait_turn
from app.storage.database.writer import Row
from app.storage.flows.subscriptions import SubscriptionRow, Told, open_told

_ADDRESS, _SECRET = "subscription_address", "subscription_secret"
_LONGEST_ID = 500


@dataclass
class Found:
    """One of the service's own list: what it calls it, and whether it works."""

    vendor_id: str
    works: bool


@dataclass
class Talk:
    """A conversation with a service about one subscription; `calls` are kept whatever comes of it.
    `others`: what the service calls further ones of the same flow, such as one that is about to end."""

    runtime: Runtime
    row: SubscriptionRow
    connector: Connector
    service: ServiceTrigger
    connection: ConnectionFacts | None
    values: dict[str, Any]
    told: Told
    calls: list[tuple[str, Row]] = field(default_factory=list)
    vendor_id: str = ""
    others: frozenset[str] = frozenset()
    _asked: Any = None

    @property
    def subscribe(self) -> Subscribe:
        return self.service.subscribe

    @property
    def name(self) -> str:
        return self.connector.name

    async def say(self, purpose: str, request: Request) -> Answer:
        """Raises CallFailed."""
        await self._ask_first(request)
        outcome = await self._send(purpose, self._request(request, None))
        if outcome.failure is not None or outcome.answer is None:
            raise outcome.failure or CallFailed("unavailable", f"{self.name} gave no answer.")
        return outcome.answer

    async def look(self) -> list[Found]:
        """Those at the service that are this one.  Raises CallFailed."""
        look = self.subscribe.look
        if look is None:
            return []
        await self._ask_first(look.request)
        found: list[Found] = []
        read = pages(
            self.runtime.caller,
            lambda page: self._request(look.request, page),
            look.paginate,
            count=lambda document: len(self._items(document)),
            rules=look.request.errors + self.connector.errors,
            success=self.connector.success,
            turn=partial(wait_turn, self.runtime),
        )
        async for page in read:
            self._keep("look", page.outcome)
            if page.failure is not None:
                raise page.failure
            found += [one for item in self._items(page.document) if (one := self._mine(item)) is not None]
        return found

    # ---------------------------------------------------------------------------------- pieces

    async def _ask_first(self, request: Request) -> None:
        ask = self.subscribe.ask
        if ask is None or self._asked is not None or not _needs_asking(request):
            return
        answer = await self.say("ask", ask)
        self._asked = answer.document()

    def _request(self, request: Request, page: Any) -> CallRequest:
        known = {"address": f"{{{{secret:{_ADDRESS}}}}}", "tag": self.row.tag}
        known |= {"secret": f"{{{{secret:{_SECRET}}}}}"} if self.told.secret else {}
        known |= {"id": self.vendor_id} if self.vendor_id else {}
        scope = {
            "input": self.values,
            "connection": self.connection.as_scope() if self.connection is not None else {},
            "subscription": known,
            **({} if self._asked is None else {"asked": self._asked}),
            **({} if page is None else {"page": page}),
        }
        made = request_of(plan(self.connector, request, scope=scope), self.connection)
        made.secrets = {_ADDRESS: self.told.address, _SECRET: self.told.secret}
        return made

    async def _send(self, purpose: str, request: CallRequest) -> CallOutcome:
        await wait_turn(self.runtime, request)
        described = self.subscribe.requests[purpose]
        rules = described.errors + self.connector.errors
        outcome = await self.runtime.caller.send(request, rules=rules, success=self.connector.success)
        self._keep(purpose, outcome)
        return outcome

    def _keep(self, purpose: str, outcome: CallOutcome) -> None:
        self.calls += [(purpose, row) for row in (*outcome.before, outcome.row)]

    def _items(self, document: Any) -> list[Any]:
        look = self.subscribe.look
        assert look is not None
        return records_in(document, look.items) if look.items else [document]

    def _mine(self, item: Any) -> Found | None:
        """By its address; a service that was asked for one by its id answers with that one."""
        look = self.subscribe.look
        assert look is not None
        if look.address:
            there = as_text(first(look.address, item))
            if there not in (self.told.address, f"{{{{secret:{_ADDRESS}}}}}"):
                return None
        if look.tag and as_text(first(look.tag, item)) != self.row.tag:
            return None
        works = all(as_text(first(path, item)) == wanted for path, wanted in look.where.items())
        vendor_id = (as_text(first(look.id, item)) if look.id else self.vendor_id)[:_LONGEST_ID]
        return Found(vendor_id, works) if not vendor_id or vendor_id not in self.others else None


def _needs_asking(request: Request) -> bool:
    parts = [request.path, request.query, request.headers, request.body]
    return any(one.root == "asked" for one in references_in(parts))


def begin(runtime: Runtime, row: SubscriptionRow) -> Talk:
    """Raises CallFailed when there is nobody to talk to."""
    try:
        trigger = ConnectorTrigger.model_validate(row.trigger)
    except ValidationError as reason:
        raise CallFailed("invalid_payload", "This trigger was written by another release.") from reason
    connector = runtime.registry.find(trigger.connector)
    service = runtime.registry.find_trigger(trigger.connector, trigger.trigger)
    if connector is None or not isinstance(service, ServiceTrigger) or service.subscribe.create is None:
        raise CallFailed(
            "not_found",
            f"The trigger “{trigger.trigger}” of “{trigger.connector}” is not installed here any more.",
            remedy="Install the connector again, or choose another trigger.",
        )
    told = told_of(runtime, row)
    connection = ready_connection(runtime, trigger.connection_id)
    values = trigger_input(trigger, service)
    return Talk(runtime, row, connector, service, connection, values, told, vendor_id=row.vendor_id)


def told_of(runtime: Runtime, row: SubscriptionRow) -> Told:
    return open_told(runtime.vault, row.id, row.sealed)


# ---------------------------------------------------------------------------------- its answers


@dataclass(frozen=True, slots=True)
class Made:
    vendor_id: str
    secret: str
    expires_at: datetime | None


def read_made(talk: Talk, answer: Answer, now: datetime) -> Made:
    """What the answer to `create` or `renew` says.  A secret in it does not stay in the history."""
    subscribe = talk.subscribe
    document = _document(answer)
    vendor_id = _at(subscribe.id, answer, document)[:_LONGEST_ID]
    secret = talk.told.secret
    if subscribe.secret and not subscribe.makes_secret and subscribe.then is None:
        secret = read_secret(talk, answer) or secret
    expires_at = as_moment(_at(subscribe.expires, answer, document)) if subscribe.expires else None
    if expires_at is None and subscribe.lasts is not None:
        expires_at = now + timedelta(seconds=subscribe.lasts)
    return Made(vendor_id, secret, expires_at)


def read_secret(talk: Talk, answer: Answer) -> str:
    """It does not stay in the history, in none of the answers."""
    secret = _at(talk.subscribe.secret, answer, _document(answer))
    _hide(talk.calls, secret)
    return secret


def _document(answer: Answer) -> Any:
    try:
        return answer.document()
    except CallFailed:
        return None  # nothing has to stand in it


def _at(place: str, answer: Answer, document: Any) -> str:
    kind, _, name = place.partition(":")
    if kind == "header":
        return next((value for header, value in answer.headers if header.lower() == name.lower()), "")
    return as_text(first(place, document)) if place and document is not None else ""


def _hide(calls: list[tuple[str, Row]], secret: str) -> None:
    if len(secret) < 4:
        return
    scrubber = Scrubber({_SECRET: secret})
    for _, row in calls:
        if row.get("answer_body"):
            row["answer_body"] = scrubber.data(row["answer_body"])
        if row.get("answer_headers"):
            row["answer_headers"] = [(name, scrubber.text(value)) for name, value in row["answer_headers"]]
