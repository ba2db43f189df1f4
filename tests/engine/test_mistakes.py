"""What becomes of a run in which Plumbline itself makes a mistake."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.engine import interpret
from tests.engine.world import World, http


def _broken(times: int, work: Any) -> Any:
    left = [times]

    async def perform(*args: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise ZeroDivisionError
        return await work(*args)

    return perform


def test_a_mistake_before_anything_was_sent_is_tried_once_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpret, "perform_http", _broken(1, interpret.perform_http))
    world.service.answers("POST", "/x", {})
    ticket = world.run(http("s1", "/x"))
    run = world.state(ticket)
    assert (run.state, run.reason) == ("waiting", "retry")
    assert run.wake_at == world.clock.now() + timedelta(seconds=30)
    assert "ZeroDivisionError" in run.sentence
    world.clock.advance(30)
    world.again(ticket)
    assert world.state(ticket).state == "succeeded"
    assert len(world.service.requests) == 1


def test_the_second_mistake_lays_the_run_before_a_person(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpret, "perform_http", _broken(2, interpret.perform_http))
    ticket = world.run(http("s1", "/x"))
    world.clock.advance(30)
    world.again(ticket)
    assert world.state(ticket).state == "dead"
    assert world.service.requests == []


def test_a_mistake_after_the_call_never_sends_it_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def perform(ctx: Any, step: Any, scope: Any, key: str) -> Any:
        await work(ctx, step, scope, key)
        raise ZeroDivisionError

    work = interpret.perform_http
    monkeypatch.setattr(interpret, "perform_http", perform)
    world.service.answers("POST", "/x", {})
    ticket = world.run(http("s1", "/x"))
    assert world.state(ticket).state == "dead"
    assert len(world.service.requests) == 1


def test_a_gateway_that_gave_up_is_not_sent_again_unknowingly(world: World) -> None:
    world.service.answers("POST", "/sms", 504)
    run = world.state(world.run(http("s1", "/sms")))
    assert (run.state, run.reason, run.wake_at) == ("waiting", "unknown", None)


def test_a_gateway_that_gave_up_is_tried_again_where_that_is_safe(world: World) -> None:
    world.service.answers("POST", "/x", 502).answers("GET", "/y", 504)
    for step in (http("s1", "/x", repeat="safe"), http("s1", "/y", "GET")):
        run = world.state(world.run(step))
        assert (run.state, run.reason) == ("waiting", "retry")
