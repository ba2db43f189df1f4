"""What failed for the same reason shares a cause; what goes well has none."""

from __future__ import annotations

from typing import Any

from app.storage.letters.dead_letters import cause_of, count, groups, parse_cause
from tests.engine.world import World, http


def causes(world: World) -> list[tuple[int, str, str, str]]:
    with world.parts.database.read() as db:
        found = groups(db, limit=50)
    return [(one.count, one.what.step_id, one.what.error_kind, one.what.about) for one in found]


def test_a_run_that_goes_well_has_no_cause(world: World) -> None:
    world.service.answers("POST", "/contacts", {"id": 1})
    ticket = world.run(http("s1", "/contacts"))
    assert world.state(ticket).state == "succeeded"
    assert world.state(ticket).cause is None
    assert causes(world) == []


def test_refusals_of_one_step_by_one_service_share_a_cause(world: World) -> None:
    world.service.answers("POST", "/contacts", (422, {"message": "no such list"}))
    flow = world.live(http("s1", "/contacts"))
    for name in ("ada", "bo"):
        world.perform(world.event(flow, {"email": f"{name}@example.com"}))
    assert causes(world) == [(2, "s1", "invalid_payload", "api.example.com 422")]
    with world.parts.database.read() as db:
        assert count(db) == 2
        (group,) = groups(db, limit=5, flow_id=flow[0])
        assert groups(db, limit=5, flow_id="flow_other") == []
    assert group.flow_name == "A flow"
    assert "422" in group.sentence
    assert group.first_at <= group.last_at


def test_another_status_or_step_is_another_cause(world: World) -> None:
    world.service.answers("POST", "/a", (422, {}), (404, {}))
    world.service.answers("POST", "/b", (422, {}))
    flow = world.live(http("s1", "/a"))
    world.perform(world.event(flow, {"email": "ada@example.com"}))
    world.perform(world.event(flow, {"email": "ada@example.com"}))
    world.run(http("s2", "/b"))
    assert sorted(about for _, _, _, about in causes(world)) == [
        "api.example.com 404",
        "api.example.com 422",
        "api.example.com 422",
    ]


def test_a_field_that_cannot_be_filled_is_named(world: World) -> None:
    world.run({"kind": "email", "id": "s1", "to": "{{trigger:$.mail}}", "subject": "Hello", "text": "Hi"})
    assert causes(world) == [(1, "s1", "invalid_payload", "field To")]


def test_the_items_of_a_loop_share_their_cause(world: World) -> None:
    world.service.answers("POST", "/contacts", (422, {}))
    loop: dict[str, Any] = {"kind": "for_each", "id": "s1", "items": "{{trigger:$.people}}"}
    loop["steps"] = [http("s2", "/contacts")]
    ticket = world.run(loop, payload={"email": "ada@example.com", "people": [1, 2]})
    assert world.state(ticket).position == "s1[0].s2"
    assert causes(world) == [(1, "s2", "invalid_payload", "api.example.com 422")]


def test_a_flow_that_says_stop_as_failed_has_its_step_as_the_cause(world: World) -> None:
    world.run({"kind": "stop", "id": "s1", "outcome": "failed", "message": "No consent"})
    assert causes(world) == [(1, "s1", "", "")]


def test_a_test_of_the_whole_flow_is_no_dead_letter(world: World) -> None:
    from sqlalchemy import update

    from app.storage.tables.models import Run

    world.service.answers("POST", "/contacts", (422, {}))
    ticket = world.event(world.live(http("s1", "/contacts")), {"email": "ada@example.com"})
    world.parts.database.write(lambda db: db.execute(update(Run).values(source="test")))
    world.perform(ticket)
    assert world.state(ticket).state == "dead"
    assert causes(world) == []


def test_many_failures_of_one_commit_keep_their_own_causes(world: World) -> None:
    """They are written by one statement."""
    from app.storage.database.writer import Rows
    from app.storage.history import progress

    flow = world.live(http("s1", "/contacts"))
    tickets = [world.event(flow, {"email": "ada@example.com"}) for _ in range(20)]
    rows: Rows = []
    for number, ticket in enumerate(tickets):
        facts: dict[str, Any] = {"state": "dead", "reason": "", "wake_at": None, "sentence": "No."}
        facts |= {"finished_at": world.clock.now(), "position": "s1", "error_kind": "gone"}
        facts |= {"findings": 0, "calls": 0, "cause": cause_of(flow[0], "s1", "gone", f"host {number}")}
        rows.append((progress.RUN_FAIL, progress.run_change(ticket.run_id, **facts)))
    world.parts.database.writer.write_rows(rows)
    assert [world.state(ticket).cause.rsplit(" ", 1)[1] for ticket in tickets] == [str(n) for n in range(20)]


def test_a_cause_is_short_and_can_be_taken_apart_whatever_a_service_says() -> None:
    hostile = "a|b\x00c\n" + "x" * 5000 + "\ud800"
    cause = cause_of("flow_1", "s5[2].s6", None, hostile)
    assert len(cause) < 200
    what = parse_cause(cause)
    assert (what.flow_id, what.step_id, what.error_kind) == ("flow_1", "s6", "")
    assert what.about.startswith("a b c xxx")
    assert parse_cause("") == parse_cause("|||")
