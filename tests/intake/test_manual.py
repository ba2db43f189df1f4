"""Runs that a person starts."""

from __future__ import annotations

import pytest

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.errors import FlowInvalid, NotFound
from app.intake.manual import start_run
from app.storage.flows import flows
from tests.intake.conftest import Server


def test_a_run_by_hand_has_the_data_that_was_given_even_when_the_flow_is_off(server: Server) -> None:
    flow_id = server.draft({"kind": "manual"})
    flow_commands.publish(SHELL, server, flow_id)
    run_id = start_run(server, flow_id, {"email": "a@b.c"}, by="usr_1")
    assert server.engine.tickets[0].run_id == run_id
    assert server.events() == [{"email": "a@b.c"}]


def test_a_held_flow_keeps_a_run_by_hand_waiting(server: Server) -> None:
    flow_id = server.live({"kind": "manual"})
    server.database.write(lambda db: flows.set_held(db, flow_id, True, now=server.clock.now()))
    start_run(server, flow_id, {})
    assert (server.runs(), server.engine.tickets) == ([("waiting", "held_flow")], [])


def test_what_cannot_run_says_why(server: Server) -> None:
    with pytest.raises(FlowInvalid, match="never published"):
        start_run(server, server.draft({"kind": "manual"}), {})
    with pytest.raises(NotFound):
        start_run(server, "flow_none", {})
    flow_id = server.live({"kind": "manual"})
    for payload in ({"x": {1, 2}}, {"x": "\udcff"}, {"x": object()}, {"x": 2**70}):
        with pytest.raises(FlowInvalid, match="JSON"):
            start_run(server, flow_id, payload)
    assert server.runs() == []
