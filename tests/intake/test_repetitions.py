"""The same delivery again: known by what the flow says, counted, and remembered for a month."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.intake.deliveries.inbound import Inbound
from app.intake.deliveries.places import document_of
from app.intake.deliveries.repetition import Reading, arrivals_of
from app.storage.history.events import KEYS_KEPT
from app.storage.tables.models import Event, Turn
from app.storage.upkeep.keep_rules import Rule, Rules
from app.storage.upkeep.retention import prune
from tests.intake.conftest import Server

ORDER = {"email": "lena@example.com", "order_number": 1042}


def _flow(server: Server, token: str) -> str:
    found = server.intake.deliveries.addresses.find(token)
    assert found is not None
    return found.facts.flow_id


def test_a_flow_may_take_each_delivery_as_new_whatever_id_it_has(server: Server) -> None:
    token = server.hook(dedupe="none")
    for _ in range(3):
        assert server.send(token, ORDER, headers={"webhook-id": "msg_1"}).duplicate is False
    assert len(server.runs()) == 3


def test_a_repeat_is_known_after_the_flow_was_off_and_published_anew(server: Server) -> None:
    token = server.hook()
    server.send(token, ORDER, headers={"webhook-id": "msg_1"})
    flow_id = _flow(server, token)
    flow_commands.switch_off(SHELL, server, flow_id)
    server.edit(flow_id, {"kind": "webhook"}, description="Edited.")
    flow_commands.switch_on(SHELL, server, flow_id)
    assert server.send(token, ORDER, headers={"webhook-id": "msg_1"}).duplicate is True
    assert len(server.runs()) == 1


def test_a_repeat_is_known_for_longer_than_any_sender_tries(server: Server) -> None:
    token = server.hook(dedupe="$.order_number")
    server.send(token, ORDER)
    assert timedelta(days=7) <= KEYS_KEPT
    server.clock.advance(KEYS_KEPT.total_seconds() - 60)
    prune(server.database, now=server.clock.now(), rules=Rules(Rule(1, 1)))
    assert server.send(token, ORDER).duplicate is True
    server.clock.advance(120)
    prune(server.database, now=server.clock.now(), rules=Rules(Rule(1, 1)))
    assert server.send(token, ORDER).duplicate is False


def test_repeats_are_counted_at_the_event(server: Server) -> None:
    token = server.hook(dedupe="$.order_number")
    for _ in range(4):
        server.send(token, ORDER)
    with server.database.read() as db:
        assert list(db.scalars(select(Event.duplicates))) == [3]


def test_a_delivery_of_which_some_records_had_come_before_says_so(server: Server) -> None:
    token = server.hook(items="$[*]", dedupe="$.id")
    server.send(token, [{"id": 1}, {"id": 2}])
    accepted = server.send(token, [{"id": 2}, {"id": 3}, {"id": 4}])
    assert accepted.duplicate is False
    assert len(server.runs()) == 4
    assert server.deliveries()[-1] == ("accepted", "1 of its 3 records had come before.")


def test_the_header_with_the_id_that_is_signed_tells_deliveries_apart(server: Server) -> None:
    reading = Reading(id_header="X-Message")
    for message in ("m1", "m1"):
        inbound = Inbound("dlv_1", server.clock.now(), "POST", "/hooks/x", "", [], b"{}", "127.0.0.1")
        inbound.by_name = {"x-message": message, "x-event-id": "other"}
        found = arrivals_of(reading, inbound, document_of(inbound))
        assert [new.dedupe_key for new in found] == ["m1"]


def test_events_of_one_key_take_their_places_as_they_come(server: Server) -> None:
    flow_id = server.live({"kind": "webhook"}, one_by_one="{{trigger:$.email}}")
    token = server.token(flow_id)
    for email in ("ada@x.org", "Ada@X.org", "bob@x.org", ""):
        server.send(token, {"email": email})
    with server.database.read() as db:
        places = list(db.scalars(select(Turn.key).order_by(Turn.run_id)))
    assert places == ["ada@x.org", "ada@x.org", "bob@x.org"]
