"""The address senders use: no login, JSON answers, never an error of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.flows.model import FlowDefinition
from app.intake import activation
from app.parts import Parts
from app.storage import flows

Hook = Callable[..., str]


@pytest.fixture
def sender(app: Flask) -> FlaskClient:
    return app.test_client()


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
            lambda c: flows.create_flow(c, name="Welcome", definition=definition, owner_id=None, now=now)
        )
        activation.publish(parts, flow_id, by=None)
        activation.switch_on(parts, flow_id, by=None)
        return "/hooks/" + activation.hook_address(parts, flow_id).rpartition("/")[2]

    return make


def test_a_delivery_needs_no_login_and_is_answered_with_its_ids(sender: FlaskClient, hook: Hook) -> None:
    answer = sender.post(hook(), json={"email": "a@b.c"})
    assert answer.status_code == 202
    document = answer.get_json()
    assert document["status"] == "accepted"
    assert document["delivery"].startswith("dlv_")
    assert [event[:4] for event in document["events"]] == ["evt_"]
    assert "Set-Cookie" not in answer.headers


def test_a_repetition_is_answered_200_with_the_first_id(sender: FlaskClient, hook: Hook) -> None:
    path, headers = hook(), {"Idempotency-Key": "k1"}
    first = sender.post(path, json={}, headers=headers)
    second = sender.post(path, json={}, headers=headers)
    assert (second.status_code, second.get_json()["status"]) == (200, "duplicate")
    assert second.get_json()["events"] == first.get_json()["events"]


def error_of(answer: TestResponse) -> tuple[int, str]:
    assert answer.content_type == "application/json"
    return answer.status_code, answer.get_json()["error"]


def test_refusals_are_a_status_and_a_sentence(sender: FlaskClient, hook: Hook) -> None:
    path = hook()
    assert error_of(sender.post("/hooks/no-such-address-at-all", json={})) == (
        404,
        "Nothing listens at this address.",
    )
    assert error_of(sender.get(path))[0] == 405
    assert sender.get(path).headers["Allow"] == "POST"
    assert error_of(sender.delete(path))[0] == 405
    status, sentence = error_of(sender.post(path, data=b"{nope", content_type="application/json"))
    assert status == 400
    assert sentence.startswith("The body is not valid JSON")


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "TRACE", "PROPFIND"])
def test_strange_methods_are_refused_too(sender: FlaskClient, hook: Hook, method: str) -> None:
    assert sender.open(hook(), method=method).status_code == 405


def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    sender: FlaskClient, hook: Hook, parts: Parts
) -> None:
    path = hook()
    most = parts.settings.max_body_mb * 1024 * 1024
    assert error_of(sender.post(path, data=b"x" * (most + 1))) == (413, "The body is larger than 10 MB.")
    claimed = sender.post(path, data=b"{}", environ_overrides={"CONTENT_LENGTH": str(10**12)})
    assert error_of(claimed)[0] == 413


def test_a_body_that_was_cut_off_is_refused(sender: FlaskClient, hook: Hook) -> None:
    answer = sender.post(hook(), data=b'{"email"', environ_overrides={"CONTENT_LENGTH": "100"})
    assert error_of(answer) == (400, "The body was cut off on its way.")


def test_a_form_on_any_page_may_post(sender: FlaskClient, hook: Hook) -> None:
    path = hook()
    preflight = sender.options(path, headers={"Origin": "https://blog.example"})
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    answer = sender.post(path, data={"email": "a@b.c"}, headers={"Origin": "https://blog.example"})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (202, "*")


def test_when_nothing_can_be_accepted_senders_are_told_when_to_come_again(
    sender: FlaskClient, hook: Hook, parts: Parts
) -> None:
    path = hook()
    parts.database.writer.close()
    answer = sender.post(path, json={})
    assert error_of(answer)[0] == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_a_mistake_of_ours_asks_the_sender_to_come_again(
    sender: FlaskClient, hook: Hook, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = hook()
    monkeypatch.setattr(parts.intake.door, "_admit", lambda *_: 1 / 0)
    answer = sender.post(path, json={"email": "a@b.c"})
    assert error_of(answer) == (503, "Something went wrong here; nothing was accepted.")
    assert "Retry-After" in answer.headers
