"""What came in is changed before it is sent again: a form over JSON, and what the history says after."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from sqlalchemy import select, update

from app.parts import Parts
from app.storage.history.resends import changes
from app.storage.people import audit
from app.storage.tables.models import Event, Resend, Run, User
from tests.fakes.history import HTTP, NEXT, History
from tests.web.browser import Browser, words
from tests.web.test_dead_letters import stopped

LEAD = {"email": "ana@example", "total": 12.5, "lines": [{"sku": "A"}]}


@pytest.fixture
def run(history: History) -> str:
    flow = history.flow("New order", [HTTP, NEXT])
    return stopped(history, flow, payload=LEAD)


def new_run(parts: Parts, run: str) -> Any:
    with parts.database.read() as db:
        query = select(Run.id, Resend.mode, Resend.payload, Run.event_id).join(
            Resend, Resend.run_id == Run.id
        )
        return db.execute(query.where(Run.replay_of == run)).one()


def test_the_form_shows_what_came_in(browser: Browser, run: str) -> None:
    assert f'href="/runs/{run}/edit"' in browser.get(f"/runs/{run}").text
    html = browser.get(f"/runs/{run}/edit").text
    assert "ana@example" in html
    assert "From step 2" in words(html)
    assert "no such list" in words(html)


def test_edited_data_are_sent_and_the_history_says_who_changed_what(
    browser: Browser, parts: Parts, run: str
) -> None:
    data = orjson.dumps(LEAD | {"email": "ana@example.com"}).decode()
    answer = browser.post(f"/runs/{run}/edit", {"data": data, "mode": "failed"})
    new = new_run(parts, run)
    assert answer.headers["Location"] == f"/runs/{new.id}"
    assert (new.mode, orjson.loads(new.payload)["email"]) == ("failed", "ana@example.com")
    with parts.database.read() as db:
        kept = db.execute(select(Event.payload).where(Event.id == new.event_id)).scalar_one()
        (entry,) = audit.entries(db, noun="run", noun_id=run)
    assert orjson.loads(kept) == LEAD
    assert (entry.action, entry.detail["changed"]) == ("edited and resent", ["email"])
    shown = words(browser.get(f"/runs/{new.id}").text)
    assert "by Ana Silva from the failed step, with edited data" in shown
    assert "email : ana@example → ana@example.com" in shown
    assert browser.get(f"/runs/{new.id}/event.json").json["email"] == "ana@example.com"
    assert browser.get(f"/runs/{new.id}/event.json?original=1").json == LEAD
    assert "ana@example.com" in browser.get(f"/runs/{new.id}").text


def test_data_that_were_not_changed_count_as_they_came(browser: Browser, parts: Parts, run: str) -> None:
    browser.post(f"/runs/{run}/edit", {"data": orjson.dumps(LEAD).decode(), "mode": "whole"})
    new = new_run(parts, run)
    assert (new.mode, new.payload) == ("whole", None)
    assert "Nothing was changed" in browser.get(f"/runs/{new.id}").text


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("", "The data are empty"),
        ("   ", "The data are empty"),
        ('{"email": }', "This is not valid JSON"),
        ('{"email": "a",\n "b" 1}', "line 2"),
        ('{"a": NaN}', "This is not valid JSON"),
        ("[" * 2000 + "]" * 2000, "nested deeper"),
        ("[" + "1," * 600_000 + "1]", "longer than"),
    ],
)
def test_bad_json_is_refused_with_its_place_and_nothing_is_sent(
    browser: Browser, parts: Parts, run: str, data: str, said: str
) -> None:
    answer = browser.post(f"/runs/{run}/edit", {"data": data})
    assert answer.status_code == 422
    assert said in words(answer.text)
    if 0 < len(data) < 100:
        assert words(data).strip()[:5] in words(answer.text)  # what was written is still there
    with parts.database.read() as db:
        assert db.execute(select(Run.id)).scalars().all() == [run]


def test_long_numbers_and_odd_text_survive(browser: Browser, parts: Parts, run: str) -> None:
    data = '{"id": 12345678901234567890123, "name": "Zoë \\u202e </textarea><script>"}'
    browser.post(f"/runs/{run}/edit", {"data": data})
    new = new_run(parts, run)
    assert b"12345678901234567890123" in new.payload
    html = browser.get(f"/runs/{new.id}/edit").text
    assert "<script>" not in html.split("</header>", 1)[1]


def test_a_run_under_way_is_not_edited(browser: Browser, parts: Parts, run: str) -> None:
    parts.database.write(lambda db: db.execute(update(Run).values(state="waiting", reason="delay")))
    assert browser.get(f"/runs/{run}/edit").status_code == 422
    assert browser.post(f"/runs/{run}/edit", {"data": "{}"}).status_code == 422
    assert browser.get("/runs/run_none/edit").status_code == 404


def test_who_may_only_look_cannot_resend(browser: Browser, parts: Parts, run: str) -> None:
    token = browser.token()
    parts.database.write(lambda db: db.execute(update(User).values(role="viewer")))
    answer = browser.client.post(f"/runs/{run}/edit", data={"csrf_token": token, "data": "{}"})
    assert answer.status_code == 403


def test_changes_are_named_value_by_value() -> None:
    before = orjson.dumps({"a": 1, "b": {"c": [1, 2]}, "gone": True, "same": None})
    after = orjson.dumps({"a": "1", "b": {"c": [1, 3]}, "new": "x" * 200, "same": None})
    found = [(one.path, one.before, one.after[:3]) for one in changes(before, after)]
    assert found == [("a", "1", "1"), ("b.c[2]", "2", "3"), ("gone", "true", ""), ("new", "", "xxx")]
    assert changes(before, before) == []
    assert changes(b"not json", b"{}")[0].path == "everything"
    many = orjson.dumps({str(n): n for n in range(200)})
    assert len(changes(b"{}", many)) == 30
