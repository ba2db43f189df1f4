"""Alerts as pages: the bell, what is open with the button that fixes it, and who is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.parts import Parts
from app.storage.upkeep import alerts
from app.storage.upkeep.alerts import Noticed
from tests.fakes.service import FakeService
from tests.web.browser import Browser, words

FORM = {"to": "", "owners": "1", "quiet_from": "", "quiet_to": "", "time_zone": "UTC", "webhook": ""}
WEB = "https://hooks.example.com/T1/secret-part"


def notice(parts: Parts, *found: Noticed) -> list[str]:
    """Exactly these are open from now on."""
    kinds = {"dead_letters", "ledger", "connection", "quiet"}
    now = parts.clock.now()
    parts.database.write(lambda db: alerts.bring_up_to_date(db, found, looked_for=kinds, now=now))
    with parts.database.read() as db:
        return [one.id for one in alerts.open_alerts(db)]


def stopped(key: str = "a", sentence: str = "A run of “Orders” stopped: <b>no</b>.") -> Noticed:
    return Noticed(
        "dead_letters", "flow", f"flow_{key}", key, sentence, "See and send again", "/dead-letters"
    )


def differs() -> Noticed:
    return Noticed(
        "ledger", "flow", "flow_a", "ledger", "The ledger does not add up.", "See the ledger", "/ledger"
    )


def test_the_bell_counts_what_nobody_has_seen(browser: Browser, parts: Parts) -> None:
    assert 'aria-label="Alerts"' in browser.get("/flows").text
    first, *_ = notice(parts, stopped("a"), stopped("b"))
    assert 'aria-label="Alerts, 2 new"' in browser.get("/flows").text
    assert browser.post(f"/alerts/{first}/seen").status_code == 303
    assert 'aria-label="Alerts, 1 new"' in browser.get("/flows").text
    browser.post("/alerts/seen")
    assert 'aria-label="Alerts"' in browser.get("/flows").text


def test_an_alert_shows_its_sentence_and_the_button_that_mends_it(browser: Browser, parts: Parts) -> None:
    notice(parts, stopped())
    page = browser.get("/alerts").text
    assert "A run of “Orders” stopped: &lt;b&gt;no&lt;/b&gt;." in page
    assert '<a class="btn" href="/dead-letters">See and send again</a>' in page


def test_who_has_seen_it_and_what_is_over_stay_on_the_page(browser: Browser, parts: Parts) -> None:
    [one] = notice(parts, stopped())
    browser.post(f"/alerts/{one}/seen")
    assert "seen by Ana Silva" in words(browser.get("/alerts").text)
    notice(parts)
    shown = words(browser.get("/alerts").text)
    assert "Nothing needs anybody" in shown
    assert "Over A run of “Orders” stopped" in shown


def test_the_worst_is_a_banner_on_every_page_until_it_is_seen(browser: Browser, parts: Parts) -> None:
    notice(parts, stopped(), differs())
    page = browser.get("/flows").text
    assert "The ledger does not add up." in page
    assert "A run of “Orders” stopped" not in page
    browser.post("/alerts/seen")
    assert "The ledger does not add up." not in browser.get("/flows").text


def test_mail_that_cannot_be_sent_is_said_where_alerts_are_read(browser: Browser, parts: Parts) -> None:
    told = [alerts.Told("mail:flow", "flow_a")]
    now = parts.clock.now()

    def work(connection: Any) -> None:
        alerts.claim(connection, told, recipients="ops@example.com", until=now)
        alerts.note_failed(connection, told, sentence="Status 451.", again_at=now + timedelta(hours=1))

    parts.database.write(work)
    shown = words(browser.get("/alerts").text)
    assert (
        "An email to ops@example.com about the server and its connections could not be sent: Status 451."
        in shown
    )


def test_nobody_is_told_without_a_way_and_the_page_says_so(browser: Browser) -> None:
    assert "so no alert is sent" in words(browser.get("/alerts").text)


# ------------------------------------------------------------------------------------ the settings


def test_who_is_told_is_kept_and_the_web_address_is_never_shown(browser: Browser, parts: Parts) -> None:
    given = {"to": "ops@example.com; boss@example.com", "quiet_from": "22:00", "quiet_to": "07:00"}
    assert browser.post("/settings/alerts", FORM | given | {"webhook": WEB}).status_code == 303
    page = browser.get("/settings/alerts").text
    assert 'value="ops@example.com, boss@example.com"' in page
    assert "secret-part" not in page
    with parts.database.read() as db:
        first = alerts.read_telling(db)
    assert first.owners
    assert "secret-part" not in str(first)
    browser.post("/settings/alerts", FORM)
    with parts.database.read() as db:
        assert alerts.read_telling(db).webhook == first.webhook
    browser.post("/settings/alerts", FORM | {"forget_webhook": "1"})
    with parts.database.read() as db:
        assert alerts.read_telling(db).webhook == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"to": "nobody"}, "“nobody” is not an email address."),
        ({"to": ", ".join(f"a{n}@example.com" for n in range(21))}, "at most 20 are told"),
        ({"quiet_from": "25:00", "quiet_to": "07:00"}, "Write a time like 22:00."),
        ({"quiet_from": "22:00"}, "Quiet hours need a begin and an end"),
        ({"time_zone": "Mars/Base"}, "is not a time zone"),
        ({"webhook": "ftp://x"}, "beginning with https://"),
        ({"webhook": "https://[x"}, "beginning with https://"),
    ],
)
def test_what_makes_no_sense_is_said_at_its_field(browser: Browser, given: dict[str, str], said: str) -> None:
    answer = browser.post("/settings/alerts", FORM | given)
    assert answer.status_code == 422
    assert said in words(answer.text)


def test_only_administrators_choose_who_is_told(editor: Browser) -> None:
    assert editor.get("/settings/alerts").status_code == 403
    assert editor.post("/settings/alerts", FORM).status_code == 403
    assert editor.post("/settings/alerts/test").status_code == 403


def test_the_test_button_sends_and_says_what_came_of_it(
    browser: Browser, parts: Parts, service: FakeService
) -> None:
    browser.post("/settings/alerts/test")
    assert "no way to tell anybody yet" in words(browser.get("/settings/alerts").text)
    service.answers("POST", "/T1/secret-part", "ok", (403, "invalid_token"))
    browser.post("/settings/alerts", FORM | {"webhook": WEB})
    parts.engine.start()
    browser.post("/settings/alerts/test")
    assert "The web address took the test." in words(browser.get("/settings/alerts").text)
    assert "This is a test of Plumbline's alerts." in service.requests[0].json["text"]
    browser.post("/settings/alerts/test")
    shown = browser.get("/settings/alerts").text
    assert "pl-toast-error" in shown
    assert "secret-part" not in shown
