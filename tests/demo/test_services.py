"""The make-believe services behave as real ones do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from seed_data.services.faults import RateLimit
from seed_data.services.process import NAMES, create_services
from seed_data.services.shared import SECRETS, Services
from seed_data.services.shelf import Shelf
from tests.demo.conftest import CHAT, CRM, MAIL, SHOP, Listener

HOOK = "http://plumbline.example/hooks/abc"


def order(client: FlaskClient, **more: Any) -> None:
    form = {"name": "Ana Silva", "email": "Ana@Example.com", "sku": ["TEA-EARL", "CUP-BLUE"], **more}
    assert client.post("/shop/orders", data=form).status_code == 302


def listen(services: Services, service: str = "shop", topic: str = "order.created") -> None:
    services.outbox.point(service, "plumbline", topic, HOOK)


# ---------------------------------------------------------------------------------------- pages


@pytest.mark.parametrize("service", NAMES)
def test_every_page_is_there_and_allows_no_foreign_code(client: FlaskClient, service: str) -> None:
    answer = client.get(f"/{service}/")
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert "style=" not in answer.text
    assert "onclick" not in answer.text


def test_the_first_address_leads_to_the_shop(client: FlaskClient) -> None:
    assert client.get("/").headers["Location"] == "/shop/"


def test_what_people_type_is_shown_as_text(client: FlaskClient) -> None:
    order(client, name="<script>alert(1)</script>")
    client.post("/site/form", data={"name": "<b>x</b>", "email": '"><img src=x>'})
    assert "<script>alert" not in client.get("/shop/").text
    assert "<img src=x>" not in client.get("/site/").text


def test_a_page_of_somebody_else_cannot_order_here(client: FlaskClient) -> None:
    answer = client.post("/shop/orders", data={}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


# ----------------------------------------------------------------------------------------- shop


def test_an_order_is_reported_signed_and_once_per_address(
    client: FlaskClient, services: Services, listener: Listener
) -> None:
    listen(services)
    order(client)
    services.outbox.send_due(0)
    services.outbox.send_due(1000)
    (request,) = listener.got
    secret = SECRETS["shop"].encode()
    expected = base64.b64encode(hmac.new(secret, request.content, hashlib.sha256).digest()).decode()
    assert request.headers["X-Demo-Shop-Hmac-Sha256"] == expected
    document = json.loads(request.content)
    assert document["total_price"] == "22.90"
    assert document["customer"]["email"] == "ana@example.com"
    assert [item["sku"] for item in document["line_items"]] == ["TEA-EARL", "CUP-BLUE"]


def test_a_delivery_is_tried_until_it_is_taken_and_keeps_its_id(
    client: FlaskClient, services: Services, listener: Listener
) -> None:
    listen(services)
    listener.answers = [503, 500]
    order(client)
    now = 0.0
    while (due := services.outbox.send_due(now)) is not None:
        now = due
    assert len(listener.got) == 3
    assert len({request.headers["X-Demo-Shop-Event-Id"] for request in listener.got}) == 1
    (delivery,) = services.outbox.deliveries("shop")
    assert (delivery["state"], delivery["tries"], delivery["answer"]) == ("delivered", 3, "200")


def test_an_address_that_never_answers_is_given_up_in_the_end(
    client: FlaskClient, services: Services, listener: Listener
) -> None:
    listen(services)
    listener.answers = [404] * 100
    order(client)
    now = 0.0
    while (due := services.outbox.send_due(now)) is not None:
        now = due
    assert services.outbox.deliveries("shop")[0]["state"] == "given up"
    assert len(listener.got) == 60


def test_sending_again_repeats_the_same_event(
    client: FlaskClient, services: Services, listener: Listener
) -> None:
    listen(services)
    order(client)
    services.outbox.send_due(0)
    number = services.outbox.deliveries("shop")[0]["number"]
    client.post(f"/shop/deliveries/{number}/again")
    services.outbox.send_due(0)
    first, second = listener.got
    assert first.content == second.content
    assert first.headers["X-Demo-Shop-Event-Id"] == second.headers["X-Demo-Shop-Event-Id"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"email": "nobody"}, "email address"),
        ({"name": "  "}, "a name"),
        ({"sku": ["NO-SUCH"]}, "one product"),
    ],
)
def test_an_order_that_cannot_be_is_refused_in_words(
    client: FlaskClient, services: Services, wrong: dict[str, Any], said: str
) -> None:
    before = len(services.shelf.newest("shop.order"))
    order(client, **wrong)
    assert said in client.get("/shop/").text
    assert len(services.shelf.newest("shop.order")) == before


def test_a_customer_is_counted_over_orders_and_restarts(client: FlaskClient, tmp_path: Path) -> None:
    order(client)
    order(client)
    again = create_services(tmp_path / "demo.db")
    order(again.test_client())
    found = again.extensions["services"].shelf.newest("shop.order", 3)
    again.extensions["services"].shelf.close()
    assert [one["customer"]["orders_count"] for one in found] == [3, 2, 1]
    assert len({one["id"] for one in found}) == 3


def test_orders_are_read_in_pages_without_a_gap(client: FlaskClient) -> None:
    for _ in range(5):
        order(client)
    seen, page = [], 1
    while page is not None:
        answer = client.get(f"/shop/api/orders?per_page=2&page={page}", headers=SHOP).json
        assert answer is not None
        seen += [one["id"] for one in answer["orders"]]
        page = answer["next_page"]
    assert len(seen) == len(set(seen)) == 7
    assert client.get("/shop/api/orders?created_after=9999", headers=SHOP).json == {
        "orders": [],
        "next_page": None,
    }


def test_a_product_says_whether_it_can_be_delivered(client: FlaskClient) -> None:
    answer = client.get("/shop/api/products/cup-blue", headers=SHOP).json
    assert answer is not None
    assert answer["product"]["in_stock"] is False
    assert client.get("/shop/api/products/none", headers=SHOP).status_code == 404


# ------------------------------------------------------------------------------------------ CRM


def test_several_contacts_in_one_call_are_each_taken_or_refused_for_themselves(client: FlaskClient) -> None:
    rows = [
        {"email": "Ana@Example.com", "values": {"stage": "lead"}},
        {"email": "ken@example.com", "values": {"stage": "king"}},
        {"email": "nobody"},
        "nonsense",
    ]
    answer = client.post("/crm/api/contacts/batch", json={"contacts": rows}, headers=CRM)
    assert answer.status_code == 200
    assert [one["contact"]["email"] for one in answer.json["results"]] == ["ana@example.com"]
    assert [one["email"] for one in answer.json["errors"]] == ["ken@example.com", "nobody", ""]
    for wrong in ({}, {"contacts": []}, {"contacts": [{}] * 51}):
        assert client.post("/crm/api/contacts/batch", json=wrong, headers=CRM).status_code == 400


def test_a_contact_is_created_once_and_keeps_what_is_not_sent(client: FlaskClient) -> None:
    path = "/crm/api/contacts/ana%40example.com"
    first = client.put(path, json={"first_name": "Ana", "stage": "lead"}, headers=CRM)
    second = client.put(
        path.upper().replace("/CRM/API/CONTACTS", "/crm/api/contacts"), json={"phone": "1"}, headers=CRM
    )
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json is not None
    assert second.json["contact"]["first_name"] == "Ana"
    assert second.json["contact"]["stage"] == "lead"


@pytest.mark.parametrize(
    ("email", "values", "said"),
    [
        ("nobody", {}, "not an email address"),
        ("a@example.com", {"shoe_size": 3}, "no field 'shoe_size'"),
        ("a@example.com", {"stage": "friend"}, "stage has to be one of"),
        ("a@example.com", {"orders_count": "three"}, "has to be a number"),
        ("a@example.com", {"orders_count": True}, "has to be a number"),
    ],
)
def test_the_crm_refuses_what_it_does_not_know(
    client: FlaskClient, email: str, values: dict[str, Any], said: str
) -> None:
    answer = client.put(f"/crm/api/contacts/{email}", json=values, headers=CRM)
    assert answer.status_code == 422
    assert answer.json is not None
    assert said in answer.json["error"]["message"]


def test_a_body_that_is_no_object_is_refused(client: FlaskClient) -> None:
    for body in ("[]", "", "{", "null", '"x"'):
        answer = client.put("/crm/api/contacts/a@example.com", data=body, headers=CRM)
        assert answer.status_code == 400


def test_a_changed_stage_is_found_by_its_moment_and_other_changes_are_not(client: FlaskClient) -> None:
    path = "/crm/api/contacts/ken%40example.com"
    client.put(path, json={"stage": "mql"}, headers=CRM)

    def found() -> list[Any]:
        answer = client.get("/crm/api/contacts?by=stage&stage=mql", headers=CRM).json
        assert answer is not None
        return list(answer["contacts"])

    (first,) = found()
    client.put(path, json={"company": "Abe & Co"}, headers=CRM)
    (second,) = found()
    assert first["change_id"] == second["change_id"]
    since = first["stage_changed_at"]
    answer = client.get(f"/crm/api/contacts?by=stage&changed_since={since}", headers=CRM).json
    assert answer is not None
    assert [one["email"] for one in answer["contacts"]] == ["ken@example.com"]


def test_a_new_tier_is_reported_signed_with_its_time(
    client: FlaskClient, services: Services, listener: Listener
) -> None:
    listen(services, "crm", "tier.changed")
    client.post("/crm/contacts/mara%40example.com/change", data={"tier": "gold"})
    client.post("/crm/contacts/mara%40example.com/change", data={"tier": "gold"})
    services.outbox.send_due(0)
    (request,) = listener.got
    stamp = request.headers["X-Demo-Crm-Timestamp"]
    message = stamp.encode() + b"." + request.content
    expected = hmac.new(SECRETS["crm"].encode(), message, hashlib.sha256).hexdigest()
    assert request.headers["X-Demo-Crm-Signature"] == expected
    assert json.loads(request.content)["old_tier"] == "silver"


# ----------------------------------------------------------------------------- email, chat, site


def test_leaving_a_campaign_and_entering_a_series_happen_once(
    client: FlaskClient, services: Services
) -> None:
    for path in ("campaigns/spring-discount/suppressions", "series/post-purchase/entries"):
        codes = [
            client.put(f"/mail/api/{path}/ana%40example.com", json={}, headers=MAIL).status_code
            for _ in range(2)
        ]
        assert codes == [201, 200]
    assert len(services.shelf.newest("mail.entry")) == 1


def test_a_member_gets_tags_added_and_keeps_fields(client: FlaskClient) -> None:
    path = "/mail/api/audiences/newsletter/members/ana%40example.com"
    client.put(path, json={"merge_fields": {"first_name": "Ana"}, "tags": ["mql"]}, headers=MAIL)
    answer = client.put(path, json={"tags": ["event"]}, headers=MAIL).json
    assert answer is not None
    assert answer["member"]["tags"] == ["event", "mql"]
    assert answer["member"]["merge_fields"] == {"first_name": "Ana"}
    assert client.put(path, json={"tags": ["nonsense"]}, headers=MAIL).status_code == 422


def test_a_message_goes_out_once_per_key(client: FlaskClient, services: Services) -> None:
    message = {"to": "ana@example.com", "template": "thank-you-lead"}
    answers = [
        client.post("/mail/api/messages", json=message, headers=MAIL | {"Idempotency-Key": key})
        for key in ("a", "a", "b")
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 201]
    assert answers[0].json == answers[1].json
    assert len(services.shelf.newest("mail.message")) == 2


def test_the_chat_says_in_the_body_that_it_failed(client: FlaskClient) -> None:
    def post(headers: dict[str, str], **message: str) -> Any:
        answer = client.post("/chat/api/messages", json=message, headers=headers)
        assert answer.status_code == 200
        return answer.json

    assert post({}, channel="C01", text="x") == {"ok": False, "error": "invalid_auth"}
    assert post(CHAT, channel="C99", text="x") == {"ok": False, "error": "channel_not_found"}
    assert post(CHAT, channel="#marketing", text=" ") == {"ok": False, "error": "no_text"}
    assert post(CHAT, channel="#marketing", text="hello")["ok"] is True


def test_a_form_is_reported_whatever_is_typed(
    client: FlaskClient, services: Services, listener: Listener
) -> None:
    listen(services, "site", "form.submitted")
    client.post("/site/form", data={"name": "x" * 5000, "email": "no address", "region": "moon"})
    services.outbox.send_due(0)
    document = json.loads(listener.got[0].content)
    assert document["email"] == "no address"
    assert document["region"] == "abroad"
    assert len(document["name"]) == 500


def test_rules_of_a_visitor_have_a_sensible_cap(client: FlaskClient) -> None:
    path = "/site/api/visitors/ana%40example.com/rules"
    assert client.put(path, json={"banner": "Hello", "frequency_cap": 3}).status_code == 200
    for cap in (0, 100, "3", True, None):
        assert client.put(path, json={"frequency_cap": cap}).status_code == 422


# --------------------------------------------------------------------------------------- trouble


def test_a_wrong_key_is_refused_everywhere(client: FlaskClient) -> None:
    for path in ("/shop/api/orders", "/crm/api/contacts", "/mail/api/audiences"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"X-Api-Key": "ä", "Authorization": "Bearer ä"}).status_code == 401


@pytest.mark.parametrize(
    ("mode", "status"), [("error", 503), ("key_revoked", 401), ("busy", 429), ("fine", 200)]
)
def test_trouble_can_be_switched_on_and_off(client: FlaskClient, mode: str, status: int) -> None:
    client.post("/switch/crm", data={"mode": mode})
    answer = client.get("/crm/api/account", headers=CRM)
    assert answer.status_code == status
    assert ("Retry-After" in answer.headers) == (status == 429)
    assert client.get("/crm/").status_code == 200


def test_a_slow_service_answers_in_the_end(client: FlaskClient, waits: list[float]) -> None:
    client.post("/switch/mail", data={"mode": "slow"})
    assert client.get("/mail/api/account", headers=MAIL).status_code == 200
    assert waits == [5.0]


def test_a_mode_or_service_that_is_not_there_changes_nothing(client: FlaskClient) -> None:
    assert client.post("/switch/moon", data={"mode": "error"}).status_code == 404
    client.post("/switch/crm", data={"mode": "explode"})
    assert client.get("/crm/api/account", headers=CRM).status_code == 200


def test_the_crm_takes_ten_calls_a_second(
    client: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.limits["crm"], "_clock", lambda: 0.0)  # however long these calls take
    codes = [client.get("/crm/api/account", headers=CRM).status_code for _ in range(12)]
    assert codes == [200] * 10 + [429] * 2


def test_the_rate_limit_is_a_sliding_window() -> None:
    now = [0.0]
    limit = RateLimit(2, 1.0, clock=lambda: now[0])
    assert [limit.wait_s(), limit.wait_s()] == [0, 0]
    now[0] = 0.4
    assert limit.wait_s() == pytest.approx(0.6)
    now[0] = 1.01
    assert limit.wait_s() == 0


def test_calls_are_shown_with_their_answer_and_no_more_than_a_part_of_the_body(
    client: FlaskClient, services: Services
) -> None:
    client.put("/crm/api/contacts/a@example.com", json={"company": "x" * 5000}, headers=CRM)
    (call,) = services.shelf.newest("crm.call")
    assert (call["method"], call["status"]) == ("PUT", 201)
    assert len(call["body"]) == 400


def test_the_shelf_forgets_the_oldest_and_never_gives_a_number_twice() -> None:
    shelf = Shelf()
    numbers = [shelf.add("call", {}) for _ in range(5)]
    shelf.trim("call", 2)
    assert [one["number"] for one in shelf.newest("call")] == numbers[:2:-1]
    shelf.trim("call", 0)
    assert shelf.add("call", {}) > numbers[-1]
    shelf.close()
