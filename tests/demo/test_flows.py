"""Each flow of the demo from its event to what is seen at the services, without a port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.world import Everything, everything

ORDER = {"name": "Ana Silva", "email": "Ana@Example.com", "sku": ["TEA-EARL", "CUP-BLUE"]}
LEAD = {"name": "Bo Berg", "email": "BO@Example.com ", "phone": "0421 123456", "message": "A hundred cups?"}


@pytest.fixture
def all_of_it(tmp_path: Path) -> Iterator[Everything]:
    with everything(tmp_path) as opened:
        yield opened


# ------------------------------------------------------------------------------ 1: after the purchase


def test_an_order_is_in_the_crm_and_changes_what_the_customer_is_sent(all_of_it: Everything) -> None:
    all_of_it.post("/shop/orders", **ORDER)
    (run,) = all_of_it.runs()
    assert run.run.state == "succeeded", run.run.sentence
    contact = all_of_it.contact("ana@example.com")
    assert contact["first_name"] == "Ana"
    assert contact["stage"] == "customer"
    assert contact["last_order_value"] == 22.9
    assert contact["orders_count"] == 1
    assert contact["last_products"] == "Earl Grey, 100 g, Blue cup, 0.3 l"
    assert len(contact["last_purchase_on"]) == len("2026-11-21")
    (suppressed,) = all_of_it.kept("mail.suppressed")
    assert (suppressed["campaign"], suppressed["email"]) == ("spring-discount", "ana@example.com")
    (entry,) = all_of_it.kept("mail.entry")
    assert (entry["series"], entry["email"]) == ("post-purchase", "ana@example.com")


def test_the_same_webhook_once_more_makes_no_call_at_all(all_of_it: Everything) -> None:
    all_of_it.post("/shop/orders", **ORDER)
    contact, calls = all_of_it.contact("ana@example.com"), list(all_of_it.calls)
    (delivery,) = all_of_it.services.outbox.deliveries("shop")
    all_of_it.post(f"/shop/deliveries/{delivery['number']}/again")
    (again,) = all_of_it.services.outbox.deliveries("shop")
    assert again["state"] == "delivered"
    assert all_of_it.contact("ana@example.com") == contact
    assert all_of_it.calls == calls
    (run,) = all_of_it.runs()
    assert run.event is not None
    assert run.event.duplicates == 1


@pytest.mark.parametrize("signature", [{}, {"X-Demo-Shop-Hmac-Sha256": "Zm9yZ2Vk"}])
def test_an_order_that_the_shop_did_not_sign_starts_nothing(
    all_of_it: Everything, signature: dict[str, str]
) -> None:
    headers = {"X-Demo-Shop-Topic": "order.created", "X-Demo-Shop-Event-Id": "e1"} | signature
    assert all_of_it.deliver("After the purchase", {"customer": {"email": "a@example.com"}}, headers) == 401
    assert all_of_it.runs() == []
    assert all_of_it.calls == []


# ---------------------------------------------------------------------- 3: tier on every channel


def test_a_new_tier_reaches_every_channel(all_of_it: Everything) -> None:
    all_of_it.post("/crm/contacts/mara%40example.com/change", tier="gold")
    (run,) = all_of_it.runs()
    assert run.run.state == "succeeded", run.run.sentence
    (member,) = all_of_it.kept("mail.member")
    assert (member["audience"], member["merge_fields"]["tier"]) == ("customers", "gold")
    (rules,) = all_of_it.kept("site.rules")
    assert rules["banner"] == "Thank you, Mara: you are Gold now"
    assert rules["frequency_cap"] == 1
    assert [one["series"] for one in all_of_it.kept("mail.entry")] == ["gold-tier"]
    (message,) = all_of_it.kept("chat.message")
    assert message["text"] == "mara@example.com went from silver to gold."


def test_only_gold_is_welcomed_to_gold(all_of_it: Everything) -> None:
    all_of_it.post("/crm/contacts/ken%40example.com/change", tier="silver")
    (run,) = all_of_it.runs()
    assert run.run.state == "succeeded"
    assert all_of_it.kept("mail.entry") == []
    assert all_of_it.kept("site.rules")[0]["frequency_cap"] == 3


def test_a_channel_that_refuses_is_named_and_alone_sent_again(all_of_it: Everything) -> None:
    all_of_it.post("/switch/site", mode="key_revoked")
    all_of_it.post("/crm/contacts/mara%40example.com/change", tier="gold")
    (run,) = all_of_it.runs()
    assert run.run.state == "dead"
    assert {step.step_key: step.state for step in run.steps if step.state == "failed"} == {"s3": "failed"}
    assert "127.0.0.1:8090" in run.run.sentence
    assert all_of_it.kept("site.rules") == []
    assert len(all_of_it.kept("mail.member")) == len(all_of_it.kept("chat.message")) == 1

    all_of_it.post("/switch/site", mode="fine")
    all_of_it.calls.clear()
    all_of_it.send_failed_again(run.run.id)
    assert all_of_it.runs()[0].run.state == "succeeded"
    assert all_of_it.calls == ["PUT /site/api/visitors/mara%40example.com/rules"]
    assert all_of_it.kept("site.rules")[0]["email"] == "mara@example.com"


def test_a_revoked_key_holds_its_own_channel_only(all_of_it: Everything) -> None:
    all_of_it.post("/switch/mail", mode="key_revoked")
    all_of_it.post("/crm/contacts/mara%40example.com/change", tier="gold")
    (run,) = all_of_it.runs()
    assert run.run.state == "waiting"
    assert all_of_it.kept("mail.member") == []
    assert all_of_it.kept("site.rules")[0]["frequency_cap"] == 1
    assert len(all_of_it.kept("chat.message")) == 1

    all_of_it.post("/switch/mail", mode="fine")
    all_of_it.parts.engine.release_connection(run.run.waits_for or "")
    all_of_it.settle()
    (run,) = all_of_it.runs()
    assert run.run.state == "succeeded"
    assert all_of_it.kept("mail.member")[0]["merge_fields"]["tier"] == "gold"
    assert len(all_of_it.kept("mail.entry")) == len(all_of_it.kept("chat.message")) == 1


# ---------------------------------------------------------------------------- 4: lead in seconds


@pytest.mark.parametrize(("region", "channel"), [("north", "C02"), ("south", "C03"), ("abroad", "C01")])
def test_a_lead_gets_an_answer_and_the_right_colleague(
    all_of_it: Everything, region: str, channel: str
) -> None:
    all_of_it.post("/site/form", **LEAD, region=region)
    (run,) = all_of_it.runs()
    assert run.run.state == "succeeded", run.run.sentence
    contact = all_of_it.contact("bo@example.com")
    assert (contact["first_name"], contact["phone"], contact["stage"]) == ("Bo", "+49421123456", "lead")
    (answer,) = all_of_it.kept("mail.message")
    assert (answer["to"], answer["template"]) == ("bo@example.com", "thank-you-lead")
    (told,) = all_of_it.kept("chat.message")
    assert told["channel"] == channel
    assert "Bo Berg, bo@example.com, +49421123456\nA hundred cups?" in told["text"]


def test_a_lead_without_an_address_is_kept_for_a_person_and_sends_nothing(all_of_it: Everything) -> None:
    all_of_it.post("/site/form", **LEAD | {"email": "bo at example"}, region="north")
    (run,) = all_of_it.runs()
    assert run.run.state == "dead"
    assert "bo at example" in run.run.sentence
    assert all_of_it.calls == []


# ---------------------------------------------------------------------- 6: mql to the newsletter


def test_a_new_mql_is_in_the_newsletter_once(all_of_it: Everything) -> None:
    name = "Qualified leads to the newsletter"
    assert all_of_it.poll(name) == 0  # what was so before is not news
    all_of_it.post("/crm/contacts/ken%40example.com/change", stage="mql")
    all_of_it.post("/crm/contacts/ines%40example.com/change", stage="customer")
    assert all_of_it.poll(name) == 1
    (member,) = all_of_it.kept("mail.member")
    assert (member["audience"], member["email"], member["tags"]) == ("newsletter", "ken@example.com", ["mql"])
    assert member["merge_fields"]["first_name"] == "Ken"

    all_of_it.post("/crm/contacts/ken%40example.com/change", tier="silver")
    assert all_of_it.poll(name) == 0
    assert len([run for run in all_of_it.runs() if run.run.flow_id == all_of_it.flow_id(name)]) == 1
