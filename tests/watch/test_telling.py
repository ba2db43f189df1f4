"""Alerts are told: the first at once, then of one thing once an hour, to whom it concerns, and once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.storage.history.rows import settle
from app.storage.upkeep import alerts
from app.storage.upkeep.alerts import Telling
from tests.fakes.history import NOON
from tests.watch.conftest import House

WEB = "https://hooks.example.com/services/T1/secret-part"
pytestmark = pytest.mark.postgres


def test_the_first_is_told_at_once_to_the_owner_with_the_way_to_mend_it(house: House) -> None:
    house.stopped(house.flow(owner_id=house.owner))
    house.look()
    house.tell()
    [(readers, text)] = house.mails
    assert readers == ["owner@example.com"]
    assert text.startswith("Plumbline: A run of “New order” stopped: It was not accepted.\n")
    assert "See and send again: https://p.example/dead-letters/group?cause=" in text
    assert house.open()[0].mailed_at == NOON


def test_what_has_no_owner_goes_to_the_address_of_the_settings_or_else_to_the_administrators(
    house: House,
) -> None:
    records = house.flow()
    house.stopped(records)
    house.look()
    house.tell()
    assert house.mails[-1][0] == ["admin@example.com"]
    house.settings(to="ops@example.com, boss@example.com")
    house.stopped(house.flow("Other"))
    house.look()
    house.tell()
    assert house.mails[-1][0] == ["ops@example.com", "boss@example.com"]


def test_owners_can_be_left_out(house: House) -> None:
    house.settings(to="ops@example.com", owners=False)
    house.stopped(house.flow(owner_id=house.owner))
    house.look()
    house.tell()
    assert house.mails[-1][0] == ["ops@example.com"]


def test_what_follows_within_the_hour_is_told_together(house: House) -> None:
    records = house.flow()
    house.stopped(records)
    house.look()
    house.tell()
    for number in range(3):
        house.stopped(records, cause=f"wrong {number}")
        house.look(seconds=300)
        house.tell()
    assert len(house.mails) == 1
    house.tell(seconds=3600)
    assert len(house.mails) == 2
    assert all(f"It was wrong {number}." in house.mails[1][1] for number in range(3))
    assert "(and 2 more)" in house.mails[1][1]
    house.tell(seconds=7200)
    assert len(house.mails) == 2


def test_one_that_grows_is_told_again_after_an_hour_and_one_that_does_not_is_not(house: House) -> None:
    records = house.flow()
    house.stopped(records)
    house.look()
    house.tell()
    house.look(seconds=4000)
    house.tell()
    assert len(house.mails) == 1
    house.stopped(records)
    house.look()
    house.tell()
    assert "2 runs of “New order” stopped" in house.mails[1][1]


def test_many_things_at_once_are_one_message_per_reader(house: House) -> None:
    for number in range(60):
        house.stopped(house.flow(f"Flow {number}"))
    house.look()
    house.tell()
    [(_, text)] = house.mails
    assert "10 more are on the page." in text


def test_two_processes_that_tell_at_once_send_one_message(house: House) -> None:
    house.stopped(house.flow())
    house.look()
    with house.database.read() as db:
        told = [alerts.Told("mail:flow", house.open()[0].noun_id)]
        assert alerts.all_told(db) == {}
    until = NOON + timedelta(minutes=10)
    claims = [
        house.database.write(lambda db: alerts.claim(db, told, recipients="", until=until)) for _ in range(2)
    ]
    assert claims == [True, False]
    house.tell()
    assert house.mails == []


def test_a_message_whose_process_died_goes_out_ten_minutes_later(house: House) -> None:
    house.stopped(house.flow())
    house.look()
    told = [alerts.Told("mail:flow", house.open()[0].noun_id)]
    house.database.write(lambda db: alerts.claim(db, told, recipients="", until=NOON + timedelta(minutes=10)))
    house.tell(seconds=601)
    assert len(house.mails) == 1


def test_what_ended_or_was_seen_before_it_was_told_is_not_told(house: House) -> None:
    run = house.stopped(house.flow())
    house.stopped(house.flow("Other"))
    for one in house.look():
        if "Other" in one.sentence:
            house.database.write(lambda db, one=one: alerts.mark_seen(db, one.id, by=house.owner, now=NOON))
    house.database.write(lambda db: settle(db, [run], now=NOON))
    house.look(seconds=30)
    house.tell()
    assert house.mails == []


def test_mail_that_cannot_be_sent_is_on_record_and_tried_again_later_and_less_often(house: House) -> None:
    house.stopped(house.flow())
    house.look()
    house.office.replies["MAIL"] = "451 later"
    house.tell()
    with house.database.read() as db:
        [failed] = alerts.failing(db)
    assert "does not let “plumbline@example.com” send (status 451)" in failed.sentence
    assert failed.next_try_at == NOON + timedelta(minutes=1)
    house.tell(seconds=61)
    with house.database.read() as db:
        [failed] = alerts.failing(db)
    assert failed.next_try_at == house.clock.now() + timedelta(minutes=5)
    house.office.replies.clear()
    house.tell(seconds=301)
    assert len(house.mails) == 1
    with house.database.read() as db:
        assert alerts.failing(db) == []


def test_a_web_address_gets_what_slack_understands_and_mail_goes_besides(house: House) -> None:
    house.settings(webhook=WEB)
    house.service.answers("POST", "/services/T1/secret-part", "ok")
    house.stopped(house.flow("A <b> & c"))
    house.look()
    house.tell()
    [sent] = house.service.requests
    assert "• A run of “A &lt;b&gt; &amp; c” stopped: It was not accepted." in sent.json["text"]
    assert "<https://p.example/dead-letters/group?cause=" in sent.json["text"]
    assert len(house.mails) == 1
    house.tell(seconds=30)
    assert len(house.service.requests) == 1


def test_an_address_inside_the_own_network_is_not_called_and_not_named(house: House) -> None:
    house.settings(webhook="http://127.0.0.1:9/secret-part")
    house.is_pretended = False
    house.stopped(house.flow())
    house.look()
    house.tell()
    with house.database.read() as db:
        [failed] = alerts.failing(db)
    assert failed.noun == "web:flow"
    assert "blocked" in failed.sentence
    assert "secret-part" not in failed.sentence


@pytest.mark.parametrize(
    ("hour", "is_quiet"), [(21, False), (22, True), (23, True), (3, True), (6, False), (12, False)]
)
def test_quiet_hours_go_over_midnight_in_their_own_time_zone(hour: int, is_quiet: bool) -> None:
    telling = Telling(quiet_from="23:00", quiet_to="07:00", time_zone="Europe/Lisbon")
    assert telling.is_quiet(NOON.replace(month=7, hour=hour)) is is_quiet


def test_in_quiet_hours_everything_waits_for_their_end(house: House) -> None:
    house.settings(quiet_from="11:00", quiet_to="13:00")
    house.stopped(house.flow())
    house.look()
    house.tell()
    assert house.mails == []
    house.tell(seconds=3600)
    assert len(house.mails) == 1
