"""Every operation of every connector sends its real request, which is held to the vendor's document, and
is then answered well, in pages, and with each refusal there is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from app.catalog.format.definition import Connector, ErrorRule, PollTrigger, Request, Success
from app.catalog.workbench.cassettes import Cassette, Exchange, TapedResponse
from app.errors import CallFailed
from tests.connectors.player import FOLDER, REGISTRY, Tape, play_action, play_check, play_lookup, play_poll
from tests.connectors.samples import tapes_of
from tests.contracts.documents import is_there
from tests.contracts.strict import Sent
from tests.contracts.test_requests import complaints
from tests.contracts.vendors import CONTRACTS
from tests.needs import material

KEYS = sorted(folder.parent.name for folder in FOLDER.glob("*/connector.yaml"))
PLAYERS = {"check": play_check, "actions": play_action, "triggers": play_poll, "lookups": play_lookup}
USUAL = {
    401: "auth_expired",
    403: "permission_missing",
    404: "not_found",
    409: "conflict",
    422: "invalid_payload",
    429: "rate_limited",
    500: "unavailable",
}
WAIT_S = 7.0


@dataclass
class Witness(Tape):
    """Answers in order, and keeps what was sent."""

    answers: list[TapedResponse]
    sent: list[Sent] = field(default_factory=list)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._scripted)

    def _scripted(self, request: httpx.Request) -> httpx.Response:
        headers = [(name, value) for name, value in request.headers.items()]
        self.sent.append(Sent(request.method, str(request.url), headers, request.content or None))
        if not self.answers:
            raise AssertionError(f"one request too many: {request.method} {request.url}")
        answer = self.answers.pop(0)
        if answer.json_body is None:
            return httpx.Response(answer.status, headers=answer.headers, text=answer.text or "")
        return httpx.Response(answer.status, headers=answer.headers, json=answer.json_body)


@dataclass(frozen=True)
class Case:
    """An operation that asks the service, as one of its cassettes plays it."""

    name: str
    tape: Cassette
    requests: tuple[Request, ...]
    success: Success | None


def cases_of(connector: Connector) -> Iterator[Case]:
    """One per operation: the cassette with the most requests of those that went well."""
    for name, requests, success in operations_of(connector):
        tapes = [one for one in tapes_of(connector.key) if one.operation == name and not one.is_failure]
        if tapes:
            tape = max(tapes, key=lambda one: (len(one.exchange), len(one.input)))
            yield Case(name, tape, requests, success or connector.success)


def operations_of(connector: Connector) -> Iterator[tuple[str, tuple[Request, ...], Success | None]]:
    if connector.check is not None:
        yield "check", (connector.check.request,), connector.check.success
    for action in connector.actions.values():
        yield f"actions/{action.key}", action.requests, action.success
    for trigger in connector.triggers.values():
        if isinstance(trigger, PollTrigger):
            yield f"triggers/{trigger.key}", (trigger.request,), trigger.success
    for lookup in connector.lookups.values():
        yield f"lookups/{lookup.key}", (lookup.request,), lookup.success


async def played(connector: Connector, case: Case, answers: list[TapedResponse]) -> Witness:
    """Raises CallFailed."""
    witness = Witness(answers)
    player: Any = PLAYERS[case.name.partition("/")[0]]
    try:
        await player(connector, case.tape, witness)
    except CallFailed as failure:
        failure.__dict__["witness"] = witness
        raise
    return witness


def refusal(status: int, rules: tuple[ErrorRule, ...]) -> TapedResponse:
    headers = {"Retry-After": "7"} if status == 429 else {}
    for rule in rules:
        kind, _, name = rule.wait.partition(":")
        if status in rule.status and kind == "header":
            headers[name] = "7"
    return TapedResponse.model_validate({"status": status, "headers": headers, "json": {"message": "No."}})


def refused(case: Case, status: int, rules: tuple[ErrorRule, ...]) -> list[TapedResponse]:
    """Where the status only makes the next request be tried, that one is refused too."""
    answers = [refusal(status, rules)]
    for request in case.requests[:-1]:
        if status not in request.next_on:
            break
        answers.append(refusal(status, rules))
    return answers


def expected(case: Case, connector: Connector, status: int, at: int) -> tuple[str, float | None]:
    """The kind and the wait that the connector's first fitting rule asks for, else the usual ones."""
    for rule in (*case.requests[at].errors, *connector.errors):
        if status in rule.status and not rule.says:
            fixed = float(rule.wait[:-1]) if rule.wait.endswith("s") else None
            return rule.kind, (fixed or WAIT_S) if rule.kind == "rate_limited" else None
    return USUAL[status], WAIT_S if status == 429 else None


