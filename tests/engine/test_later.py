"""Calls that a service accepts first: asked about until they are done, or answered by a callback."""

from __future__ import annotations

from typing import Any

import pytest

from app.commands.runs import cancel
from app.errors import NotFound
from tests.engine.services import install
from tests.engine.world import World, http
from tests.fakes.handed import accept, hand_over
from tests.fakes.people import ANA

SEND = """\
requests:
  - {method: POST, path: /print, body: "${fields}"}
"""
CHECK = (
    SEND
    + """\
later:
  check:
    at: header:Location
    done: {$.state: done}
    failed: {$.state: failed}
    message: $.why
    every: 10s
    at_most: 5m
output:
  select: $.result
"""
)
OWN_QUESTION = (
    SEND
    + """\
later:
  when: {$.mode: queued}
  status: [200]
  check:
    request: {method: GET, path: "/jobs/${accepted.job.id | path}"}
    pending: [202, 404]
    every: 30s
    at_most: 1h
"""
)
CALLBACK = """\
requests:
  - {method: POST, path: /print, body: {who: "${input.email}", tell: "${callback}"}}
later:
  callback:
    failed: {$.ok: "false"}
    message: $.why
    at_most: 2h
"""
ADA = {"email": "ada@example.com"}


def _run(world: World, step: dict[str, Any], *more: Any) -> Any:
    ticket = world.event(world.live(step, *more), ADA)
    world.perform(ticket)
    return ticket


def _accepts(world: World) -> None:
    world.service.answers("POST", "/print", (202, {"id": 7}, {"Location": "/jobs/7"}))


def _ask(world: World, ticket: Any, seconds: float = 10) -> Any:
    world.clock.advance(seconds)
    world.again(ticket)
    return world.state(ticket)


# ---------------------------------------------------------------------------------- status check


def test_an_accepted_call_is_asked_about_until_it_is_done(world: World) -> None:
    _accepts(world)
    world.service.answers("GET", "/jobs/7", {"state": "busy"}, {"state": "done", "result": {"url": "u"}})
    ticket = _run(world, install(world, "print", CHECK), http("s2", "/next"))
    world.service.answers("POST", "/next", {})
    run = world.state(ticket)
    assert (run.state, run.reason) == ("waiting", "status")
    assert (run.wake_at - world.clock.now()).total_seconds() == 10
    assert "Press accepted this" in run.sentence
    assert world.steps(ticket)["s1"].state == "accepted"
    assert _ask(world, ticket).reason == "status"
    assert _ask(world, ticket).state == "succeeded"
    step = world.steps(ticket)["s1"]
    assert (step.state, step.output) == ("succeeded", {"url": "u"})
    assert [(call.method, call.status) for call in world.calls(ticket)] == [
        ("POST", 202),
        ("GET", 200),
        ("GET", 200),
        ("POST", 200),
    ]


def test_woken_too_early_it_asks_nothing(world: World) -> None:
    _accepts(world)
    ticket = _run(world, install(world, "print", CHECK))
    world.again(ticket)
    assert world.state(ticket).reason == "status"
    assert len(world.calls(ticket)) == 1


def test_an_answer_that_is_final_at_once_is_taken_as_it_is(world: World) -> None:
    world.service.answers("POST", "/print", (200, {"result": 1}))
    assert world.state(_run(world, install(world, "print", CHECK))).state == "succeeded"


def test_a_failure_that_the_service_reports_later_is_a_dead_letter_with_its_words(world: World) -> None:
    _accepts(world)
    world.service.answers("GET", "/jobs/7", {"state": "failed", "why": "No paper left."})
    ticket = _run(world, install(world, "print", CHECK))
    run = _ask(world, ticket)
    assert run.state == "dead"
    assert "No paper left." in run.sentence


def test_what_is_never_done_ends_with_its_deadline(world: World) -> None:
    _accepts(world)
    world.service.answers("GET", "/jobs/7", {"state": "busy"})
    ticket = _run(world, install(world, "print", CHECK))
    for _ in range(40):
        if _ask(world, ticket).state != "waiting":
            break
    run = world.state(ticket)
    assert (run.state, run.error_kind) == ("dead", "unavailable")
    assert "has not said that it is done" in run.sentence
    assert len(world.service.requests) <= 32


def test_a_service_that_is_away_for_a_moment_is_asked_again(world: World) -> None:
    _accepts(world)
    world.service.answers("GET", "/jobs/7", 503, {"state": "done", "result": 1})
    ticket = _run(world, install(world, "print", CHECK))
    assert _ask(world, ticket).reason == "status"
    assert _ask(world, ticket).state == "succeeded"


def test_a_job_that_is_gone_fails_the_step(world: World) -> None:
    _accepts(world)
    world.service.answers("GET", "/jobs/7", (404, {"message": "no such job"}))
    assert _ask(world, _run(world, install(world, "print", CHECK))).state == "dead"


def test_an_acceptance_that_names_no_place_to_ask_says_so(world: World) -> None:
    world.service.answers("POST", "/print", (202, {"id": 7}))
    run = world.state(_run(world, install(world, "print", CHECK)))
    assert run.state == "dead"
    assert "did not say where to ask" in run.sentence


