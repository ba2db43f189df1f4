"""What came in, accepted or not, and what a poll looked at."""

from __future__ import annotations

from datetime import timedelta

from app.parts import Parts
from tests.fakes.history import HTTP, NOON, History
from tests.web.browser import Browser, words

POLL = {"kind": "poll", "request": {"url": "https://crm.example/contacts"}}


# ------------------------------------------------------------------------------------ deliveries


def test_a_wrong_secret_is_seen_in_the_list_with_its_reason(
    browser: Browser, history: History, flow: str, parts: Parts
) -> None:
    now = parts.clock.now()
    history.delivery(flow, now, outcome="refused", reason="The signature does not fit the secret.")
    history.delivery(flow, now)
    shown = words(browser.get(f"/flows/{flow}/deliveries").text)
    assert "Refused 1 look at the reason below" in shown
    assert "The signature does not fit the secret." in shown
    only = words(browser.get(f"/flows/{flow}/deliveries?outcome=duplicate").text)
    assert "None of this kind" in only


def test_the_page_of_a_refused_delivery_shows_headers_reason_and_the_way_to_the_trigger(
    browser: Browser, history: History, flow: str
) -> None:
    headers = [["X-Signature", "(hidden)"], ["User-Agent", "<script>alert(1)</script>"]]
    delivery = history.delivery(
        flow, outcome="refused", reason="Wrong signature.", headers=headers, body=b'{"id":1}', query="a=1&b=2"
    )
    html = browser.get(f"/deliveries/{delivery}").text
    shown = words(html)
    assert "Wrong signature." in shown
    assert "X-Signature (hidden)" in shown
    assert "a=1&b=2" in shown
    assert '"id" : 1' in shown
    assert "<script>alert" not in html
    assert f'href="/flows/{flow}?step=trigger"' in html


def test_an_accepted_delivery_leads_to_the_runs_it_started_and_shows_the_body_as_the_event(
    browser: Browser, history: History, flow: str
) -> None:
    delivery = history.delivery(flow)
    run = history.run(flow, payload={"email": "ana@example.com"}, label="Ana Silva", delivery_id=delivery)
    html = browser.get(f"/deliveries/{delivery}").text
    assert f'href="/runs/{run}"' in html
    assert "ana@example.com" in html
    assert "shown as the event it became" in html


def test_a_flow_nobody_wrote_to_says_what_to_do(browser: Browser, flow: str) -> None:
    assert "Nothing has come in yet" in browser.get(f"/flows/{flow}/deliveries").text


def test_older_deliveries_keep_the_outcome_that_was_chosen(
    browser: Browser, history: History, flow: str
) -> None:
    for n in range(51):
        history.delivery(flow, NOON + timedelta(seconds=n), outcome="refused", reason=f"Reason {n}.")
    first = browser.get(f"/flows/{flow}/deliveries?outcome=refused").text
    assert "Reason 0." not in first
    last = history.delivery(flow, NOON)
    page = browser.get(f"/flows/{flow}/deliveries?outcome=refused&before={last}").text
    assert "Reason 0." in page
    assert "outcome=refused" in first.split("before=", 1)[1][:80]


def test_what_is_not_there_is_a_404(browser: Browser) -> None:
    for address in ("/deliveries/dlv_x", "/polls/poll_x", "/flows/flow_x/deliveries", "/flows/flow_x/polls"):
        assert browser.get(address).status_code == 404, address


# ----------------------------------------------------------------------------------------- polls


def test_looks_of_a_poll_say_what_they_found_and_what_was_new(browser: Browser, history: History) -> None:
    flow = history.flow("Changed contacts", [HTTP], POLL)
    history.poll(flow, found=20, new=3)
    history.poll(flow, found=20)
    history.poll(flow, seeded=17, found=17)
    history.poll(flow, state="failed", sentence="crm.example answered 503.")
    shown = words(browser.get(f"/flows/{flow}/polls").text)
    for sentence in (
        "3 new of 20 found",
        "Nothing new",
        "17 records remembered",
        "crm.example answered 503.",
    ):
        assert sentence in shown


def test_a_look_shows_its_calls_as_a_run_does(browser: Browser, history: History) -> None:
    flow = history.flow("Changed contacts", [HTTP], POLL)
    poll = history.poll(flow, found=20, new=3)
    history.call(poll, 1, "trigger", method="GET", url="https://crm.example/contacts?page=1")
    assert "https://crm.example/contacts?page=1" in browser.get(f"/polls/{poll}").text
    assert "curl --globoff" in browser.get(f"/polls/{poll}/calls/1").text
    assert browser.get(f"/polls/{poll}/calls/1/answer").data == b'{"ok":true}'
    assert browser.get(f"/polls/{poll}/calls/2").status_code == 404


def test_a_flow_shows_the_tab_of_its_own_kind_of_inbox(browser: Browser, history: History, flow: str) -> None:
    polling = history.flow("Changed contacts", [HTTP], POLL)
    assert f"/flows/{flow}/deliveries" in browser.get(f"/runs?flow={flow}").text
    assert f"/flows/{flow}/polls" not in browser.get(f"/runs?flow={flow}").text
    assert f"/flows/{polling}/polls" in browser.get(f"/runs?flow={polling}").text