def goes_by_link(connector: Connector, case: Case) -> bool:
    """The next page's address is then the service's own, not put together here."""
    kind, _, key = case.name.partition("/")
    found = {"triggers": connector.triggers, "lookups": connector.lookups}.get(kind, {}).get(key)
    paginate = getattr(found, "paginate", None)
    return paginate is not None and paginate.type == "link"


def answers_of(exchange: tuple[Exchange, ...]) -> list[TapedResponse]:
    return [one.response for one in exchange]


# ---------------------------------------------------------------------------------------- tests


@pytest.mark.contracts
@pytest.mark.parametrize("key", KEYS)
def test_what_each_operation_sends_on_all_its_pages_keeps_to_the_vendors_document(key: str) -> None:
    connector, contract = REGISTRY.get(key), CONTRACTS[key]
    if missing := [name for name in contract.documents if not is_there(name)]:
        material(f"specs/{missing[0]}")
    absent = {name.partition(".")[0] for name in contract.absent}

    async def each() -> dict[str, list[str]]:
        wrong = {}
        for case in cases_of(connector):
            witness = await played(connector, case, answers_of(case.tape.exchange))
            assert not witness.answers, f"{case.name}: an answer is left, so a request was not sent"
            ours = witness.sent[:1] if goes_by_link(connector, case) else witness.sent
            found = [words for sent in ours for words in complaints(contract, sent)]
            if case.name in absent:
                assert found, f"{case.name} is in a document after all"
            elif found:
                wrong[case.name] = found
        return wrong

    assert asyncio.run(each()) == {}


@pytest.mark.parametrize("key", KEYS)
def test_each_list_that_comes_in_pages_is_read_to_its_end(key: str) -> None:
    connector = REGISTRY.get(key)
    for trigger in connector.triggers.values():
        if isinstance(trigger, PollTrigger) and trigger.paginate is not None:
            tapes = [one for one in tapes_of(key) if one.operation == f"triggers/{trigger.key}"]
            most = max((len(one.exchange) for one in tapes), default=0)
            assert trigger.exempt or most > 1, f"{key}: {trigger.key} is never played with two pages"


@pytest.mark.parametrize("status", USUAL)
@pytest.mark.parametrize("key", KEYS)
def test_each_refusal_is_of_the_kind_its_rule_says_and_names_the_service(key: str, status: int) -> None:
    connector = REGISTRY.get(key)

    async def each() -> None:
        for case in cases_of(connector):
            rules = tuple(rule for request in case.requests for rule in request.errors) + connector.errors
            answers = refused(case, status, rules)
            kind, wait_s = expected(case, connector, status, len(answers) - 1)
            with pytest.raises(CallFailed) as caught:
                await played(connector, case, answers)
            failure = caught.value
            assert (failure.kind, failure.status) == (kind, status), f"{case.name}: {failure.sentence}"
            assert wait_s is None or failure.wait_s == wait_s, f"{case.name}: waits {failure.wait_s}"
            assert failure.sentence, case.name
            assert "secret-of-" not in failure.sentence, case.name

    asyncio.run(each())


def says_yes(key: str) -> bool:
    """Its answers hold a mark of success; where a failure is marked instead, cassettes show one."""
    success = REGISTRY.get(key).success
    return success is not None and success.equals is not None


@pytest.mark.parametrize("key", [key for key in KEYS if says_yes(key)])
def test_a_success_that_hides_a_failure_is_a_failure(key: str) -> None:
    connector = REGISTRY.get(key)

    async def each() -> None:
        for case in cases_of(connector):
            hidden = TapedResponse.model_validate({"status": 200, "json": {"message": "It did not work."}})
            with pytest.raises(CallFailed) as caught:
                await played(connector, case, [hidden])
            assert "did not work" in caught.value.sentence, case.name

    asyncio.run(each())


@pytest.mark.parametrize("key", KEYS)
def test_every_operation_that_asks_the_service_is_played(key: str) -> None:
    connector = REGISTRY.get(key)
    played_ones = {case.name for case in cases_of(connector)}
    exempt = {f"actions/{one.key}" for one in connector.actions.values() if one.exempt}
    exempt |= {f"triggers/{one.key}" for one in connector.triggers.values() if one.exempt}
    assert {name for name, _, _ in operations_of(connector)} - played_ones - exempt == set()
