"""The address senders use: no login, JSON answers, never an error of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.flows.model import FlowDefinition
from app.parts import Parts
from app.storage.flows import flows
from app.web.asgi import create_asgi

Hook = Callable[..., str]


class Sender:
    """Asks the server's application, each time in an event loop of its own."""

    def __init__(self, parts: Parts) -> None:
        self._asgi: Any = create_asgi(parts)

    def __call__(self, method: str, path: str, **request: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._asgi)
            async with httpx.AsyncClient(transport=transport, base_url="http://p.example") as client:
                return await client.request(method, path, **request)

        return asyncio.run(ask())

    def post(self, path: str, **request: Any) -> httpx.Response:
        return self("POST", path, **request)


@pytest.fixture
def sender(parts: Parts) -> Sender:
    return Sender(parts)


@pytest.fixture
def hook(parts: Parts) -> Hook:
    """Makes a live flow and gives the path of its address."""

    def make(**trigger: Any) -> str:
        definition = FlowDefinition.model_validate(
            {
                "name": "Welcome",
                "trigger": {"kind": "webhook", **trigger},
                "steps": [{"id": "s1", "kind": "stop", "message": "Done."}],
            }
        )
        now = parts.clock.now()
        flow_id = parts.database.write(
            lambda db: flows.create_flow(db, name="Welcome", definition=definition, owner_id=None, now=now)
        )
        flow_commands.publish(SHELL, parts, flow_id)
        flow_commands.switch_on(SHELL, parts, flow_id)
        return "/hooks/" + flow_commands.create_address(SHELL, parts, flow_id).rpartition("/")[2]

    return make


def test_a_delivery_needs_no_login_and_is_answered_with_its_ids(sender: Sender, hook: Hook) -> None:
    answer = sender.post(hook(), json={"email": "a@b.c"})
    assert answer.status_code == 202
    document = answer.json()
    assert document["status"] == "accepted"
    assert document["delivery"].startswith("dlv_")
    assert [event[:4] for event in document["events"]] == ["evt_"]
    assert "Set-Cookie" not in answer.headers


def test_a_repetition_is_answered_200_with_the_first_id(sender: Sender, hook: Hook) -> None:
    path, headers = hook(), {"Idempotency-Key": "k1"}
    first = sender.post(path, json={}, headers=headers)
    second = sender.post(path, json={}, headers=headers)
    assert (second.status_code, second.json()["status"]) == (200, "duplicate")
    assert second.json()["events"] == first.json()["events"]


def error_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status_code, answer.json()["error"]


def test_refusals_are_a_status_and_a_sentence(sender: Sender, hook: Hook) -> None:
    path = hook()
    assert error_of(sender.post("/hooks/no-such-address-at-all", json={})) == (
        404,
        "Nothing listens at this address.",
    )
    assert error_of(sender("GET", path))[0] == 405
    assert sender("GET", path).headers["Allow"] == "POST"
    assert error_of(sender("DELETE", path))[0] == 405
    status, sentence = error_of(
        sender.post(path, content=b"{nope", headers={"Content-Type": "application/json"})
    )
    assert status == 400
    assert sentence.startswith("The body is not valid JSON")


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "TRACE", "PROPFIND"])
def test_strange_methods_are_refused_too(sender: Sender, hook: Hook, method: str) -> None:
    assert sender(method, hook()).status_code == 405


def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    sender: Sender, hook: Hook, parts: Parts
) -> None:
    path = hook()
    most = parts.settings.max_body_mb * 1024 * 1024
    assert error_of(sender.post(path, content=b"x" * (most + 1))) == (413, "The body is larger than 10 MB.")
    claimed = sender.post(path, content=b"{}", headers={"Content-Length": str(10**12)})
    assert error_of(claimed)[0] == 413


def test_a_body_that_was_cut_off_is_refused(sender: Sender, hook: Hook) -> None:
    answer = sender.post(hook(), content=b'{"email"', headers={"Content-Length": "100"})
    assert error_of(answer) == (400, "The body was cut off on its way.")


def test_a_body_whose_length_is_not_said_is_read_to_its_end(sender: Sender, hook: Hook, parts: Parts) -> None:
    async def pieces(number: int) -> AsyncIterator[bytes]:
        yield b'{"email": "'
        for _ in range(number):
            yield b"a" * 64 * 1024
        yield b'"}'

    path = hook()
    assert (
        sender.post(path, content=pieces(3), headers={"Content-Type": "application/json"}).status_code == 202
    )
    assert error_of(sender.post(path, content=pieces(200)))[0] == 413


def test_pages_are_served_behind_the_same_door(sender: Sender) -> None:
    answer = sender("GET", "/login")
    assert answer.status_code in (200, 302, 303)
    assert "Content-Security-Policy" in answer.headers


def test_a_form_on_any_page_may_post(sender: Sender, hook: Hook) -> None:
    path = hook()
    preflight = sender("OPTIONS", path, headers={"Origin": "https://blog.example"})
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    answer = sender.post(path, data={"email": "a@b.c"}, headers={"Origin": "https://blog.example"})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (202, "*")


def test_when_nothing_can_be_accepted_senders_are_told_when_to_come_again(
    sender: Sender, hook: Hook, parts: Parts
) -> None:
    path = hook()
    parts.database.writer.close()
    answer = sender.post(path, json={})
    assert error_of(answer)[0] == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_a_mistake_of_ours_asks_the_sender_to_come_again(
    sender: Sender, hook: Hook, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = hook()
    monkeypatch.setattr(parts.intake.deliveries, "_admit", lambda *_: 1 / 0)
    answer = sender.post(path, json={"email": "a@b.c"})
    assert error_of(answer) == (503, "Something went wrong here; nothing was accepted.")
    assert "Retry-After" in answer.headers
