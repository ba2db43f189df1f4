"""Services are told where to send when a flow goes on, reminded, and told to stop when it goes off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import select

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.errors import DeliveryRefused
from app.intake.subscriptions import rows as subscriptions
from app.storage.connections.connections import mark_checked
from app.storage.flows import subscriptions as store
from app.storage.flows.flows import delete_flow
from app.storage.flows.standstill import hold_everything
from app.storage.flows.subscriptions import SubscriptionRow
from app.storage.tables.models import Call
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService
from tests.intake.conftest import Server
from tests.intake.letters import Letters, install
from tests.intake.test_verification import connect, trigger


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
def server(
    tmp_path: Path,
    clock: FakeClock,
    service: FakeService,
    database_kind: str,
    request: pytest.FixtureRequest,
) -> Iterator[Server]:
    install(tmp_path / "connectors")
    url = request.getfixturevalue("postgres_url") if database_kind == "postgresql" else ""
    server = Server(tmp_path, clock, service, database_url=url)
    yield server
    server.close()


@pytest.fixture
def letters(service: FakeService) -> Letters:
    return Letters(service)


def tell(server: Server) -> None:
    """As the clock does every second, until nothing is due."""
    for _ in range(10):
        futures = server.intake.ticks.tell_services()
        for future in futures:
            future.result(60)
        if not futures:
            return
    raise AssertionError("there is always something to tell")


def account(server: Server, **secrets: str) -> str:
    return connect(server, "letters", token="t0ken-of-letters", **secrets)


def reading(name: str = "new_reader", connection: str = "con_letters", list_id: str = "7") -> dict[str, Any]:
    return trigger("letters", name, connection, input={"list_id": list_id})


def live(server: Server, name: str = "new_reader", **more: Any) -> str:
    if not server.database.write(lambda db: store.of_connection(db, "con_letters")):
        account(server)
    flow_id = server.live(reading(name, **more))
    tell(server)
    return flow_id


def rows(server: Server, flow_id: str) -> list[SubscriptionRow]:
    with server.database.read() as db:
        return store.of_flow(db, flow_id)


def row(server: Server, flow_id: str) -> SubscriptionRow:
    with server.database.read() as db:
        found = store.current(db, flow_id)
    assert found is not None
    return found


def calls(server: Server, made_for: str) -> list[Any]:
    with server.database.read() as db:
        return list(db.execute(select(*Call.__table__.columns).where(Call.made_for == made_for)))


def move(server: Server, public_url: str) -> None:
    """The server is reached elsewhere from now on, as after a start with another setting."""
    server.set(public_url=public_url)
    server.intake.ticks._has_settled = False


# ------------------------------------------------------------------------------------ on and off


@pytest.mark.postgres
def test_a_flow_that_goes_on_tells_the_service_its_address(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    (told,) = letters.hooks.values()
    assert told["url"] == flow_commands.create_address(SHELL, server, flow_id)
    assert told["name"] == row(server, flow_id).tag
    assert re.fullmatch("[0-9a-f]{64}", told["key"])
    assert (row(server, flow_id).state, row(server, flow_id).vendor_id) == ("live", "h1")
    assert row(server, flow_id).since == server.clock.now()


def test_publishing_alone_tells_nobody_while_the_flow_is_off(server: Server, letters: Letters) -> None:
    account(server)
    flow_id = server.draft(reading())
    flow_commands.publish(SHELL, server, flow_id)
    tell(server)
    assert (letters.hooks, rows(server, flow_id)) == ({}, [])


@pytest.mark.postgres
def test_a_flow_that_goes_off_ends_it_at_the_service(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    flow_commands.switch_off(SHELL, server, flow_id)
    tell(server)
    assert letters.hooks == {}
    (ended,) = rows(server, flow_id)
    assert (ended.state, ended.ended_at) == ("gone", server.clock.now())


def test_on_off_and_on_again_leaves_one(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    flow_commands.switch_off(SHELL, server, flow_id)
    flow_commands.switch_on(SHELL, server, flow_id)
    tell(server)
    assert list(letters.hooks) == ["h2"]
    assert row(server, flow_id).vendor_id == "h2"


def test_publishing_again_without_another_trigger_tells_nothing(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    before = len(letters.service.requests)
    server.edit(flow_id, reading(), description="Better words.")
    tell(server)
    assert len(letters.service.requests) == before


def test_another_list_is_a_new_one_and_the_old_one_ends(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    server.edit(flow_id, reading(list_id="8"))
    tell(server)
    assert [one.path for one in letters.made_calls()] == ["/v1/lists/7/hooks", "/v1/lists/8/hooks"]
    assert list(letters.hooks) == ["h2"]


def test_the_one_that_ends_is_not_taken_for_the_new_one(server: Server, letters: Letters) -> None:
    account(server, signing_key="entered-by-hand")  # so that one that is there could be taken over
    flow_id = server.live(reading())
    tell(server)
    server.edit(flow_id, reading(list_id="8"))
    tell(server)
    assert list(letters.hooks) == ["h2"]
    assert row(server, flow_id).vendor_id == "h2"


def test_another_address_is_told_before_the_old_one_ends(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    address = flow_commands.replace_address(SHELL, server, flow_id)
    tell(server)
    methods = [one.method for one in letters.service.requests if one.method != "GET"]
    assert methods == ["POST", "POST", "DELETE"]
    assert [hook["url"] for hook in letters.hooks.values()] == [address]


def test_a_deleted_flow_has_nothing_left_at_the_service(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    flow_commands.switch_off(SHELL, server, flow_id)
    server.database.write(lambda db: delete_flow(db, flow_id, now=server.clock.now()))
    tell(server)
    assert letters.hooks == {}


def test_another_public_address_is_told_after_a_start(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    move(server, "https://new.example")
    tell(server)
    assert [hook["url"] for hook in letters.hooks.values()] == [
        flow_commands.create_address(SHELL, server, flow_id)
    ]


def test_nothing_is_told_while_everything_is_held(server: Server, letters: Letters) -> None:
    account(server)
    flow_id = server.live(reading())
    server.database.write(lambda db: hold_everything(db, now=server.clock.now()))
    assert server.intake.ticks.tell_services() == []
    assert row(server, flow_id).state == "asked"


# ------------------------------------------------------------------------------------- secrets


def deliver(server: Server, letters: Letters, flow_id: str, secret: str, number: int = 1) -> Any:
    body = orjson.dumps({"id": number, "email": "ana@example.com"})
    return server.send(server.token(flow_id), body, headers=letters.signed(body, secret))


def test_deliveries_are_checked_with_the_secret_that_was_made_up(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    assert deliver(server, letters, flow_id, letters.hooks["h1"]["key"]).status == 200
    with pytest.raises(DeliveryRefused, match="does not fit"):
        deliver(server, letters, flow_id, "another-key", 2)


def test_deliveries_are_checked_with_the_secret_the_service_named(server: Server, letters: Letters) -> None:
    flow_id = live(server, "answered")
    assert deliver(server, letters, flow_id, "made-by-letters-0123456789").status == 200
    kept = b"".join(call.answer_body or b"" for call in calls(server, row(server, flow_id).id))
    assert b"made-by-letters" not in kept
    assert b"{{secret:subscription_secret}}" in kept


def test_deliveries_are_checked_with_the_secret_that_was_asked_for(server: Server, letters: Letters) -> None:
    flow_id = live(server, "asked_for")
    assert deliver(server, letters, flow_id, "told-when-asked-0123456789").status == 200
    kept = calls(server, row(server, flow_id).id)
    assert [call.step_key for call in kept] == ["look", "create", "then"]
    assert b"told-when-asked" not in b"".join(call.answer_body or b"" for call in kept)


def test_a_list_that_shows_the_secret_leaves_none_in_the_history(server: Server, letters: Letters) -> None:
    flow_id = live(server, "asked_for")
    shown = {**letters.hooks["h1"], "key": "told-when-asked-0123456789"}
    letters.service.answers("GET", "/v1/hooks", {"hooks": [shown], "next": None})
    server.clock.advance(6 * 3600 + 1)
    tell(server)
    looked = calls(server, row(server, flow_id).id)[-1]
    assert looked.step_key == "look"
    assert b"told-when-asked" not in looked.answer_body


def test_one_whose_secret_is_not_told_is_not_left_behind(server: Server, letters: Letters) -> None:
    account(server)
    letters.service.answers("GET", "/v1/hooks/h1/key", (403, {"error": "only administrators see keys"}))
    flow_id = server.live(reading("asked_for"))
    tell(server)
    refused = row(server, flow_id)
    assert (refused.state, refused.vendor_id) == ("refused", "h1")
    assert refused.sentence == "Letters: only administrators see keys."
    flow_commands.switch_off(SHELL, server, flow_id)
    tell(server)
    assert letters.hooks == {}


def test_trying_again_asks_for_the_secret_alone(server: Server, letters: Letters) -> None:
    account(server)
    told = {"key": "told-when-asked-0123456789"}
    letters.service.answers("GET", "/v1/hooks/h1/key", (403, {"error": "not yet"}), told)
    flow_id = server.live(reading("asked_for"))
    tell(server)
    flow_commands.subscribe_again(SHELL, server, flow_id)
    tell(server)
    assert (row(server, flow_id).state, list(letters.hooks)) == ("live", ["h1"])
    assert deliver(server, letters, flow_id, "told-when-asked-0123456789").status == 200


def test_an_answer_without_the_secret_is_said(server: Server, letters: Letters) -> None:
    letters.service.answers("GET", "/v1/hooks/h1/key", {"other": "thing"})
    flow_id = live(server, "asked_for")
    assert row(server, flow_id).sentence == "Letters did not say what it signs with ($.key)."


def test_a_delivery_that_comes_a_moment_after_is_checked_with_the_new_secret(
    server: Server, letters: Letters
) -> None:
    account(server)
    flow_id = server.live(reading("answered"))
    with pytest.raises(DeliveryRefused):  # and the address is remembered now, without a secret
        deliver(server, letters, flow_id, "made-by-letters-0123456789")
    tell(server)
    assert deliver(server, letters, flow_id, "made-by-letters-0123456789").status == 200


def test_the_secret_of_the_connection_counts_beside_it(server: Server, letters: Letters) -> None:
    account(server, signing_key="entered-by-hand")
    flow_id = server.live(reading())
    tell(server)
    assert deliver(server, letters, flow_id, "entered-by-hand").status == 200


def test_neither_address_nor_secret_stand_in_the_history(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    told = letters.hooks["h1"]
    kept = str([tuple(call) for call in calls(server, row(server, flow_id).id)])
    assert told["key"] not in kept
    assert told["url"].rpartition("/")[2] not in kept
    assert "{{secret:subscription_address}}" in kept


def test_each_call_is_in_the_history_with_what_it_was_for(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    assert [call.step_key for call in calls(server, row(server, flow_id).id)] == ["look", "create"]


# ------------------------------------------------------------------------- never two, never none


def lost_answer(*_: Any) -> Any:
    raise httpx.ReadTimeout("nothing came back")


@pytest.mark.postgres
def test_a_lost_answer_is_looked_for_and_not_asked_again(server: Server, letters: Letters) -> None:
    account(server)

    def made_but_lost(received: Any) -> Any:
        letters.add(**received.json)
        raise httpx.ReadTimeout("nothing came back")

    letters.service.answers("POST", "/v1/lists/7/hooks", made_but_lost)
    flow_id = server.live(reading())
    tell(server)
    assert row(server, flow_id).state == "making"
    server.clock.advance(61)
    tell(server)
    assert (row(server, flow_id).state, row(server, flow_id).vendor_id) == ("live", "h1")
    assert len(letters.made_calls()) == 1


def test_a_call_that_never_arrived_is_made_after_the_look(server: Server, letters: Letters) -> None:
    account(server)
    letters.service.answers("POST", "/v1/lists/7/hooks", lost_answer, letters._post)
    flow_id = server.live(reading())
    tell(server)
    server.clock.advance(61)
    tell(server)
    assert row(server, flow_id).state == "live"
    assert list(letters.hooks) == ["h1"]


def test_where_nobody_can_look_a_person_decides(server: Server, letters: Letters) -> None:
    account(server)
    letters.service.answers("POST", "/v1/lists/7/hooks", lost_answer, letters._post)
    flow_id = server.live(reading("blind"))
    tell(server)
    server.clock.advance(61)
    tell(server)
    found = row(server, flow_id)
    assert (found.state, len(letters.made_calls())) == ("unsure", 1)
    assert "interrupted while it asked Letters" in found.sentence
    assert "try again" in found.remedy
    flow_commands.subscribe_again(SHELL, server, flow_id)
    tell(server)
    assert row(server, flow_id).state == "live"


def test_where_asking_twice_leaves_one_it_is_asked_again(server: Server, letters: Letters) -> None:
    account(server)
    letters.service.answers("POST", "/v1/lists/7/hooks", lost_answer, letters._post)
    flow_id = server.live(reading("same_twice"))
    tell(server)
    server.clock.advance(61)
    tell(server)
    assert row(server, flow_id).state == "live"


def test_one_that_was_set_up_by_hand_is_taken_over_if_its_secret_is_known(
    server: Server, letters: Letters
) -> None:
    account(server, signing_key="entered-by-hand")
    flow_id = server.draft(reading())
    letters.add(url="https://elsewhere.example/1")
    letters.add(url="https://elsewhere.example/2")
    letters.add(
        url=flow_commands.create_address(SHELL, server, flow_id), key="entered-by-hand"
    )  # on the second page
    flow_commands.publish(SHELL, server, flow_id)
    flow_commands.switch_on(SHELL, server, flow_id)
    tell(server)
    assert letters.made_calls() == []
    assert row(server, flow_id).vendor_id == "h3"


def test_one_whose_secret_nobody_knows_is_replaced(server: Server, letters: Letters) -> None:
    account(server)
    flow_id = server.draft(reading())
    letters.add(url=flow_commands.create_address(SHELL, server, flow_id), key="known to nobody")
    flow_commands.publish(SHELL, server, flow_id)
    flow_commands.switch_on(SHELL, server, flow_id)
    tell(server)
    assert list(letters.hooks) == ["h2"]


def test_a_crash_while_it_was_asked_is_taken_up_after_the_start(server: Server, letters: Letters) -> None:
    account(server)
    flow_id = server.live(reading())
    asked = row(server, flow_id)
    later = server.clock.now() + timedelta(minutes=5)
    server.database.write(lambda db: store.change(db, asked.id, state="making", lease_until=later))
    letters.add(url=flow_commands.create_address(SHELL, server, flow_id))  # it had arrived
    assert server.intake.ticks.tell_services() == []
    server.database.write(store.void_leases)
    tell(server)
    assert (row(server, flow_id).state, len(letters.made_calls())) == ("live", 0)


def test_a_flow_that_went_off_while_it_was_asked_ends_it_afterwards(server: Server, letters: Letters) -> None:
    account(server)
    flow_id = server.draft(reading())

    def off_meanwhile(received: Any) -> Any:
        flow_commands.switch_off(SHELL, server, flow_id)
        return letters._post(received)

    letters.service.answers("POST", "/v1/lists/7/hooks", off_meanwhile)
    flow_commands.publish(SHELL, server, flow_id)
    flow_commands.switch_on(SHELL, server, flow_id)
    tell(server)
    assert letters.hooks == {}
    assert [one.state for one in rows(server, flow_id)] == ["gone"]


# ------------------------------------------------------------------------------- looked after


def test_one_that_the_service_lost_is_made_again_and_said_so(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    letters.hooks.clear()
    server.clock.advance(6 * 3600 + 1)
    tell(server)
    assert (row(server, flow_id).state, list(letters.hooks)) == ("live", ["h2"])
    assert "no longer knew where to send" in row(server, flow_id).sentence


def test_one_that_the_service_switched_off_is_replaced(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    letters.hooks["h1"]["active"] = False
    server.clock.advance(6 * 3600 + 1)
    tell(server)
    assert list(letters.hooks) == ["h2"]
    assert row(server, flow_id).vendor_id == "h2"


def test_a_second_one_for_the_same_address_ends(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    letters.add(url=letters.hooks["h1"]["url"])
    server.clock.advance(6 * 3600 + 1)
    tell(server)
    assert list(letters.hooks) == ["h1"]
    assert row(server, flow_id).checked_at == server.clock.now()


def test_a_look_that_fails_leaves_it_in_place(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    letters.service.answers("GET", "/v1/hooks", 503)
    server.clock.advance(6 * 3600 + 1)
    tell(server)
    found = row(server, flow_id)
    assert (found.state, found.error_kind, found.tries) == ("live", "unavailable", 1)
    assert found.next_at == server.clock.now() + timedelta(minutes=1)


@pytest.mark.postgres
def test_it_is_renewed_before_it_ends(server: Server, letters: Letters) -> None:
    letters.expires_at = "2026-03-09T09:00:00Z"  # a week from now
    flow_id = live(server)
    server.clock.advance(5.3 * 86400)
    letters.expires_at = "2026-03-16T09:00:00Z"
    tell(server)
    assert [one.path for one in letters.service.requests if one.method == "POST"][-1] == "/v1/hooks/h1/renew"
    renewed = row(server, flow_id)
    assert (renewed.expires_at or server.clock.now()).isoformat() == "2026-03-16T09:00:00+00:00"


def test_one_that_is_gone_when_it_is_to_be_renewed_is_made_again(server: Server, letters: Letters) -> None:
    letters.expires_at = "2026-03-09T09:00:00Z"
    flow_id = live(server)
    letters.hooks.clear()
    server.clock.advance(5.3 * 86400)
    letters.expires_at = "2026-03-16T09:00:00Z"
    tell(server)
    assert (row(server, flow_id).state, list(letters.hooks)) == ("live", ["h2"])


def test_where_none_can_be_renewed_a_new_one_comes_before_the_old_one_ends(
    server: Server, letters: Letters
) -> None:
    letters.expires_at = "2026-03-09T09:00:00Z"
    flow_id = live(server, "blind")
    server.clock.advance(5.3 * 86400)
    letters.expires_at = "2026-03-16T09:00:00Z"
    tell(server)
    assert list(letters.hooks) == ["h1", "h2"]
    server.clock.advance(61)
    tell(server)
    assert list(letters.hooks) == ["h2"]
    assert row(server, flow_id).vendor_id == "h2"


# ---------------------------------------------------------------------------------- refusals


def test_a_refusal_is_a_sentence_and_can_be_tried_again(server: Server, letters: Letters) -> None:
    account(server)
    no = (403, {"error": "hooks need the plan Pro"})
    letters.service.answers("POST", "/v1/lists/7/hooks", no, letters._post)
    flow_id = server.live(reading())
    tell(server)
    refused = row(server, flow_id)
    assert (refused.state, refused.error_kind) == ("refused", "permission_missing")
    assert refused.sentence == "Letters: hooks need the plan Pro."
    assert "replay" not in refused.remedy
    flow_commands.subscribe_again(SHELL, server, flow_id)
    tell(server)
    assert row(server, flow_id).state == "live"
    assert row(server, flow_id).sentence == ""


def test_a_refusal_is_tried_again_by_itself_after_hours(server: Server, letters: Letters) -> None:
    account(server)
    letters.service.answers("POST", "/v1/lists/7/hooks", (422, {"error": "no such list"}), letters._post)
    flow_id = server.live(reading())
    tell(server)
    server.clock.advance(3600)
    tell(server)
    assert row(server, flow_id).state == "refused"
    server.clock.advance(5 * 3600 + 1)
    tell(server)
    assert row(server, flow_id).state == "live"


def test_a_broken_connection_is_said_and_mending_it_goes_on_at_once(server: Server, letters: Letters) -> None:
    account(server)
    now = server.clock.now()

    def mark(state: str) -> None:
        server.database.write(
            lambda db: mark_checked(db, "con_letters", state=state, sentence="Signed out.", now=now)
        )
        server.connections.forget("con_letters")

    mark("broken")
    flow_id = server.live(reading())
    tell(server)
    refused = row(server, flow_id)
    assert (refused.state, refused.error_kind) == ("refused", "auth_expired")
    assert "Signed out" in refused.sentence
    mark("ok")
    subscriptions.connection_mended(server, "con_letters")
    tell(server)
    assert row(server, flow_id).state == "live"


def test_a_service_out_there_is_not_told_an_address_at_home(server: Server, letters: Letters) -> None:
    move(server, "http://127.0.0.1:8000")
    flow_id = live(server)
    refused = row(server, flow_id)
    assert refused.state == "refused"
    assert "Letters has to reach this server" in refused.sentence
    assert "PLUMBLINE_PUBLIC_URL" in refused.remedy
    assert letters.service.requests == []


def test_where_there_is_one_place_the_second_flow_is_told_who_has_it(
    server: Server, letters: Letters
) -> None:
    first = live(server, "lone")
    second = live(server, "lone")
    refused = row(server, second)
    assert (refused.state, refused.error_kind) == ("refused", "conflict")
    assert "“Welcome” gets what happens there already" in refused.sentence
    flow_commands.switch_off(SHELL, server, first)
    tell(server)
    assert row(server, second).state == "live"


def test_what_is_set_up_by_hand_is_left_alone(server: Server, letters: Letters) -> None:
    account(server, signing_key="entered-by-hand")
    letters.service.answers("POST", "/v1/lists/7/hooks", (403, {"error": "no"}))
    flow_id = server.live(reading())
    tell(server)
    flow_commands.subscribed_by_hand(SHELL, server, flow_id)
    before = len(letters.service.requests)
    server.clock.advance(86400)
    tell(server)
    assert (row(server, flow_id).state, len(letters.service.requests)) == ("by_hand", before)
    assert deliver(server, letters, flow_id, "entered-by-hand").status == 200


def test_one_that_cannot_be_ended_is_given_up_with_what_to_do(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    letters.service.answers("DELETE", "*", 500)
    flow_commands.switch_off(SHELL, server, flow_id)
    for _ in range(8):
        tell(server)
        server.clock.advance(6 * 3600 + 1)
    (left,) = rows(server, flow_id)
    assert left.state == "left"
    assert "could not be told to stop" in left.sentence
    assert left.remedy == "Remove the webhook in Letters by hand."


def test_an_answer_without_the_id_is_looked_up(server: Server, letters: Letters) -> None:
    account(server)

    def silent(received: Any) -> Any:
        letters.add(**received.json)
        return {"ok": True}

    letters.service.answers("POST", "/v1/lists/7/hooks", silent)
    flow_id = server.live(reading())
    tell(server)
    assert (row(server, flow_id).state, row(server, flow_id).vendor_id) == ("live", "h1")


def test_only_the_newest_calls_and_the_last_ended_ones_are_kept(server: Server, letters: Letters) -> None:
    flow_id = live(server)
    for _ in range(30):
        server.clock.advance(6 * 3600 + 1)
        tell(server)
    assert len(calls(server, row(server, flow_id).id)) <= 50
    for _ in range(6):
        flow_commands.switch_off(SHELL, server, flow_id)
        tell(server)
        flow_commands.switch_on(SHELL, server, flow_id)
        tell(server)
    assert [one.state for one in rows(server, flow_id)] == ["live", "gone", "gone", "gone"]
