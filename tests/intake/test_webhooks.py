"""Deliveries: what is accepted is on disk, what is refused says why."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections import namedtuple
from typing import Any

import orjson
import pytest

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.errors import DeliveryRefused, NotFound, Unavailable
from app.storage.flows import flows
from tests.intake.conftest import Server

ORDER = {"email": "lena@example.com", "order_number": 1042}


def refused(server: Server, token: str, body: Any = b"{}", **more: Any) -> DeliveryRefused:
    with pytest.raises(DeliveryRefused) as reason:
        server.send(token, body, **more)
    assert server.deliveries()[-1] == ("refused", reason.value.sentence)
    return reason.value


# ------------------------------------------------------------------------------------ accepting


def test_a_delivery_becomes_an_event_and_a_run_that_is_handed_over(server: Server) -> None:
    accepted = server.send(server.hook(), ORDER)
    assert (accepted.status, accepted.state, accepted.duplicate) == (202, "accepted", False)
    assert server.events() == [ORDER]
    assert server.runs() == [("queued", "")]
    ticket = server.engine.tickets[0]
    assert [ticket.event_id] == accepted.event_ids
    assert ticket.payload == orjson.dumps(ORDER)
    assert server.deliveries() == [("accepted", "")]


def test_the_body_is_the_payload_byte_for_byte_and_not_kept_twice(server: Server) -> None:
    body = b'{ "total" : 10.50 }\n'
    server.send(server.hook(), body)
    assert server.engine.tickets[0].payload == body
    assert server.last_delivery().body is None
    assert server.last_delivery().body_size == len(body)


def test_a_form_is_kept_as_it_came_beside_its_document(server: Server) -> None:
    body = b"email=a%40b.c&tag=x&tag=y"
    server.send(server.hook(), body, content_type="application/x-www-form-urlencoded")
    assert server.events() == [{"email": "a@b.c", "tag": ["x", "y"]}]
    assert server.last_delivery().body == body


def test_a_get_request_is_its_query(server: Server) -> None:
    token = server.hook(methods=["GET"])
    server.send(token, b"", method="GET", query="email=a%40b.c&x=1")
    assert server.events() == [{"email": "a@b.c", "x": "1"}]


def test_what_a_run_sees_of_its_delivery_holds_no_secrets(server: Server) -> None:
    server.send(
        server.hook(),
        ORDER,
        query="shop=a&token=hidden",
        headers={"Authorization": "Bearer x", "X-Shop": "1"},
    )
    delivery = server.engine.tickets[0].delivery
    assert delivery is not None
    assert delivery["headers"]["x-shop"] == "1"
    assert delivery["query"]["shop"] == "a"
    kept = server.last_delivery()
    shown = orjson.dumps([delivery, kept.headers, kept.query])
    assert b"Bearer" not in shown
    assert b"hidden" not in shown


def test_each_record_of_a_list_is_an_event_of_its_own(server: Server) -> None:
    token = server.hook(items="$.orders[*]", dedupe="$.id")
    accepted = server.send(token, {"orders": [{"id": 1}, {"id": 2}, {"id": 3}]})
    assert len(accepted.event_ids) == 3
    assert server.events() == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert server.deliveries() == [("accepted", "")]
    again = server.send(token, {"orders": [{"id": 3}, {"id": 4}]})
    assert len(server.events()) == 4
    assert (again.duplicate, len(again.event_ids)) == (False, 2)


def test_a_list_without_records_is_accepted_and_says_so(server: Server) -> None:
    token = server.hook(items="$.orders[*]")
    accepted = server.send(token, {"orders": []})
    assert accepted.event_ids == []
    assert server.deliveries() == [("accepted", "It holds no record that this flow is for.")]
    assert server.last_delivery().body == b'{"orders":[]}'


def test_too_many_records_in_one_delivery_are_refused_whole(server: Server) -> None:
    reason = refused(server, server.hook(items="$[*]"), list(range(10_001)))
    assert reason.status == 413
    assert server.events() == []


# ---------------------------------------------------------------------------------- repetitions


def test_a_delivery_that_comes_again_starts_one_run_and_answers_with_the_first_event(server: Server) -> None:
    token = server.hook()
    first = server.send(token, ORDER, headers={"webhook-id": "msg_1"})
    second = server.send(token, ORDER, headers={"Webhook-Id": "msg_1"})
    third = server.send(token, ORDER, headers={"webhook-id": "msg_2"})
    assert (second.status, second.duplicate, second.event_ids) == (200, True, first.event_ids)
    assert third.duplicate is False
    assert len(server.runs()) == len(server.engine.tickets) == 2
    assert server.deliveries()[1] == ("duplicate", f"A repetition of {first.event_ids[0]}.")


def test_what_tells_events_apart_can_be_said_by_path_or_header(server: Server) -> None:
    by_path = server.hook(dedupe="$.order.id")
    for number in (1, 1, 2):
        server.send(by_path, {"order": {"id": number}})
    by_header = server.hook(dedupe="header:X-Order")
    for order in ("a", "a", "b"):
        server.send(by_header, {"same": 1}, headers={"x-order": order})
    assert len(server.runs()) == 4


def test_events_without_the_key_are_all_taken(server: Server) -> None:
    token = server.hook(dedupe="$.id")
    for _ in range(3):
        server.send(token, {"no": "id"})
    assert len(server.runs()) == 3


def test_equal_bodies_are_two_events_when_nothing_says_otherwise(server: Server) -> None:
    token = server.hook()
    server.send(token, ORDER)
    server.send(token, ORDER)
    assert len(server.runs()) == 2


def test_of_many_at_once_with_one_key_exactly_one_runs(server: Server) -> None:
    token = server.hook()
    outcomes: list[bool] = []

    def send() -> None:
        outcomes.append(server.send(token, ORDER, headers={"idempotency-key": "k" * 3000}).duplicate)

    threads = [threading.Thread(target=send) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] + [True] * 23
    assert len(server.runs()) == len(server.engine.tickets) == 1


# ----------------------------------------------------------------------------- off, held, draft


def test_a_flow_that_is_off_refuses_and_keeps_what_came(server: Server) -> None:
    flow_id = server.live({"kind": "webhook"})
    token = server.token(flow_id)
    server.send(token, ORDER)
    flow_commands.switch_off(SHELL, server, flow_id)
    reason = refused(server, token, ORDER)
    assert (reason.status, reason.sentence) == (409, "This flow is switched off.")
    assert server.last_delivery().body == orjson.dumps(ORDER)
    flow_commands.switch_on(SHELL, server, flow_id)
    assert server.send(token, ORDER).status == 202


def test_a_held_flow_accepts_and_lets_its_runs_wait(server: Server) -> None:
    flow_id = server.live({"kind": "webhook"})
    server.database.write(lambda db: flows.set_held(db, flow_id, True, now=server.clock.now()))
    assert server.send(server.token(flow_id), ORDER).status == 202
    assert server.runs() == [("waiting", "held_flow")]
    assert server.engine.tickets == []


def test_a_run_is_never_left_waiting_for_a_flow_that_was_just_released(server: Server) -> None:
    flow_id = server.live({"kind": "webhook"})
    token = server.token(flow_id)
    server.database.write(lambda db: flows.set_held(db, flow_id, True, now=server.clock.now()))
    server.send(token, ORDER)
    server.database.write(lambda db: flows.set_held(db, flow_id, False, now=server.clock.now()))
    server.send(token, ORDER)
    assert server.runs() == [("waiting", "held_flow"), ("queued", "")]


def test_before_publishing_a_delivery_is_the_sample_of_the_builder(server: Server) -> None:
    flow_id = server.draft({"kind": "webhook"})
    accepted = server.send(server.token(flow_id), ORDER)
    assert (accepted.status, accepted.state, accepted.event_ids) == (202, "sample", [])
    with server.database.read() as db:
        assert flows.get_sample(db, flow_id) == ORDER
    assert server.runs() == []
    assert [outcome for outcome, _ in server.deliveries()] == ["sample"]


def test_a_live_flow_keeps_its_sample(server: Server) -> None:
    flow_id = server.draft({"kind": "webhook"})
    token = server.token(flow_id)
    server.send(token, {"first": 1})
    flow_commands.publish(SHELL, server, flow_id)
    flow_commands.switch_on(SHELL, server, flow_id)
    server.send(token, {"second": 2})
    with server.database.read() as db:
        assert flows.get_sample(db, flow_id) == {"first": 1}


def test_a_flow_that_starts_otherwise_now_refuses(server: Server) -> None:
    flow_id = server.live({"kind": "webhook"})
    token = server.token(flow_id)
    server.edit(flow_id, {"kind": "manual"})
    assert refused(server, token).status == 409


# ------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    "token",
    ["", "x", "no-such-token-0123456789", "../../etc/passwd", "\udcff" * 32, "a" * 10_000, "%00" * 10],
)
def test_an_address_that_does_not_exist_is_not_found_and_leaves_no_trace(server: Server, token: str) -> None:
    with pytest.raises(NotFound):
        server.send(token)
    assert server.deliveries() == []
    assert server.intake.deliveries.unknown == 1


def test_after_a_rotation_both_addresses_work_for_a_day(server: Server) -> None:
    flow_id = server.live({"kind": "webhook"})
    old = server.token(flow_id)
    new = flow_commands.replace_address(SHELL, server, flow_id).rpartition("/")[2]
    assert old != new
    assert server.send(old).status == server.send(new).status == 202
    server.clock.advance(24 * 3600 + 1)
    assert refused(server, old).status == 410
    assert server.send(new).status == 202


def test_a_change_by_another_process_is_seen_within_seconds(server: Server) -> None:
    flow_id = server.live({"kind": "webhook"})
    token = server.token(flow_id)
    server.send(token)
    server.database.write(lambda db: flows.set_on(db, flow_id, False, now=server.clock.now()))
    server.clock.advance(2.1)
    assert refused(server, token).status == 409


# ------------------------------------------------------------------------------------- refusing


@pytest.mark.parametrize(
    ("body", "more", "status"),
    [
        (b'{"a": NaN}', {}, 400),
        (b"[" * 100_000, {}, 400),
        (b"1" * 5000, {}, 400),
        (b"\xff\xfe\xfd", {}, 400),
        (b"{}", {"content_type": "image/png"}, 415),
        (b"{}", {"method": "DELETE"}, 405),
        (b"{}", {"method": "X" * 500}, 405),
        (b"x" * (1024 * 1024 + 1), {}, 413),
        (b"", {"too_large": True}, 413),
    ],
)
def test_a_refusal_has_a_status_a_sentence_and_a_record(
    server: Server, body: bytes, more: dict[str, Any], status: int
) -> None:
    assert refused(server, server.hook(), body, **more).status == status
    assert server.events() == []


def test_of_an_oversize_body_nothing_is_kept_and_of_others_the_beginning(server: Server) -> None:
    token = server.hook()
    refused(server, token, b"x" * (1024 * 1024 + 1))
    assert server.last_delivery().body is None
    refused(server, token, b"{" + b"x" * 500_000)
    assert len(server.last_delivery().body) == 64 * 1024


@pytest.mark.parametrize("text", ["\x00", "\udcff", "\x1b[31m", "x" * 100_000, "‮", "é\x00"])
def test_strange_headers_queries_and_addresses_are_no_reason_to_break(server: Server, text: str) -> None:
    accepted = server.send(server.hook(), ORDER, headers={f"X-{text}": text}, query=text)
    assert accepted.status == 202
    orjson.dumps(server.last_delivery().headers)


def test_of_thousands_of_headers_some_are_kept(server: Server) -> None:
    server.send(server.hook(), ORDER, headers={f"X-{number}": "v" for number in range(5000)})
    assert len(server.last_delivery().headers) == 100


# --------------------------------------------------------------------------------- unavailable


def test_a_disk_that_is_almost_full_is_said_before_anything_is_written(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = server.hook()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(100, 99, -1))
    with pytest.raises(Unavailable) as reason:
        server.send(token, ORDER)
    assert reason.value.retry_after_s == 60
    assert server.deliveries() == []


def test_a_database_that_cannot_be_written_is_unavailable_and_nothing_was_accepted(server: Server) -> None:
    token = server.hook()
    server.send(token, ORDER)
    other = sqlite3.connect(server.settings.data_dir / "plumbline.db")
    other.execute("ALTER TABLE events RENAME TO events_away")
    with pytest.raises(Unavailable):
        server.send(token, ORDER)
    other.execute("ALTER TABLE events_away RENAME TO events")
    other.close()
    assert server.send(token, ORDER).status == 202
    assert len(server.engine.tickets) == 2


def test_while_shutting_down_senders_are_told_to_come_again(server: Server) -> None:
    token = server.hook()
    server.database.writer.close()
    with pytest.raises(Unavailable):
        server.send(token, ORDER)


def test_an_engine_that_refuses_tickets_loses_no_run(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_tickets: object) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(server.engine, "enqueue", broken)
    assert server.send(server.hook(), ORDER).status == 202
    assert server.runs() == [("queued", "")]
    assert server.send(server.hook(), ORDER, headers={"webhook-id": "1"}).status == 202
