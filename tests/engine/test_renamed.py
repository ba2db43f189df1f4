"""A form tool calls a field something else: it is noticed at the first record, and nothing is blanked."""

from __future__ import annotations

from typing import Any

import pytest

from app.engine.steps.renamed import RenamedFields
from app.storage.flows.flows import set_sample
from app.storage.flows.renamed_fields import LOOKED_AT, renamed_fields
from tests.engine.world import World, http, when

MAIL = {"kind": "email", "id": "s1", "to": "{{trigger:$.email}}", "subject": "Hello", "text": "Hi"}
LEAD = {"email": "ada@example.com", "first_name": "Ada", "city": "Porto"}
NOW = {"email_address": "bo@example.com", "first_name": "Bo", "city": "Faro"}


def noticed(world: World) -> list[tuple[str, str]]:
    with world.parts.database.read() as db:
        return [(row.place, row.new_path) for row in renamed_fields(db)]


def sampled(world: World, *steps: dict[str, Any], sample: Any = LEAD, **more: Any) -> tuple[str, str]:
    flow = world.live(*steps, **more)
    world.parts.database.write(lambda db: set_sample(db, flow[0], sample))
    return flow


def test_a_required_field_stops_the_run_with_the_new_name(world: World) -> None:
    ticket = world.event(sampled(world, MAIL), NOW)
    world.perform(ticket)
    run = world.state(ticket)
    assert run.state == "dead"
    assert run.sentence == (
        "To: the field “email” is no longer there. It looks like it is called “email_address” now."
    )
    assert noticed(world) == [("trigger:$['email']", "$['email_address']")]
    assert "new name" in world.steps(ticket)["s1"].remedy


def test_an_optional_field_is_left_out_and_noticed(world: World) -> None:
    world.service.answers("POST", "/contacts", {"id": 1})
    body = [{"name": "email", "mapping": "{{$.email}}"}, {"name": "name", "mapping": "{{$.first_name}}"}]
    ticket = world.event(sampled(world, http("s1", "/contacts", request={"body": body})), NOW)
    world.perform(ticket)
    assert world.state(ticket).state == "succeeded"
    assert world.service.requests[-1].body == b'{"name":"Bo"}'
    assert noticed(world) == [("trigger:$['email']", "$['email_address']")]


def test_earlier_records_say_what_was_there_when_there_is_no_sample(world: World) -> None:
    world.service.answers("POST", "/contacts", {"id": 1})
    flow = world.live(http("s1", "/contacts"))
    world.perform(world.event(flow, LEAD))
    world.perform(world.event(flow, LEAD))
    assert noticed(world) == []
    world.perform(world.event(flow, NOW))
    assert noticed(world) == [("trigger:$['email']", "$['email_address']")]


def test_after_a_restart_the_name_is_still_known_when_no_old_record_is_near(world: World) -> None:
    flow = world.live(MAIL)
    world.event(flow, LEAD)
    for _ in range(2):
        world.perform(world.event(flow, NOW))
    runs = world.parts.engine.runs
    for _ in range(LOOKED_AT):
        world.event(flow, NOW)
    runs.renamed = RenamedFields(world.parts.database, runs._read)
    ticket = world.event(flow, NOW)
    world.perform(ticket)
    assert "It looks like it is called “email_address” now." in world.state(ticket).sentence


def test_a_database_that_fails_meanwhile_only_costs_the_proposal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the database is away")

    monkeypatch.setattr("app.engine.steps.renamed.sample_of", away)
    ticket = world.event(sampled(world, MAIL), NOW)
    world.perform(ticket)
    assert world.state(ticket).sentence.startswith("To is empty: nothing was found at email.")
    assert noticed(world) == []


def test_a_value_that_only_some_records_have_is_no_news(world: World) -> None:
    world.service.answers("POST", "/contacts", {"id": 1})
    flow = sampled(world, http("s1", "/contacts"))
    for record in ({"first_name": "Bo"}, {"email": None}, {"first_name": "Cy", "vip": True}, {}):
        world.perform(world.event(flow, record))
    assert noticed(world) == []


def test_all_fields_that_were_renamed_together_are_noticed_at_once(world: World) -> None:
    rename = {"kind": "set", "id": "s2", "values": [{"name": "town", "mapping": "{{$.city | upper}}"}]}
    world.perform(
        world.event(sampled(world, MAIL, rename), {"email_address": "bo@x.example", "city_name": "Faro"})
    )
    assert noticed(world) == [
        ("trigger:$['city']", "$['city_name']"),
        ("trigger:$['email']", "$['email_address']"),
    ]


@pytest.mark.parametrize(("operator", "value"), [("contains", "@"), ("is_not_empty", ""), ("exists", "")])
def test_a_filter_that_looks_at_a_renamed_field_is_noticed(world: World, operator: str, value: str) -> None:
    step = {"kind": "filter", "id": "s1", "conditions": when("email", operator, value)}
    ticket = world.event(sampled(world, step), NOW)
    world.perform(ticket)
    assert world.state(ticket).state == "filtered"
    assert noticed(world) == [("trigger:$['email']", "$['email_address']")]


def test_so_are_paths_and_the_items_of_a_loop(world: World) -> None:
    paths = {
        "kind": "paths",
        "id": "s1",
        "paths": [
            {"id": "p1", "name": "Porto", "conditions": when("city", "equals", "Porto"), "steps": []},
            {"id": "p2", "name": "Everyone else", "steps": []},
        ],
    }
    name = {"kind": "set", "id": "s3", "values": [{"name": "n", "mapping": "{{s2:$['item']['title']}}"}]}
    loop = {"kind": "for_each", "id": "s2", "items": "{{$.items}}", "steps": [name]}
    sample = {"city": "Porto", "items": [{"title": "Socks", "price": 3}]}
    record = {"city_name": "Porto", "items": [{"product_title": "Shoes", "price": 9}]}
    world.perform(world.event(sampled(world, paths, loop, sample=sample), record))
    assert noticed(world) == [
        ("s2:$['item']['title']", "$['item']['product_title']"),
        ("trigger:$['city']", "$['city_name']"),
    ]
