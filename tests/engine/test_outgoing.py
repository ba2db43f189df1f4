"""What becomes of a call that fails, waits, or whose outcome nobody knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import httpx
from sqlalchemy import select

from app.engine.holds import release_connection
from app.engine.replay import decide
from app.storage.tables.models import Connection, StepRecord
from tests.engine.world import World, http
from tests.fakes.service import Received


class Tickets:
    """A dispatcher that only remembers."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def enqueue(self, tickets: object) -> None:
        self.ids.extend(ticket.run_id for ticket in tickets)  # type: ignore[attr-defined]


def test_a_call_that_changes_something_is_on_disk_as_started_before_it_goes_out(world: World) -> None:
    seen: list[str] = []

    def look(_got: Received) -> dict[str, bool]:
        with world.parts.database.read() as db:
            seen.extend(db.scalars(select(StepRecord.state)))
        return {}

    world.service.answers("POST", "/x", look)
    world.run(http("s1", "/x"))
    assert seen == ["started"]


def test_a_rate_limit_waits_as_long_as_asked_and_goes_on_with_the_same_key(world: World) -> None:
    world.service.answers("POST", "/x", (429, {"message": "slow down"}, {"Retry-After": "7200"}), {})
    ticket = world.run(http("s1", "/x"))
    run = world.state(ticket)
    assert (run.state, run.reason, run.position) == ("waiting", "rate_limit", "s1")
    assert run.wake_at >= world.clock.now() + timedelta(seconds=7200)
    world.clock.advance(8000)
    world.again(ticket)
    calls = world.calls(ticket)
    assert world.state(ticket).state == "succeeded"
    assert [(call.attempt, call.status) for call in calls] == [(1, 429), (2, 200)]
    assert len({call.idempotency_key for call in calls}) == 1


def test_a_permanent_no_is_a_dead_letter_with_the_services_words(world: World) -> None:
    world.service.answers("POST", "/x", (422, {"message": "Phone must be in international format."}))
    run = world.state(world.run(http("s1", "/x")))
    assert (run.state, run.error_kind) == ("dead", "invalid_payload")
    assert "Phone must be in international format" in run.sentence


def test_a_step_without_retry_gives_up_at_once(world: World) -> None:
    world.service.answers("POST", "/x", 503)
    assert world.state(world.run(http("s1", "/x", retry={"preset": "none"}))).state == "dead"


def test_a_lost_connection_after_sending_is_asked_about_when_it_may_not_be_repeated(world: World) -> None:
    world.service.answers("POST", "/sms", httpx.ReadTimeout("no answer"), {})
    ticket = world.run(http("s1", "/sms"))
    run = world.state(ticket)
    assert (run.state, run.reason, run.wake_at) == ("waiting", "unknown", None)
    assert world.steps(ticket)["s1"].state == "unknown"
    decided = world.parts.database.write(lambda db: decide(db, ticket.run_id, was_sent=False))
    world.again(ticket)
    assert decided.run_id == ticket.run_id
    assert world.state(ticket).state == "succeeded"
    assert len(world.service.requests) == 2


def test_what_a_person_saw_at_the_service_is_never_sent_again(world: World) -> None:
    world.service.answers("POST", "/sms", httpx.ReadTimeout("no answer"))
    world.service.answers("POST", "/after", {})
    ticket = world.run(http("s1", "/sms"), http("s2", "/after"))
    world.parts.database.write(lambda db: decide(db, ticket.run_id, was_sent=True))
    world.again(ticket)
    assert [request.path for request in world.service.requests] == ["/sms", "/after"]
    assert world.state(ticket).state == "succeeded"


def _stop_in_mid_call(world: World, step: dict[str, object]) -> object:
    """The rows as they are when the server ended while the call was under way."""
    ticket = world.event(world.live(step), {"email": "ada@example.com"})
    from app.storage.history import progress

    row = progress.step_begins(ticket.run_id, "s1", at=world.clock.now(), attempt=1)
    change = {"state": "running", "reason": "", "wake_at": None, "position": "s1"}
    begun = progress.run_change(ticket.run_id, started_at=world.clock.now(), **change)
    rows = [(progress.STEP_BEGIN, row), (progress.RUN_BEGIN, begun)]
    world.parts.database.writer.write_rows(rows)
    return ticket


def test_after_a_stop_a_repeatable_call_is_sent_again_and_the_lost_one_is_on_record(world: World) -> None:
    world.service.answers("POST", "/x", {})
    ticket = _stop_in_mid_call(world, http("s1", "/x", repeat="safe"))
    world.again(ticket)
    lost, sent = world.calls(ticket)
    assert (lost.attempt, lost.status, lost.duration_ms) == (1, None, None)
    assert "may have received" in lost.sentence
    assert (sent.attempt, sent.status) == (2, 200)
    assert lost.idempotency_key == sent.idempotency_key
    assert world.state(ticket).state == "succeeded"


def test_after_a_stop_a_call_that_may_do_harm_twice_is_laid_before_a_person(world: World) -> None:
    ticket = _stop_in_mid_call(world, http("s1", "/sms"))
    world.again(ticket)
    run = world.state(ticket)
    assert (run.state, run.reason) == ("waiting", "unknown")
    assert world.service.requests == []
    assert [call.status for call in world.calls(ticket)] == [None]


def test_a_revoked_key_holds_the_connection_and_every_run_goes_out_once_after_mending(world: World) -> None:
    world.service.answers("POST", "/x", (401, {"message": "revoked"}), {}, {})
    connection = world.connect()
    request = {"connection_id": connection}
    flow = world.live(http("s1", "/x", request=request))
    tickets = [world.event(flow, {"email": f"{n}@example.com"}) for n in range(3)]
    for ticket in tickets:
        world.perform(ticket)
    assert [world.state(ticket).reason for ticket in tickets] == ["held_connection"] * 3
    assert len(world.service.requests) == 1, "the others did not even try"
    assert _state_of(world, connection) == "broken"
    released = Tickets()
    parts = world.parts
    assert release_connection(replace(parts, dispatcher=released), connection) == 3
    assert released.ids == [ticket.run_id for ticket in tickets]
    for ticket in tickets:
        world.again(ticket)
    assert [world.state(ticket).state for ticket in tickets] == ["succeeded"] * 3
    emails = [request.json["email"] for request in world.service.requests]
    assert emails == ["0@example.com", "0@example.com", "1@example.com", "2@example.com"]


def _state_of(world: World, connection_id: str) -> str:
    with world.parts.database.read() as db:
        return db.scalar(select(Connection.state).where(Connection.id == connection_id)) or ""


def test_no_secret_of_a_connection_reaches_the_database(world: World) -> None:
    world.service.answers("POST", "/x", lambda got: {"you_sent": got.headers["authorization"]})
    request = {"connection_id": world.connect()}
    ticket = world.run(http("s1", "/x", request=request))
    assert world.service.requests[0].headers["authorization"] == "Bearer s3cr3t-token-value"
    call = world.calls(ticket)[0]
    assert b"s3cr3t" not in call.answer_body
    assert "s3cr3t" not in str(call.request_headers)
    assert "s3cr3t" not in str(world.steps(ticket)["s1"].output)
    world.parts.database.writer.write(lambda db: db.exec_driver_sql("SELECT 1"))
    file = world.parts.settings.data_dir
    kept = b"".join(path.read_bytes() for path in file.glob("plumbline.db*"))
    assert b"s3cr3t-token-value" not in kept
