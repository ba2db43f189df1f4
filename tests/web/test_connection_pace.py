"""A connection's page says how fast it may be called; a person changes the numbers, and has it tried."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from app.calls.connections.pace import write_pace
from app.parts import Parts
from app.storage.connections import limits
from app.storage.connections.limits import LaneRow
from app.storage.people import audit
from app.storage.tables.models import Connection, Run
from tests.fakes.history import HTTP, NOON, History
from tests.web.browser import Browser, words

PAGE, FORM = "/connections/con_1", "/connections/con_1/limits"


def connect(parts: Parts, connector: str = "activecampaign", **more: Any) -> None:
    row = {"id": "con_1", "connector": connector, "name": "Our CRM", "auth": "key", "public": {}}
    row |= {"created_at": NOON, "updated_at": NOON, **more}
    parts.database.write(lambda db: db.execute(insert(Connection), row))


@pytest.fixture
def crm(parts: Parts) -> str:
    connect(parts)
    return "con_1"


def pace(parts: Parts) -> Any:
    with parts.database.read() as db:
        return limits.get_pace(db, "con_1")


def leave_alone(parts: Parts, **more: Any) -> None:
    now = parts.clock.now()
    facts: dict[str, Any] = {
        "place": "con_1|api.example.com",
        "connection_id": "con_1",
        "host": "api.example.com",
        "paused_until": None,
        "tried_at": now + timedelta(minutes=5),
        "trips": 4,
        "since": now,
        "sentence": "It answered 503 Unavailable.",
        **more,
    }
    parts.database.write(lambda db: limits.keep_lane(db, LaneRow(**facts)))


def in_line(parts: Parts, number: int, reason: str = "rate_limit", seconds: float = 600) -> str:
    history = History(parts.database)
    flow = history.flow("Leads", [HTTP])
    now = parts.clock.now()
    for at in range(number):
        wake = now + timedelta(seconds=seconds * (at + 1) / number)
        history.run(
            flow, "waiting", reason=reason, waits_for="con_1", wake_at=wake, sentence="Waits its turn."
        )
    return flow


# ------------------------------------------------------------------------------------- shown


def test_the_page_says_what_the_service_allows_and_what_is_used(
    browser: Browser, parts: Parts, crm: str
) -> None:
    windows = {"calls/1": {"most": 5, "per": 1.0, "starts": [4e9, 4e9], "in_group": 0}}
    parts.database.write(lambda db: limits.keep_budget(db, crm, {"windows": windows, "unseen": 0}, NOON))
    text = words(browser.get(PAGE).text)
    assert "5 calls a second" in text
    assert "2 of 5 used" in text
    assert "10 calls at once" in text


def test_a_connection_without_known_limits_says_so(browser: Browser, parts: Parts) -> None:
    connect(parts, "http")
    assert "Nothing is known of further limits" in browser.get(PAGE).text


def test_a_connection_whose_connector_is_gone_still_has_its_page(browser: Browser, parts: Parts) -> None:
    connect(parts, "no_such_service", pace=write_pace(3, {"gone": 5}, [(7, 60.0)]))
    text = words(browser.get(PAGE).text)
    assert "7 calls a minute" in text
    assert browser.get(FORM).status_code == 200


def test_own_numbers_stand_beside_the_usual_ones(browser: Browser, parts: Parts) -> None:
    connect(parts, pace=write_pace(3, {"calls": 2}, [(1000, 3600.0), (9, 90.0)]))
    text = words(browser.get(PAGE).text)
    assert "2 calls a second" in text
    assert "usually 5 calls a second" in text
    assert "1,000 calls an hour" in text
    assert "9 calls in 90 seconds" in text
    assert "3 calls at once" in text


def test_what_the_service_asked_for_is_shown_while_it_holds_and_afterwards(
    browser: Browser, parts: Parts, crm: str
) -> None:
    until = parts.clock.now() + timedelta(hours=2)
    leave_alone(parts, tried_at=None, paused_until=until, sentence="")
    assert "api.example.com asked for a pause until" in browser.get(PAGE).text
    leave_alone(parts, tried_at=None, paused_until=until - timedelta(hours=3), sentence="")
    assert "api.example.com last asked for a pause" in browser.get(PAGE).text


def test_the_header_that_says_that_nothing_is_left_is_shown_with_its_moment(
    browser: Browser, parts: Parts, crm: str
) -> None:
    until, said = parts.clock.now() + timedelta(minutes=20), "X-RateLimit-Remaining: 0"
    leave_alone(parts, tried_at=None, paused_until=until, sentence=said)
    text = words(browser.get(PAGE).text)
    assert "api.example.com says that nothing is left of its limit until" in text
    assert f"({said})." in text
    assert "Try now" in text
    leave_alone(parts, tried_at=None, paused_until=until - timedelta(hours=1), sentence=said)
    assert f"last said that nothing was left of its limit ({said})" in words(browser.get(PAGE).text)


# ------------------------------------------------------------------------------------ changed


def test_numbers_of_ones_own_are_kept_and_can_be_taken_back(browser: Browser, parts: Parts, crm: str) -> None:
    form = {
        "at_once": "4",
        "limit.calls": "3",
        "own.0": "10",
        "per.0": "60",
        "own.1": "40 000",
        "per.1": "86400",
    }
    assert browser.post(FORM, form).status_code == 303
    assert pace(parts) == {"at_once": 4, "changed": {"calls": 3}, "own": [[10, 60.0], [40000, 86400.0]]}
    shown = browser.get(FORM).text
    assert 'value="40000"' in shown
    with parts.database.read() as db:
        (entry,) = audit.entries(db, noun="connection", noun_id=crm)
    assert entry.action == "changed the limits"
    browser.post(FORM, {"at_once": "", "limit.calls": "", "own.0": "", "per.0": "1"})
    assert pace(parts) is None


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("at_once", "0", "0 would let nothing through"),
        ("at_once", "501", "At most 500"),
        ("limit.calls", "ten", "“ten” is not a whole number"),
        ("limit.calls", "-5", "is not a whole number"),
        ("limit.calls", "1.5", "is not a whole number"),
        ("limit.calls", "9" * 25, "At most 100,000,000"),
        ("own.0", "٣", "is not a whole number"),
        ("own.0", "<b>", "&lt;b&gt;"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_with_a_sentence(
    browser: Browser, parts: Parts, crm: str, field: str, value: str, said: str
) -> None:
    answer = browser.post(FORM, {field: value, "per.0": "60"})
    assert answer.status_code == 422
    assert said in answer.text
    assert pace(parts) is None


@pytest.mark.parametrize("per", ["0", "-1", "nan", "inf", "1e99", "x", ""])
def test_a_length_nobody_offered_is_refused(browser: Browser, parts: Parts, crm: str, per: str) -> None:
    answer = browser.post(FORM, {"own.0": "5", "per.0": per})
    if per == "":
        assert pace(parts) == {"own": [[5, 1.0]]}
    else:
        assert "Choose in how long" in answer.text
        assert pace(parts) is None


def test_two_numbers_for_the_same_time_are_refused(browser: Browser, parts: Parts, crm: str) -> None:
    answer = browser.post(FORM, {"own.0": "5", "per.0": "60", "own.1": "9", "per.1": "60"})
    assert "There are two numbers a minute" in answer.text
    assert pace(parts) is None


# -------------------------------------------------------------------------------- left alone


def test_a_service_that_is_left_alone_is_tried_at_the_push_of_a_button(
    browser: Browser, parts: Parts, crm: str
) -> None:
    leave_alone(parts)
    in_line(parts, 3, "away")
    text = browser.get(PAGE).text
    assert "api.example.com failed so often that it is left alone" in text
    assert "It answered 503 Unavailable." in text
    answer = browser.post(f"{PAGE}/try-now")
    assert answer.status_code == 303
    assert "3 runs that waited ask now" in browser.get(PAGE).text
    with parts.database.read() as db:
        (row,) = limits.open_breakers(db, crm)
        assert row.tried_at is not None
        assert row.tried_at <= parts.clock.now()
        assert set(db.scalars(select(Run.state))) == {"queued"}


def test_other_numbers_line_up_anew_who_waited(browser: Browser, parts: Parts, crm: str) -> None:
    in_line(parts, 2)
    browser.post(FORM, {"limit.calls": "50"})
    assert "2 runs that waited are lined up anew" in browser.get(PAGE).text


def test_who_may_only_look_finds_no_button(browser: Browser, parts: Parts, crm: str) -> None:
    leave_alone(parts)
    from app.storage.tables.models import User

    parts.database.write(lambda db: db.execute(User.__table__.update().values(role="viewer")))  # type: ignore[attr-defined]
    assert "Try now" not in browser.get(PAGE).text
    assert browser.post(f"{PAGE}/try-now").status_code == 403
    assert browser.post(FORM, {"limit.calls": "50"}).status_code == 403


# ------------------------------------------------------------------------- a spike in line


def test_a_spike_says_what_it_waits_for_and_when_it_is_done(browser: Browser, parts: Parts, crm: str) -> None:
    flow = in_line(parts, 12)
    for address in ("/runs", f"/runs?flow={flow}"):
        text = words(browser.get(address).text)
        assert "12 runs wait for the 5 calls a second of “Our CRM”; done about" in text
    assert "12 runs wait" in words(browser.get(PAGE).text)
    assert "12 runs" not in words(browser.get("/runs?flow=flow_other").text)


def test_the_page_of_a_flow_says_when_its_spike_is_done(browser: Browser, parts: Parts, crm: str) -> None:
    flow, said = in_line(parts, 12), "12 runs wait for the 5 calls a second of “Our CRM”; done about"
    html = browser.get(f"/flows/{flow}").text
    assert said in words(html)
    assert f'hx-get="/flows/{flow}/waiting"' in html
    assert said in words(browser.get(f"/flows/{flow}/waiting").text)
    parts.database.write(lambda db: db.execute(update(Run).values(state="succeeded", reason="")))
    assert "runs wait" not in browser.get(f"/flows/{flow}/waiting").text
    assert "runs wait" not in words(browser.get(f"/flows/{flow}").text)
    assert browser.get("/flows/flow_nothing/waiting").status_code == 404
    assert browser.get("/flows/%00'/waiting").status_code == 404


def test_runs_that_wait_for_a_service_that_fails_say_so(browser: Browser, parts: Parts, crm: str) -> None:
    in_line(parts, 1, "away")
    assert "1 run waits: “Our CRM” failed so often" in words(browser.get("/runs").text)