def test_a_question_of_its_own_sees_what_the_first_answer_said(world: World) -> None:
    world.service.answers("POST", "/print", {"mode": "queued", "job": {"id": "a 7"}})
    world.service.answers("GET", "/jobs/a 7", 202, 404, {"fine": True})
    ticket = _run(world, install(world, "print", OWN_QUESTION))
    for _ in range(2):
        assert _ask(world, ticket, 30).reason == "status"
    assert _ask(world, ticket, 30).state == "succeeded"
    assert world.steps(ticket)["s1"].output == {"fine": True}


def test_a_place_to_ask_at_another_host_gets_no_credentials(world: World) -> None:
    world.service.answers("POST", "/print", (202, {}, {"Location": "https://evil.example/jobs"}))
    connection = world.connect(connector="press", auth="token", public={})
    step = install(world, "print", CHECK) | {"connection_id": connection}
    run = _ask(world, _run(world, step))
    assert run.state == "dead"
    assert [request.host for request in world.service.requests] == ["api.example.com"]


def test_a_cancelled_run_asks_no_more(world: World) -> None:
    _accepts(world)
    ticket = _run(world, install(world, "print", CHECK))
    cancel(ANA, world.parts, ticket.run_id)
    assert _ask(world, ticket).state == "cancelled"
    assert len(world.service.requests) == 1


# -------------------------------------------------------------------------------------- callback


def _address(world: World) -> str:
    return str(world.service.requests[0].json["tell"]).rpartition("/")[2]


def _call_back(world: World, token: str, document: Any, method: str = "POST") -> Any:
    import orjson

    return accept(
        world.parts.intake,
        token,
        method=method,
        path_url=f"/hooks/{token}",
        query="",
        headers=[("Content-Type", "application/json")],
        body=orjson.dumps(document),
        remote_addr="127.0.0.1",
    )


def test_a_run_goes_on_with_what_the_service_calls_back_with(world: World) -> None:
    world.service.answers("POST", "/print", 202)
    world.service.answers("POST", "/next", {})
    hand_over(world.parts, lambda tickets: None)
    ticket = _run(world, install(world, "print", CALLBACK), http("s2", "/next"))
    run = world.state(ticket)
    assert (run.state, run.reason) == ("waiting", "callback")
    assert (run.wake_at - world.clock.now()).total_seconds() == 7200
    woken: list[Any] = []
    hand_over(world.parts, woken.extend)
    accepted = _call_back(world, _address(world), {"ok": True, "pages": 3})
    assert (accepted.status, accepted.state) == (200, "callback")
    assert [one.run_id for one in woken] == [ticket.run_id]
    world.perform(woken[0])
    assert world.state(ticket).state == "succeeded"
    assert world.steps(ticket)["s1"].output == {"ok": True, "pages": 3}
    assert _call_back(world, _address(world), {"ok": True}).duplicate is True


def test_a_callback_that_is_faster_than_the_answer_is_not_lost(world: World) -> None:
    def answer(got: Any) -> Any:
        _call_back(world, str(got.json["tell"]).rpartition("/")[2], {"ok": True, "early": 1})
        return 202

    world.service.answers("POST", "/print", answer)
    ticket = _run(world, install(world, "print", CALLBACK))
    assert world.state(ticket).state == "succeeded"
    assert world.steps(ticket)["s1"].output == {"ok": True, "early": 1}


def test_a_callback_that_says_no_fails_the_step(world: World) -> None:
    world.service.answers("POST", "/print", 202)
    ticket = _run(world, install(world, "print", CALLBACK))
    world.parts.engine.enqueue = lambda tickets: None  # type: ignore[method-assign]
    _call_back(world, _address(world), {"ok": False, "why": "Jam."})
    world.again(ticket)
    assert world.state(ticket).state == "dead"
    assert "Jam." in world.state(ticket).sentence


def test_a_callback_that_never_comes_ends_with_its_deadline(world: World) -> None:
    world.service.answers("POST", "/print", 202)
    ticket = _run(world, install(world, "print", CALLBACK))
    run = _ask(world, ticket, 7300)
    assert run.state == "dead"
    assert "has not called back" in run.sentence


def test_nobody_can_make_up_the_address_of_a_run(world: World) -> None:
    world.service.answers("POST", "/print", 202)
    ticket = _run(world, install(world, "print", CALLBACK))
    token = _address(world)
    for wrong in (token[:-1] + ("A" if token[-1] != "A" else "B"), "cb_" + "0" * 20 + token[23:]):
        with pytest.raises(NotFound):
            _call_back(world, wrong, {"ok": True})
    assert world.state(ticket).reason == "callback"


def test_the_address_is_the_same_for_each_attempt(world: World) -> None:
    world.service.answers("POST", "/print", 503, 202)
    ticket = _run(world, install(world, "print", CALLBACK))
    world.clock.advance(100)
    world.again(ticket)
    first, second = (got.json["tell"] for got in world.service.requests)
    assert first == second
    assert world.state(ticket).reason == "callback"
